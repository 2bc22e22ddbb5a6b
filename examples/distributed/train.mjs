// Trains on several workers, and shows that the weights are those of one process.
//
//   node train.mjs --workers 2 --steps 20

import { createHash } from 'node:crypto';
import { AdamW, packWeights } from 'microlora-training-utils';
import { DataParallel } from 'microlora-training-utils/bullmq';
import { countOf, withWorkers } from './lib/cluster.mjs';
import { adaptersFor, BATCH_SIZE, batchesOf, loadTask, trainAlone } from './lib/training.mjs';

const RATE = 3e-3;
const NAME = `node train.mjs: trains on several workers, and in one process.

  --steps <n>     training steps (default: 20)`;

await withWorkers(NAME, { steps: { type: 'string', default: '20' } }, async ({ queue, blobs, signal, flags }) => {
  const steps = countOf(flags, 'steps');
  const task = await loadTask();
  console.log(`${task.training.length} pairs, ${steps} steps of ${BATCH_SIZE} rows`);

  const adapters = adaptersFor(task);
  const optimizer = new AdamW(adapters);
  const training = new DataParallel({ queue, blobs, adapters, optimizer, batchSize: BATCH_SIZE });
  try {
    await training.gradients(0, { signal }); // Workers load their data in this first, uncounted call.
    const start = performance.now();
    for (let step = 0; step < steps; step++) {
      const { loss } = await training.step(step, RATE, { signal });
      console.log(`step ${step + 1}: loss ${loss.toFixed(4)}`);
    }
    report('workers', performance.now() - start, steps, adapters);
  } finally {
    await training.close();
  }

  const alone = adaptersFor(task);
  const { batchOf } = batchesOf(task);
  const start = performance.now();
  trainAlone(alone, batchOf, steps, RATE);
  report('one process', performance.now() - start, steps, alone);
});

function report(who, ms, steps, adapters) {
  const hash = createHash('sha256').update(packWeights(adapters)).digest('hex').slice(0, 16);
  console.log(`${who}: ${(ms / steps).toFixed(1)} ms per step, weights ${hash}`);
}
