import {
  AdamW,
  BatchGenerator,
  KeepBest,
  LoRAAdapter,
  LossComputer,
  LRSchedulers,
  Retriever,
} from 'microlora-training-utils';

const BATCH_SIZE = 64;
const LEARNING_RATE = 1e-3;
const PATIENCE = 5;

/**
 * Trains an adapter for the queries and one for the answers with InfoNCE, each answer against the other answers of its
 * batch. The adapters end with the weights of the epoch with the best validation. If no epoch beat the start, they
 * change nothing.
 *
 * @param examples Examples with `inputEmb`, `output` and `outputEmb`.
 * @param validation Questions of `questionsOf`.
 * @param answerRows One row per answer. The questions rank them.
 * @param settings `{ dim, rank, epochs, seed }`.
 * @param onEpoch Called after each epoch with its number from 1, its mean loss and the evaluation.
 * @returns `{ adapters, bestEpoch }`: a Map of 'query' and 'answer', and the epoch of their weights, 0 for the start.
 */
export function train(examples, validation, answerRows, { dim, rank, epochs, seed }, onEpoch) {
  const query = new LoRAAdapter({ dim, rank, alpha: 2 * rank, seed });
  const answer = new LoRAAdapter({ dim, rank, alpha: 2 * rank, seed: (seed + 1) % 2 ** 32 });
  const adapters = new Map([
    ['query', query],
    ['answer', answer],
  ]);
  const optimizer = new AdamW(adapters);
  const batches = new BatchGenerator(examples, { batchSize: BATCH_SIZE, seed });
  const totalSteps = batches.length * epochs;
  const warmupSteps = Math.round(totalSteps / 10);

  const validate = () => evaluate(adapters, validation, answerRows);
  const keepBest = new KeepBest(adapters, { mode: 'max', patience: PATIENCE });
  keepBest.step(validate().mrr); // The start counts too.

  let epochLoss = 0;
  for (const { epoch, step, batch } of batches.epochs(epochs)) {
    const { loss, adapterGradients } = LossComputer.contrastive(batch.anchors, batch.positives, null, {
      adapters,
      through: { anchors: 'query', positives: 'answer' },
      ids: batch.examples.map(({ output }) => output), // Equal answers are not each other's negatives.
      gradients: true,
    });
    optimizer.step(adapterGradients, LRSchedulers.warmupCosine(LEARNING_RATE, step, totalSteps, { warmupSteps }));

    epochLoss += (loss * batch.size) / examples.length;
    if (batches.remaining > 0) continue;
    const evaluation = validate();
    onEpoch(epoch + 1, epochLoss, evaluation);
    epochLoss = 0;
    if (!keepBest.step(evaluation.mrr)) break;
  }
  keepBest.restore();
  return { adapters, bestEpoch: keepBest.bestStep };
}

/** How well questions find their answers through the adapters. */
export function evaluate(adapters, { rows, relevant }, answerRows) {
  const answers = new Retriever(adapters.get('answer').forward(answerRows));
  return answers.evaluate(adapters.get('query').forward(rows), relevant);
}
