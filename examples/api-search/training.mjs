import { AdamW, BatchGenerator, LossComputer, LRSchedulers } from 'microlora-training-utils';

const BATCH_SIZE = 64;
const LEARNING_RATE = 3e-3;
export const TEMPERATURE = 0.07;

/**
 * Trains an adapter of the queries with InfoNCE: each answer against the other answers of its batch. With an EWC
 * manager the adapter keeps what that remembers.
 *
 * @returns The mean loss of each epoch.
 */
export function train(adapter, examples, { epochs, seed }, screen, ewc) {
  const batches = new BatchGenerator(examples, { batchSize: BATCH_SIZE, seed });
  const adapters = new Map([['query', adapter]]);
  const optimizer = new AdamW(adapters);
  const totalSteps = batches.length * epochs;
  const warmupSteps = Math.round(totalSteps / 10);
  const showProgress = progressOn(screen, epochs, totalSteps);
  const losses = new Array(epochs).fill(0);

  for (const { epoch, step, batch } of batches.epochs(epochs)) {
    const queries = adapter.forward(batch.anchors);
    const { loss, gradients } = LossComputer.contrastive(queries, batch.positives, null, {
      temperature: TEMPERATURE,
      ids: batch.examples.map(example => example.output), // Equal answers are not each other's negatives.
      gradients: true,
    });
    const grads = new Map([['query', adapter.backward(gradients)]]);
    ewc?.addPenaltyGradient(adapters, grads);
    const learningRate = LRSchedulers.warmupCosine(LEARNING_RATE, step, totalSteps, { warmupSteps });
    optimizer.step(grads, learningRate);

    losses[epoch] += (loss * batch.size) / examples.length;
    showProgress({ epoch, step, loss, learningRate, epochLoss: batches.remaining === 0 ? losses[epoch] : undefined });
  }
  return losses;
}

/** On a terminal one line that keeps changing, elsewhere a line an epoch. */
function progressOn(screen, epochs, totalSteps) {
  const start = performance.now();
  let lastShown = -Infinity;
  return ({ epoch, step, loss, learningRate, epochLoss }) => {
    const isDone = step + 1 === totalSteps;
    const now = performance.now();
    if (screen.isTTY ? !isDone && now - lastShown < 100 : epochLoss === undefined) return;
    lastShown = now;
    const seconds = Math.ceil((((now - start) / (step + 1)) * (totalSteps - step - 1)) / 1000);
    const line = [
      `epoch ${String(epoch + 1).padStart(String(epochs).length)}/${epochs}`,
      `loss ${(epochLoss ?? loss).toFixed(4)}`,
      `learning rate ${learningRate.toExponential(1)}`,
      `${seconds} s left`,
    ].join('   ');
    screen.write(screen.isTTY ? `\r  ${line}\x1b[K${isDone ? '\n' : ''}` : `  ${line}\n`);
  };
}
