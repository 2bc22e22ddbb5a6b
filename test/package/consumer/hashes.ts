import { BatchGenerator, DataPreprocessor, kernelBackend, LoRAAdapter, LossComputer } from 'microlora-training-utils';

/** Every use of a hash, and other things that a bundle could lose: the kernels' WebAssembly, events and timers. */
async function hash(): Promise<object> {
  const examples = Array.from({ length: 12 }, (_, i) => ({ input: `question ${i % 9}`, output: `answer ${i % 9}` }));
  const preprocessor = new DataPreprocessor({ deduplicate: true, embeddingDim: 32 });
  let total = 0;
  preprocessor.on('process:complete', event => {
    total = event.total;
  });
  const processed = await preprocessor.process(examples);
  const rows = processed.map(({ inputEmb, outputEmb }) => ({ inputEmb, outputEmb }));

  const withoutDuplicates = new BatchGenerator([...rows, ...rows], { batchSize: 4, seed: 1, noDuplicates: true });
  const adapters = new Map([['query', new LoRAAdapter({ dim: 32, rank: 2, seed: 1 })]]);
  const options = { adapters, through: { anchors: 'query' } };
  const losses = Array.from(
    withoutDuplicates.epochs(1),
    ({ batch }) => LossComputer.contrastive(batch.anchors, batch.positives, null, options).loss,
  );

  const weighted = new BatchGenerator(rows, { batchSize: 4, seed: 1, sampleWeights: rows.map((_, i) => 1 + i) });
  return { total, row: Array.from(rows[0]!.inputEmb), losses, state: weighted.stateDict(), kernels: kernelBackend() };
}

hash().then(found => console.log(JSON.stringify(found)));
