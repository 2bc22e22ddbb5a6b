// Trains an adapter on a second task with EWC for the first, logs each loss, and keeps everything on disk. A second start
// resumes. At the end it writes the weights.
//   node interrupted-training.mjs <path without extension> [slowly]

import { appendFileSync, existsSync, readFileSync, renameSync, truncateSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { AdamW, BatchGenerator, EWCManager, LoRAAdapter, LossComputer, LRSchedulers } from '../../dist/index.js';

const [path, slowly] = process.argv.slice(2);
const EPOCHS = 3;
const task = phase =>
  Array.from({ length: 40 }, (_, i) => ({
    input: `in ${i}`,
    output: `out ${i}`,
    inputEmb: Float32Array.from({ length: 8 }, (_, j) => Math.sin(phase + i * (j + 1))),
    outputEmb: Float32Array.from({ length: 8 }, (_, j) => Math.cos(phase + i * (j + 2))),
  }));
const query = new LoRAAdapter({ dim: 8, rank: 4, seed: 1 });
const adapters = new Map([['query', query]]);
const optimizer = new AdamW(adapters, { maxGradNorm: 1 });
const batches = new BatchGenerator(task(1), { batchSize: 8, seed: 3 });
const ewc = new EWCManager({ lambda: 10 });
let logged = 0;
if (existsSync(`${path}.json`)) {
  const state = JSON.parse(readFileSync(`${path}.json`, 'utf8'));
  query.loadStateDict(state.query);
  optimizer.loadStateDict(state.optimizer);
  batches.loadStateDict(state.batches);
  ewc.import(state.ewc);
  // What was logged after the state was kept is done again.
  ({ logged } = state);
  truncateSync(`${path}.log`, logged);
} else {
  ewc.computeFisher(adapters, task(0));
  writeFileSync(`${path}.log`, '');
}
const total = batches.length * EPOCHS;
for (const { batch, step } of batches.epochs(EPOCHS)) {
  const { output, backward } = query.trace(batch.anchors);
  const loss = LossComputer.contrastive(output, batch.positives, null, { gradients: true });
  const grads = new Map([['query', backward(loss.gradients)]]);
  ewc.addPenaltyGradient(adapters, grads);
  optimizer.step(grads, LRSchedulers.warmupCosine(0.01, step, total, { warmupSteps: 3 }));
  const line = `${step} ${loss.loss}\n`;
  appendFileSync(`${path}.log`, line);
  logged += line.length;
  const state = { query, optimizer: optimizer.stateDict(), batches: batches.stateDict(), ewc: ewc.export(), logged };
  writeFileSync(`${path}.new`, JSON.stringify(state));
  renameSync(`${path}.new`, `${path}.json`);
  if (slowly) {
    process.stdout.write(`${step}\n`);
    await sleep(20);
  }
}
writeFileSync(`${path}.safetensors`, LoRAAdapter.toSafetensors(adapters));
