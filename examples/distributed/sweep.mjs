// Tries settings on several workers, and prints a table. A second run finds what the first has done, if Redis stays.
//
//   node sweep.mjs --workers 2 --epochs 3

import { mapShards } from 'microlora-training-utils/bullmq';
import { countOf, withWorkers } from './lib/cluster.mjs';

const NAME = `node sweep.mjs: tries ranks, learning rates and temperatures on several workers.

  --epochs <n>    epochs of each training (default: 3)`;

await withWorkers(NAME, { epochs: { type: 'string', default: '3' } }, async ({ queue, signal, flags }) => {
  const epochs = countOf(flags, 'epochs');
  const settings = [8, 32].flatMap(rank =>
    [1e-3, 3e-3].flatMap(rate => [0.05, 0.1].map(temperature => ({ rank, rate, temperature, epochs }))),
  );
  const results = await mapShards(queue, 'sweep', settings, {
    signal,
    onProgress: ({ done, total }) => console.log(`${done} of ${total} trainings`),
  });
  const rows = settings.map((setting, i) => ({ ...setting, ...results[i] }));
  console.log('rank   rate  temperature  validation MRR  recall@1');
  for (const { rank, rate, temperature, mrr, recall } of rows.sort((a, b) => b.mrr - a.mrr)) {
    const cells = [String(rank).padStart(4), rate.toFixed(3).padStart(7), temperature.toFixed(2).padStart(13)];
    console.log([...cells, mrr.toFixed(3).padStart(16), recall.toFixed(3).padStart(10)].join(''));
  }
});
