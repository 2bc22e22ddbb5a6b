// Trains without end, and saves all parts after every step. A second start resumes from the file.
//   node checkpointed-training.mjs <path of the checkpoint>

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  AdamW,
  BatchGenerator,
  EWCManager,
  KeepBest,
  LoRAAdapter,
  LossComputer,
  loadCheckpoint,
  ReduceLROnPlateau,
  saveCheckpoint,
  useKernelBackend,
} from '../../dist/index.js';

if (process.env.KERNEL_BACKEND) useKernelBackend(process.env.KERNEL_BACKEND);
const DIM = 48;
const task = phase =>
  Array.from({ length: 40 }, (_, i) => ({
    inputEmb: Float32Array.from({ length: DIM }, (_, j) => Math.sin(phase + i * (j + 1))),
    outputEmb: Float32Array.from({ length: DIM }, (_, j) => Math.cos(phase + i * (j + 2))),
  }));

/** A training before its first step. */
export function partsOf() {
  const query = new LoRAAdapter({ dim: DIM, rank: 16, seed: 1 });
  const adapters = new Map([['query', query]]);
  const ewc = new EWCManager({ lambda: 10 });
  ewc.computeFisher(adapters, task(0));
  return {
    // Before the weights that its state belongs to.
    optimizer: new AdamW(adapters, { maxGradNorm: 1 }),
    batches: new BatchGenerator(task(1), { batchSize: 8, seed: 3 }),
    keep: new KeepBest(adapters, { mode: 'min' }),
    plateau: new ReduceLROnPlateau({ lr: 0.01, patience: 2 }),
    ewc,
    query,
  };
}

/** Steps without end. */
export function* steps({ query, optimizer, batches, ewc, keep, plateau }) {
  const adapters = new Map([['query', query]]);
  for (const { batch, step } of batches.epochs(1e6)) {
    const { output, backward } = query.trace(batch.anchors);
    const { gradients, loss } = LossComputer.contrastive(output, batch.positives, null, { gradients: true });
    keep.step(loss);
    const grads = new Map([['query', backward(gradients)]]);
    ewc.addPenaltyGradient(adapters, grads);
    optimizer.step(grads, plateau.step(loss));
    yield step;
  }
}

const path = process.argv[2];
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const parts = partsOf();
  if (existsSync(path)) loadCheckpoint(path, parts);
  for (const step of steps(parts)) {
    saveCheckpoint(path, parts);
    process.stdout.write(`${step}\n`);
  }
}
