import { EWCManager, LoRAAdapter, LossComputer } from 'microlora-training-utils';
import { findAll, metricsOf } from './search.mjs';
import { TEMPERATURE, train } from './training.mjs';

/** Negatives of each example's own loss: what a batch of 64 shows it. */
const NEGATIVES = 63;

/**
 * Lets an adapter that has learned one task learn another, once plainly and once with each penalty, all three from the
 * same start.
 *
 * @param first The task it has learned, `{ name, training, heldOut, candidates }`.
 * @param second The task it is to learn.
 * @param learned The adapter.
 * @param settings `{ epochs, seed }`.
 * @param screen Where progress is written to.
 */
export function learnOn(first, second, learned, settings, screen) {
  const adapters = new Map([['query', learned]]);
  const diagonal = new EWCManager({ seed: settings.seed });
  diagonal.computeFisher(adapters, first.training, { gradients: contrastiveGradients(first.training) });
  const outputs = new EWCManager({ penalty: 'function' });
  outputs.computeFisher(adapters, first.training);

  const start = scoresOf(learned, first, second);
  const runs = [
    ['plainly', undefined],
    [`diagonal penalty, lambda ${diagonal.config.lambda}`, diagonal],
    [`function penalty, lambda ${outputs.config.lambda}`, outputs],
  ].map(([name, ewc]) => {
    screen.write(`\n${second.name} after ${first.name}, ${name}\n`);
    const adapter = LoRAAdapter.from(learned);
    train(adapter, second.training, settings, screen, ewc);
    return { name, ...scoresOf(adapter, first, second) };
  });
  const [plain] = runs;
  const gainOf = ({ second: { recallAt10 } }) => recallAt10 - start.second.recallAt10;
  return {
    first: first.name,
    second: second.name,
    untrained: scoresOf(undefined, first, second),
    start,
    runs: runs.map(run => ({
      ...run,
      cost: start.first.recallAt1 - run.first.recallAt1,
      keptGain: gainOf(plain) > 0 ? gainOf(run) / gainOf(plain) : null,
    })),
  };
}

/** Scores on the held-out queries of both tasks, of an adapter or of the bare embeddings. */
function scoresOf(adapter, ...tasks) {
  const [first, second] = tasks.map(({ heldOut, candidates }) => {
    const queries = heldOut.map(example => example.inputEmb);
    return metricsOf(findAll(adapter ? adapter.forward(queries) : queries, heldOut, candidates));
  });
  return { first, second };
}

/** The gradients of one example's InfoNCE against answers from all over the data, the same ones for every example. */
function contrastiveGradients(examples) {
  const stride = Math.max(1, Math.floor(examples.length / (2 * NEGATIVES)));
  const pool = examples.filter((_, i) => i % stride === 0);
  return (example, adapter) => {
    const negatives = pool.filter(({ output }) => output !== example.output).slice(0, NEGATIVES);
    const { gradients } = LossComputer.contrastive(
      adapter.forward([example.inputEmb]),
      [example.outputEmb],
      negatives.map(({ outputEmb }) => outputEmb),
      { temperature: TEMPERATURE, gradients: true },
    );
    return adapter.backward(gradients);
  };
}
