// Trains on shards that stay with their workers, and averages the changes after each round.
//
//   node rounds.mjs --workers 2 --rounds 15

import { LocalRounds } from 'microlora-training-utils/bullmq';
import { evaluate } from '../api-search/recipe.mjs';
import { countOf, withWorkers } from './lib/cluster.mjs';
import { adaptersFor, loadTask, SHARDS } from './lib/training.mjs';

const LOCAL_STEPS = 5;
const RATE = 3e-3;
const NAME = `node rounds.mjs: trains on ${SHARDS} shards in rounds of ${LOCAL_STEPS} local steps.

  --rounds <n>    rounds (default: 15)`;

await withWorkers(NAME, { rounds: { type: 'string', default: '15' } }, async ({ queue, blobs, signal, flags }) => {
  const rounds = countOf(flags, 'rounds');
  const task = await loadTask();
  const adapters = adaptersFor(task);
  const metrics = () => {
    const { mrr, recallAt } = evaluate(task.lookup, adapters);
    return `validation MRR ${mrr.toFixed(3)}, recall@1 ${recallAt[1].toFixed(3)}`;
  };
  console.log(`untrained: ${metrics()}`);
  const training = new LocalRounds({ queue, blobs, adapters, shards: SHARDS, localSteps: LOCAL_STEPS });
  try {
    for (let round = 0; round < rounds; round++) {
      const { loss, refused } = await training.round(round, RATE, { signal });
      const without = refused.map(({ shard, reason }) => `; shard ${shard} ${reason}`).join('');
      console.log(`round ${round + 1}: loss ${loss.toFixed(4)}, ${metrics()}${without}`);
    }
  } finally {
    await training.close();
  }
});
