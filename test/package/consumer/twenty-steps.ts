import {
  AdamW,
  BatchGenerator,
  DataPreprocessor,
  EWCManager,
  kernelBackend,
  LoRAAdapter,
  LossComputer,
  LRSchedulers,
  NgramEmbedder,
  packCheckpoint,
  readJsonl,
  unpackCheckpoint,
} from 'microlora-training-utils';

export { useKernelModule } from 'microlora-training-utils';
export { sharedWork } from './shared-work.js';

const DIM = 64;

/** Twenty steps over two tasks, with what each runtime does in its own way: hashes, events, base64, timers, streams. */
export async function twentySteps(): Promise<{ kernels: string; losses: number[]; weights: string }> {
  const lines = Array.from(
    { length: 40 },
    (_, i) => `{"input":"question ${i % 37} of é ${i % 5}","output":"answer ${i % 37}"}\n`,
  );
  const pairs = [];
  for await (const pair of readJsonl(new Blob(lines))) pairs.push(pair);
  const embedder = await new NgramEmbedder({ dim: DIM }).fit(pairs.flatMap(({ input, output }) => [input, output]));
  const fitted = new NgramEmbedder({ dim: DIM });
  fitted.loadStateDict(JSON.parse(JSON.stringify(embedder.stateDict())));
  let total = 0;
  const processorOf = (which: NgramEmbedder | 'hash'): DataPreprocessor => {
    const options = which === 'hash' ? { embeddingDim: DIM, deduplicate: true } : { embedder: which };
    return new DataPreprocessor(options).on('process:complete', event => {
      total += event.total;
    });
  };
  const tasks = [await processorOf(fitted).process(pairs), await processorOf('hash').process(pairs)];
  if (total !== pairs.length + 40) throw new Error(`events told of ${total} rows`);

  const query = new LoRAAdapter({ dim: DIM, rank: 4, seed: 1 });
  const adapters = new Map([['query', query]]);
  const optimizer = new AdamW(adapters);
  let ewc = new EWCManager({ penalty: 'function' });
  const losses: number[] = [];
  for (const data of tasks) {
    const batches = new BatchGenerator(data, { batchSize: 4, seed: 1, noDuplicates: true });
    for (let step = 0; step < 10; step++) {
      const { batch } = batches.epochs(10).next().value!;
      const { loss, adapterGradients } = LossComputer.contrastive(batch.anchors, batch.positives, null, {
        adapters,
        through: { anchors: 'query' },
        gradients: true,
      });
      ewc.addPenaltyGradient(adapters, adapterGradients);
      optimizer.step(adapterGradients, LRSchedulers.warmupCosine(0.01, losses.length, 20, { warmupSteps: 2 }));
      losses.push(loss);
    }
    ewc.computeFisher(adapters, data);
    const later = new EWCManager({ penalty: 'function' });
    later.import(JSON.parse(JSON.stringify(ewc.export())));
    ewc = later;
    unpackCheckpoint(packCheckpoint({ query, optimizer }), { query, optimizer });
  }
  return { kernels: kernelBackend(), losses, weights: hashOf([...query.loraA, ...query.loraB]) };
}

/** FNV-1a of the bits. */
function hashOf(rows: readonly Float32Array[]): string {
  let hash = 0x811c9dc5;
  for (const row of rows) {
    const bytes = new Uint8Array(row.slice().buffer);
    for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  }
  return (hash >>> 0).toString(16).padStart(8, '0');
}
