import { EWCManager, LoRAAdapter, LossComputer } from 'microlora-training-utils';
import { metricsOf } from './held-out.mjs';
import { evaluate, TEMPERATURE, THROUGH, train } from './recipe.mjs';
import { progressOn } from './report.mjs';

/** Number of negatives in the loss of each example. */
const NEGATIVES = 63;

/**
 * Trains adapters that have learned one task on another task: once without a penalty and once with each penalty. All
 * three runs have the same start and the same recipe.
 *
 * @param first The task that the adapters have learned.
 * @param second The new task, embedded by the embedder of the first.
 * @param learned The adapters.
 * @param settings `{ epochs, seed }`.
 * @param screen The stream that progress is written to.
 * @returns The scores, and the adapters that learned with the function penalty.
 */
export function learnOn(first, second, learned, settings, screen) {
  const start = scoresOf(learned, first, second);
  const runs = [
    ['without a penalty', undefined],
    ['with the diagonal penalty', diagonalPenalty(first, learned, settings)],
    ['with the function penalty', functionPenalty(first, learned)],
  ].map(([name, ewc]) => {
    const strength = ewc ? `, lambda ${ewc.config.lambda}` : '';
    screen.write(`\nThe second set after the first, ${name}${strength}\n\n`);
    const adapters = new Map(Array.from(learned, ([side, adapter]) => [side, LoRAAdapter.from(adapter)]));
    train(adapters, second, settings, progressOn(screen, settings.epochs), ewc);
    return { name, lambda: ewc?.config.lambda ?? 0, adapters, ...scoresOf(adapters, first, second) };
  });
  const gainOf = ({ second: { recallAt10 } }) => recallAt10 - start.second.recallAt10;
  const plainGain = gainOf(runs[0]);
  const report = {
    first: first.name,
    second: second.name,
    untrained: scoresOf(undefined, first, second),
    start,
    runs: runs.map(({ adapters: _, ...run }) => ({
      ...run,
      cost: start.first.recallAt1 - run.first.recallAt1,
      keptGain: plainGain > 0 ? gainOf(run) / plainGain : null,
    })),
  };
  return { report, adapters: runs.at(-1).adapters };
}

/** Scores of adapters, or of the bare embeddings, on the held-out queries of both tasks. */
function scoresOf(adapters, ...tasks) {
  const [first, second] = tasks.map(({ heldOut }) => metricsOf(evaluate(heldOut, adapters)));
  return { first, second };
}

/** Keeps the outputs for the first task's inputs and answers in place. */
function functionPenalty({ training }, adapters) {
  const ewc = new EWCManager({ penalty: 'function' });
  ewc.computeFisher(adapters, training, { through: THROUGH });
  return ewc;
}

/**
 * Keeps parameters in place, weighted by the squared gradients of InfoNCE. The gradients come from examples that the
 * adapters were not trained on, because gradients of fitted examples are almost 0.
 */
function diagonalPenalty({ training, validation }, adapters, { seed }) {
  const stride = Math.max(1, Math.floor(training.length / (2 * NEGATIVES)));
  const pool = training.filter((_, i) => i % stride === 0);
  const ewc = new EWCManager({ seed });
  ewc.computeFisher(adapters, validation, {
    adapterGradients: ({ inputEmb, output, outputEmb }) => {
      const negatives = pool.filter(other => other.output !== output).slice(0, NEGATIVES);
      const { adapterGradients } = LossComputer.contrastive(
        [inputEmb],
        [outputEmb],
        negatives.map(negative => negative.outputEmb),
        { adapters, through: THROUGH, temperature: TEMPERATURE, gradients: true },
      );
      return adapterGradients;
    },
  });
  return ewc;
}
