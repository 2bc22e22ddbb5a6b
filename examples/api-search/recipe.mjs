// The recommended recipe: a fitted embedder, an adapter for each side, decay by the length of the training, and the
// weights of the epoch that finds most of the validation pairs.

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
/** Inputs go through one adapter, outputs through another. */
export const THROUGH = { anchors: 'query', positives: 'answer' };

const VALIDATION = 0.1;
const BATCH_SIZE = 128;
const LEARNING_RATE = 3e-3;
/**
 * What weight decay adds up to over a training: rate × decay × steps. This holds it the same for all numbers of pairs
 * and epochs (Wang and Aitchison 2024, "How to set AdamW's weight decay as you scale model and dataset size").
 */
const TOTAL_DECAY = 3;
/** A shorter training decays as one of this many steps, or single steps would overshoot 0. */
const FEWEST_DECAY_STEPS = 10;

/**
 * Splits pairs, fits an embedder to those to train on, and embeds all of them.
 *
 * @param pairs `{ input, output }`, without the held-out ones.
 * @param settings `{ seed }`.
 * @param embedder One that is fitted already, in place of a new one.
 */
export async function prepare(pairs, { seed }, embedder) {
  const parts = splitPairs(pairs, { validation: VALIDATION, by: 'input', seed });
  const fitted =
    embedder ?? (await new NgramEmbedder().fit(parts.train.flatMap(({ input, output }) => [input, output])));
  const preprocessor = new DataPreprocessor({ embedder: fitted });
  const training = await preprocessor.process(parts.train);
  const validation = await preprocessor.process(parts.validation);
  // A search is among the answers of all pairs, so the validation is too.
  return { embedder: fitted, training, validation, lookup: lookupOf(fitted, parts.validation, pairs) };
}

/**
 * Queries to look up: the inputs of `pairs`, among the different outputs of `all` pairs.
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
  // Seeds of their own for every seed of the user's, up to the largest.
  const adapter = side => new LoRAAdapter({ dim, rank, alpha: 2 * rank, seed: (2 * seed + side) % 2 ** 32 });
  return new Map([
    ['query', adapter(0)],
    ['answer', adapter(1)],
  ]);
}

/** A retriever of the answers and the queries as the adapters see them; without adapters, of the bare embeddings. */
export function retrieverOf({ queries, answerRows }, adapters) {
  return {
    retriever: new Retriever(adapters ? adapters.get('answer').forward(answerRows) : answerRows),
    queries: adapters ? adapters.get('query').forward(queries) : queries,
  };
}

/** How well queries find their answers: what `Retriever.evaluate` returns. */
export function evaluate(lookup, adapters) {
  const { retriever, queries } = retrieverOf(lookup, adapters);
  return retriever.evaluate(queries, lookup.relevant);
}

/**
 * Trains the adapters with InfoNCE, each answer against the other answers of its batch, and leaves them with the weights
 * that had the highest MRR on the validation pairs: the untrained ones, if no epoch improved on them.
 *
 * @param adapters What {@link newAdapters} returned, or adapters to go on with.
 * @param task What {@link prepare} returned.
 * @param settings `{ epochs, seed }`.
 * @param progress Called with `{ epoch, step, total, loss, epochLoss, learningRate, mrr }` after each step. `mrr` is that of
 *   a validation, and `epochLoss` the mean loss of the epoch. Both are undefined except at the end of an epoch.
 * @param ewc An `EWCManager`, to keep what the adapters learned before.
 * @returns The mean loss and the MRR of each epoch, the MRR before them first, and the number of the kept one; 0 is none.
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
