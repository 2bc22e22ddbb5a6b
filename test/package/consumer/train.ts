import {
  AdamW,
  BatchGenerator,
  DataPreprocessor,
  EWCManager,
  LoRAAdapter,
  LossComputer,
  LRSchedulers,
  readJsonl,
} from 'microlora-training-utils';

const examples = readJsonl(new URL('../pairs.jsonl', import.meta.url));
const processed = await new DataPreprocessor({ embedder: 'ngram' }).process(examples);
const batches = new BatchGenerator(processed, { batchSize: 4, seed: 1 });
const adapters = new Map([['query', new LoRAAdapter({ dim: 384, rank: 8, alpha: 16, seed: 1 })]]);
const optimizer = new AdamW(adapters);
const ewc = new EWCManager({ lambda: 10 });
ewc.computeFisher(adapters, processed);

const losses: number[] = [];
const total = batches.length * 10;
for (const { batch, step } of batches.epochs(10)) {
  const query = adapters.get('query')!;
  const loss = LossComputer.contrastive(query.forward(batch.anchors), batch.positives, null, { gradients: true });
  const grads = new Map([['query', query.backward(loss.gradients!)]]);
  ewc.addPenaltyGradient(adapters, grads);
  optimizer.step(grads, LRSchedulers.warmupCosine(3e-3, step, total, { warmupSteps: 2 }));
  losses.push(loss.loss);
}

console.log(JSON.stringify({ node: process.version, losses }));
