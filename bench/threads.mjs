// Compares one thread with several, in turns. Checks that results are the same to the bit.

import {
  LossComputer,
  Retriever,
  releaseKernelMemory,
  useKernelBackend,
  useKernelThreads,
} from 'microlora-training-utils';
import { measure } from './measure.mjs';
import { BATCHES, batchOf, DIM, TEMPERATURE, trainerOf } from './step.mjs';

const THREADS = 2;
/** Milliseconds after which helper threads have started. */
const START = 50;

/** `npm run bench -- threads` */
export function runThreads() {
  useKernelBackend('simd');
  console.log(`\nthreads: 1 against ${THREADS}; each thread needs a free core`);
  print(['', '1 thread ms', `${THREADS} threads ms`, 'ratio']);
  for (const n of BATCHES) {
    const data = batchOf(n);
    const options = { temperature: TEMPERATURE };
    const { anchors, positives } = data;
    compare(`step, batch ${n}`, trainerOf(data).step, () => trainerOf(data).step());
    compare(`loss, batch ${n}`, () => LossComputer.contrastive(anchors, positives, null, options).loss);
    const withGradients = () => LossComputer.contrastive(anchors, positives, null, { ...options, gradients: true });
    compare(`gradients of rows, batch ${n}`, withGradients, () =>
      withGradients().gradients.map(row => Array.from(row)),
    );
  }
  const { anchors: candidates } = batchOf(20_000);
  const { anchors: queries } = batchOf(1000);
  const retriever = new Retriever(candidates);
  for (const count of [1, 10, 100, 1000]) {
    const some = queries.slice(0, count);
    const search = () => retriever.search(some, 10);
    compare(`search, 20,000 × ${DIM}, ${count} queries`, search, () => search().scores.map(row => Array.from(row)));
  }
  useKernelThreads(1);
}

/** Sets the number of threads and waits until helpers have started, so every turn begins in the same state. */
export function startThreads(count) {
  useKernelThreads(count);
  LossComputer.contrastive(warmUp, warmUp);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, START);
  LossComputer.contrastive(warmUp, warmUp);
}

const { anchors: warmUp } = batchOf(256);

/** @param result Returns the value that must be the same for any number of threads. */
function compare(name, run, result = run) {
  const results = [1, THREADS].map(count => {
    startThreads(count);
    return JSON.stringify(result());
  });
  if (results[0] !== results[1]) throw new Error(`${name}: the results differ`);
  const ms = measure({ 1: run, [THREADS]: run }, count => startThreads(Number(count)));
  print([name, ms[1].toFixed(3), ms[THREADS].toFixed(3), `×${(ms[1] / ms[THREADS]).toFixed(2)}`]);
  releaseKernelMemory();
}

function print(cells) {
  console.log(cells.map((cell, i) => (i === 0 ? cell.padEnd(40) : cell.padStart(15))).join(''));
}
