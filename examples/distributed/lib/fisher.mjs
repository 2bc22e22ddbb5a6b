// The Fisher of trained adapters, which coordinator and workers compute alike.

import { EWCManager, LossComputer } from 'microlora-training-utils';
import { adaptersFor, batchesOf, loadTask, THROUGH, trainAlone } from './training.mjs';

const STEPS = 20;
const RATE = 3e-3;
const NEGATIVES = 16;

/** The task, and adapters that are trained on it. Coordinator and workers get the same bits. */
export async function loadTrained() {
  const task = await loadTask();
  const adapters = adaptersFor(task);
  trainAlone(adapters, batchesOf(task, 128).batchOf, STEPS, RATE);
  return { task, adapters };
}

/**
 * An `EWCManager` with the Fisher of some pairs of the task. All pairs have the same negatives. With those of a batch, the
 * gradients of a pair would depend on the other pairs of its shard, and the shards would not add up to the whole.
 */
export function fisherOf({ task, adapters }, pairs) {
  const negatives = task.training.slice(0, NEGATIVES);
  const rows = negatives.map(({ outputEmb }) => outputEmb);
  const negativeIds = negatives.map(({ output }) => output);
  const ewc = new EWCManager({ sampleSize: Infinity });
  ewc.computeFisher(adapters, pairs, {
    adapterGradients: ({ inputEmb, outputEmb, output }) => {
      const options = { adapters, through: THROUGH, ids: [output], negativeIds, gradients: true };
      return LossComputer.contrastive([inputEmb], [outputEmb], rows, options).adapterGradients;
    },
  });
  return ewc;
}
