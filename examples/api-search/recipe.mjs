// The recommended recipe: a fitted embedder, an adapter for each side, weight decay that suits the length of the
// training, and the weights of the epoch with the best validation MRR.

import {
  AdamW,
  BatchGenerator,
  DataPreprocessor,
  KeepBest,
  LoRAAdapter,
  LossComputer,
  LRSchedulers,
  NgramEmbedder,
  Retriever,
  splitPairs,
} from 'microlora-training-utils';

export const RANK = 128;
export const EPOCHS = 10;
export const TEMPERATURE = 0.07;
/** Inputs go through one adapter, and outputs go through another. */
export const THROUGH = { anchors: 'query', positives: 'answer' };

const VALIDATION = 0.1;
const BATCH_SIZE = 128;
const LEARNING_RATE = 3e-3;
/**
 * Total weight decay over a training: rate × decay × steps. It is the same for all numbers of pairs and epochs (Wang
 * and Aitchison 2024, "How to set AdamW's weight decay as you scale model and dataset size").
 */
const TOTAL_DECAY = 3;
/** A shorter training decays like one with this many steps. Otherwise a single step could overshoot 0. */
const FEWEST_DECAY_STEPS = 10;

/**
 * Splits pairs, fits an embedder to the training pairs, and embeds all pairs.
 *
 * @param pairs `{ input, output }`, without the held-out pairs.
 * @param settings `{ seed }`.
 * @param embedder A fitted embedder to use instead of a new one.
 */
export async function prepare(pairs, { seed }, embedder) {
  const parts = splitPairs(pairs, { validation: VALIDATION, by: 'input', seed });
  const fitted =
    embedder ?? (await new NgramEmbedder().fit(parts.train.flatMap(({ input, output }) => [input, output])));
  const preprocessor = new DataPreprocessor({ embedder: fitted });
  const training = await preprocessor.process(parts.train);
  const validation = await preprocessor.process(parts.validation);
  // A search ranks the answers of all pairs, so validation does too.
  return { embedder: fitted, training, validation, lookup: lookupOf(fitted, parts.validation, pairs) };
}

/**
 * A search task: its queries are the inputs of `pairs`, and its answers are the different outputs of `all` pairs.
 *
 * @returns `{ queries, answers, answerRows, relevant }`, where `relevant` has the index of each query's answer.
 */
export function lookupOf(embedder, pairs, all = pairs) {
  const indices = new Map();
  for (const { output } of all) if (!indices.has(output)) indices.set(output, indices.size);
  const answers = [...indices.keys()];
  return {
    queries: embedder.embed(pairs.map(({ input }) => input)),
    answers,
    answerRows: embedder.embed(answers),
    relevant: pairs.map(({ output }) => indices.get(output)),
  };
}

/** Untrained adapters, which leave rows as they are. */
export function newAdapters(dim, { rank, seed }) {
  // Different user seeds give different seeds of both adapters, up to the largest seed.
  const adapter = side => new LoRAAdapter({ dim, rank, alpha: 2 * rank, seed: (2 * seed + side) % 2 ** 32 });
  return new Map([
    ['query', adapter(0)],
    ['answer', adapter(1)],
  ]);
}

/**
 * A retriever over the answers, and the queries, both through the adapters. Without adapters, both are bare embeddings.
 */
export function retrieverOf({ queries, answerRows }, adapters) {
  return {
    retriever: new Retriever(adapters ? adapters.get('answer').forward(answerRows) : answerRows),
    queries: adapters ? adapters.get('query').forward(queries) : queries,
  };
}

/** How well queries find their answers, as `Retriever.evaluate` returns it. */
export function evaluate(lookup, adapters) {
  const { retriever, queries } = retrieverOf(lookup, adapters);
  return retriever.evaluate(queries, lookup.relevant);
}

/**
 * Trains the adapters with InfoNCE, each answer against the other answers of its batch. The adapters end with the
 * weights that had the highest MRR on the validation pairs. These are the untrained weights if no epoch beat them.
 *
 * @param adapters The adapters of {@link newAdapters}, or adapters to train further.
 * @param task The task that {@link prepare} returned.
 * @param settings `{ epochs, seed }`.
 * @param progress Called with `{ epoch, step, total, loss, epochLoss, learningRate, mrr }` after each step. `mrr` is the
 *   result of a validation, and `epochLoss` the mean loss of the epoch. Both are undefined except at the end of an epoch.
 * @param ewc An `EWCManager` that protects what the adapters learned before.
 * @returns `losses`, the mean loss of each epoch; `validationMrr`, the MRR before the first epoch and after each; and
 *   `keptEpoch`, the number of the kept epoch, 0 for the start.
 */
export function train(adapters, { training, lookup }, { epochs, seed }, progress, ewc) {
  const batches = new BatchGenerator(training, { batchSize: BATCH_SIZE, seed });
  const total = batches.length * epochs;
  const weightDecay = TOTAL_DECAY / (LEARNING_RATE * Math.max(FEWEST_DECAY_STEPS, total));
  const optimizer = new AdamW(adapters, { weightDecay });
  const warmupSteps = Math.round(total / 10);
  const keep = new KeepBest(adapters);
  const losses = new Array(epochs).fill(0);
  const mrrs = [];
  const validate = () => {
    const { mrr } = evaluate(lookup, adapters);
    mrrs.push(mrr);
    keep.step(mrr);
    return mrr;
  };

  progress({ epoch: 0, step: 0, total, mrr: validate() });
  for (const { epoch, step, batch } of batches.epochs(epochs)) {
    const { loss, adapterGradients } = LossComputer.contrastive(batch.anchors, batch.positives, null, {
      adapters,
      through: THROUGH,
      temperature: TEMPERATURE,
      ids: batch.examples.map(({ output }) => output), // Equal answers are not each other's negatives.
      gradients: true,
    });
    ewc?.addPenaltyGradient(adapters, adapterGradients);
    const learningRate = LRSchedulers.warmupCosine(LEARNING_RATE, step, total, { warmupSteps });
    optimizer.step(adapterGradients, learningRate);

    losses[epoch] += (loss * batch.size) / training.length;
    const mrr = batches.remaining === 0 ? validate() : undefined;
    const epochLoss = mrr === undefined ? undefined : losses[epoch];
    progress({ epoch: epoch + 1, step: step + 1, total, loss, epochLoss, learningRate, mrr });
  }
  keep.restore();
  return { losses, validationMrr: mrrs, keptEpoch: keep.bestStep };
}
