import { AdamW, LossComputer, LRSchedulers } from 'microlora-training-utils';
import { evaluate } from '../../api-search/recipe.mjs';
import { adaptersFor, batchesOf, loadTask, THROUGH } from '../lib/training.mjs';

const task = await loadTask();

/** Trains with one setting, and returns how well validation queries find their answers. */
export default function sweep({ rank, rate, temperature, epochs }) {
  const adapters = adaptersFor(task, rank);
  const { batchOf, length } = batchesOf(task, 128);
  const total = epochs * length;
  const optimizer = new AdamW(adapters);
  for (let step = 0; step < total; step++) {
    const { anchors, positives, ids } = batchOf(step);
    const options = { adapters, through: THROUGH, ids, temperature, gradients: true };
    const { adapterGradients } = LossComputer.contrastive(anchors, positives, null, options);
    optimizer.step(adapterGradients, LRSchedulers.warmupCosine(rate, step, total, { warmupSteps: total / 10 }));
  }
  const { mrr, recallAt } = evaluate(task.lookup, adapters);
  return { mrr, recall: recallAt[1] };
}
