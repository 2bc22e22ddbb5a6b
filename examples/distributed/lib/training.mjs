// The training that coordinator and workers make alike: pairs of description and signature from the declarations of Node.

import { AdamW, BatchGenerator, LossComputer } from 'microlora-training-utils';
import { readNodePairs } from '../../api-search/pairs.mjs';
import { newAdapters, prepare, THROUGH } from '../../api-search/recipe.mjs';

export { THROUGH };
export const BATCH_SIZE = 1024;
export const SHARDS = 4;
const SEED = 1;

/** The embedded pairs, `{ embedder, training, lookup }`. */
export async function loadTask() {
  return prepare(readNodePairs(), { seed: SEED });
}

export function adaptersFor({ embedder }, rank = 32) {
  return newAdapters(embedder.dim, { rank, seed: SEED });
}

/** A function of the step that gives its batch. */
export function batchesOf({ training }, batchSize = BATCH_SIZE) {
  const generator = new BatchGenerator(training, { batchSize, seed: SEED, dropLast: true });
  const batchOf = step => {
    const { anchors, positives, examples } = generator.at(step).batch;
    return { anchors, positives, ids: examples.map(({ output }) => output) };
  };
  return { batchOf, length: generator.length };
}

/** Takes the first steps of a training in this process. */
export function trainAlone(adapters, batchOf, steps, rate) {
  const optimizer = new AdamW(adapters);
  for (let step = 0; step < steps; step++) {
    const { anchors, positives, ids } = batchOf(step);
    const options = { adapters, through: THROUGH, ids, gradients: true };
    optimizer.step(LossComputer.contrastive(anchors, positives, null, options).adapterGradients, rate);
  }
}

/** The task with the pairs of one shard. */
export function shardOf(task, shard) {
  return { ...task, training: task.training.filter((_, i) => i % SHARDS === shard) };
}
