import { localTask } from 'microlora-training-utils/tasks';
import { adaptersFor, batchesOf, loadTask, SHARDS, shardOf, THROUGH } from '../lib/training.mjs';

const task = await loadTask();
const shards = Array.from({ length: SHARDS }, (_, shard) => batchesOf(shardOf(task, shard), 64).batchOf);
export default localTask({
  adapters: adaptersFor(task),
  through: THROUGH,
  batch: (shard, step) => shards[shard](step),
});
