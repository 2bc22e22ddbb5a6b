// Computes the Fisher of trained adapters on shards, and compares their mean with the Fisher of one process.
//
//   node fisher.mjs --workers 2

import { EWCManager } from 'microlora-training-utils';
import { mapShards } from 'microlora-training-utils/bullmq';
import { withWorkers } from './lib/cluster.mjs';
import { fisherOf, loadTrained } from './lib/fisher.mjs';
import { SHARDS } from './lib/training.mjs';

const NAME = `node fisher.mjs: computes the Fisher of adapters on ${SHARDS} shards, and in one process.`;

await withWorkers(NAME, {}, async ({ queue, blobs, signal }) => {
  const trained = await loadTrained();
  console.log(`${trained.task.training.length} pairs`);
  const start = performance.now();
  const shards = Array.from({ length: SHARDS }, (_, shard) => ({ shard }));
  const results = await mapShards(queue, 'fisher', shards, {
    blobs,
    signal,
    onProgress: ({ done, total }) => console.log(`${done} of ${total} shards`),
  });
  const [whole, ...parts] = await Promise.all(
    results.map(async ({ blob }) => managerOf(await blobs.get(blob), trained)),
  );
  for (const part of parts) whole.merge(part); // Weighted by their numbers of pairs.
  await blobs.delete(results.map(({ blob }) => blob));
  report('workers', start);

  const startAlone = performance.now();
  const alone = fisherOf(trained, trained.task.training);
  report('one process', startAlone);
  console.log(`largest relative difference: ${largestDifference(whole, alone).toExponential(1)}`);
});

function report(who, start) {
  console.log(`${who}: ${((performance.now() - start) / 1000).toFixed(1)} s`);
}

/** The manager of a shard. Refuses a shard whose adapters have other weights. */
function managerOf(bytes, { adapters }) {
  const ewc = new EWCManager();
  ewc.import(JSON.parse(new TextDecoder().decode(bytes)), { adapters });
  return ewc;
}

function largestDifference(left, right) {
  const [others, values] = [entriesOf(left), entriesOf(right)];
  return values.reduce(
    (most, value, i) => (value === others[i] ? most : Math.max(most, Math.abs(others[i] / value - 1))),
    0,
  );
}

/** All Fisher values in one array. */
function entriesOf({ fisherInfo }) {
  return [...fisherInfo.values()].flatMap(({ fisherA, fisherB }) => [...fisherA, ...fisherB].flatMap(row => [...row]));
}
