// A whole training step: an adapter with residual on the anchors, InfoNCE over the batch, gradients, and AdamW.

import {
  AdamW,
  BatchGenerator,
  kernelThreads,
  LoRAAdapter,
  LossComputer,
  LRSchedulers,
  releaseKernelMemory,
  useKernelBackend,
  useKernelThreads,
} from 'microlora-training-utils';
import { measure } from './measure.mjs';

export const DIM = 384;
export const RANK = 8;
export const TEMPERATURE = 0.07;
export const LR = 1e-3;
export const BATCHES = [64, 256, 1024, 4096];
/** Number of steps whose losses and weights are compared before any step is timed. */
const COMPARED = 5;

const INT16 = { options: { precision: 'int16' }, tolerance: { loss: 1e-4, moves: 5e-2 } };

/** The ways of this library to run the step, by column: options of `contrastive`, tolerance, and number of threads. */
export const WAYS = {
  float32: { options: {} },
  int16: INT16,
  'float32, 2 threads': { options: {}, threads: 2 },
  'int16, 2 threads': { ...INT16, threads: 2 },
};

/** `npm run bench -- step`: each way against separate calls. */
export function runStep() {
  useKernelBackend('simd');
  console.log(`\nstep: LoRA ${DIM} rank ${RANK}, InfoNCE, backward, AdamW; × is the speed-up over separate calls`);
  print(['', 'separate ms', ...Object.keys(WAYS).flatMap(name => [`${name} ms`, 'ratio'])]);
  for (const n of BATCHES) {
    const data = batchOf(n);
    const composed = composedTrainer(data);
    const expected = train(composed);
    const cells = [];
    for (const threads of [1, 2]) {
      useKernelThreads(threads);
      const steps = { composed: composed.step };
      for (const [name, way] of Object.entries(WAYS)) {
        if ((way.threads ?? 1) !== threads) continue;
        const trainer = trainerOf(data, way.options);
        expectSame(`step, batch ${n}, ${name}`, train(trainer), expected, way.tolerance);
        steps[name] = trainer.step;
      }
      // The time of separate calls comes from one thread. With two threads, they only warm the helpers up.
      const ms = measure(steps);
      if (threads === 1) cells.push(ms.composed);
      for (const name of Object.keys(steps).slice(1)) cells.push(ms[name]);
    }
    const [base, ...times] = cells;
    print([
      `step, batch ${n}`,
      base.toFixed(3),
      ...times.flatMap(time => [time.toFixed(3), `×${(base / time).toFixed(2)}`]),
    ]);
    releaseKernelMemory();
  }
  useKernelThreads(1);
}

/** Prepares a turn, untimed: sets and starts the threads of the way, or one thread without a way. */
export function prepare(way, step) {
  const threads = way?.threads ?? 1;
  if (kernelThreads() === threads) return;
  useKernelThreads(threads);
  if (threads === 1) return;
  step();
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, START_MS);
  step();
}

/** Milliseconds after which helper threads have started. */
const START_MS = 50;

/** Seeded rows, and an adapter whose B is not zero, so both of its matrices have gradients from the first step. */
export function batchOf(n) {
  const random = generator(n);
  const rows = (count, width, scale) =>
    Array.from({ length: count }, () => Float32Array.from({ length: width }, () => scale * (random() - 0.5)));
  const anchors = rows(n, DIM, 1);
  // Answers resemble their anchors, as in real training data.
  const positives = rows(n, DIM, 2).map((row, i) => row.map((value, k) => value + anchors[i][k]));
  return { anchors, positives, adapter: { loraA: rows(DIM, RANK, 0.1), loraB: rows(RANK, DIM, 0.1), scaling: 1 } };
}

/** A step with loss and adapter in one call. */
export function trainerOf({ anchors, positives, adapter }, options = {}) {
  const { adapters, optimizer, weights } = learner(adapter);
  const all = { ...options, temperature: TEMPERATURE, gradients: true, adapters, through: { anchors: 'query' } };
  const step = () => {
    const { loss, adapterGradients } = LossComputer.contrastive(anchors, positives, null, all);
    optimizer.step(adapterGradients);
    return loss;
  };
  return { step, weights };
}

/** The same step with separate calls. */
function composedTrainer({ anchors, positives, adapter }) {
  const { adapters, optimizer, weights } = learner(adapter);
  const query = adapters.get('query');
  const options = { temperature: TEMPERATURE, gradients: true, wrt: ['anchors'] };
  const step = () => {
    const { output, backward } = query.trace(anchors);
    const { loss, gradients } = LossComputer.contrastive(output, positives, null, options);
    const { gradA, gradB } = backward(gradients);
    optimizer.step(new Map([['query', { gradA, gradB }]]));
    return loss;
  };
  return { step, weights };
}

function learner(adapter) {
  const adapters = new Map([['query', LoRAAdapter.from(adapter)]]);
  // Without decay, AdamW is Adam, which other libraries have too.
  const optimizer = new AdamW(adapters, { lr: LR, weightDecay: 0 });
  const weights = () => {
    const { loraA, loraB } = adapters.get('query');
    return [...loraA, ...loraB].flatMap(row => Array.from(row));
  };
  return { adapters, optimizer, weights };
}

/** Losses of the first steps, and the moves of all weights over them. */
export function train({ step, weights }) {
  const before = weights();
  const losses = Array.from({ length: COMPARED }, () => step());
  return { losses, moves: weights().map((value, i) => value - before[i]) };
}

/**
 * Losses must agree closely. Of moves, only the mean difference is bounded: Adam moves an entry by its rate however
 * small the gradient is, and rounding decides the signs of the smallest gradients.
 */
export function expectSame(name, actual, expected, { loss = 1e-5, moves = 1e-2 } = {}) {
  const differences = differencesOf(actual, expected);
  if (!(differences.loss <= loss)) throw new Error(`${name}: a loss differs by ${differences.loss}`);
  if (!(differences.moves <= moves))
    throw new Error(`${name}: the moves of the weights differ by ${differences.moves}`);
}

/** The largest relative difference of the losses, and the relative root mean square of the differences of the moves. */
export function differencesOf(actual, expected) {
  const squares = values => values.reduce((sum, value) => sum + value * value, 0);
  const ofLosses = actual.losses.map((value, i) => Math.abs(value / expected.losses[i] - 1));
  const ofMoves = actual.moves.map((value, i) => value - expected.moves[i]);
  return { loss: Math.max(...ofLosses), moves: Math.sqrt(squares(ofMoves) / squares(expected.moves)) };
}

/** A seeded random generator (Mulberry32). */
function generator(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function print(cells) {
  console.log(cells.map((cell, i) => (i === 0 ? cell.padEnd(24) : cell.padStart(15))).join(''));
}

/**
 * `npm run bench -- job`: a whole small training with batches and schedule. It has the size of a public set of pairs.
 */
export function runJob() {
  useKernelBackend('simd');
  const [pairs, epochs, batchSize] = [2371, 10, 64];
  const { anchors, positives, adapter } = batchOf(pairs);
  const data = anchors.map((inputEmb, i) => ({ inputEmb, outputEmb: positives[i] }));
  const job = options => () => {
    const { adapters, optimizer } = learner(adapter);
    const all = { ...options, gradients: true, adapters, through: { anchors: 'query' } };
    const batches = new BatchGenerator(data, { batchSize, seed: 1 });
    const total = epochs * batches.length;
    for (const { batch, step } of batches.epochs(epochs)) {
      const { adapterGradients } = LossComputer.contrastive(batch.anchors, batch.positives, null, all);
      optimizer.step(adapterGradients, LRSchedulers.warmupCosine(LR, step, total, { warmupSteps: total / 10 }));
    }
  };
  const ms = measure({ float32: job({}), int16: job({ precision: 'int16' }) });
  console.log(`\njob: ${pairs} pairs, ${epochs} epochs, batch ${batchSize}, rank ${RANK}`);
  print(['', 'float32 ms', 'int16 ms']);
  print(['whole job', ms.float32.toFixed(1), ms.int16.toFixed(1)]);
}
