// Timing side by side: the variants of a row take turns, so a slow phase of the machine slows all of them.

import { Worker } from 'node:worker_threads';

/** Least time per variant of a row in milliseconds, and least number of turns. */
const LEAST_TIME = 400;
const LEAST_TURNS = 7;
/** Least duration of a sample in milliseconds, so that the resolution of the clock does not matter. */
const LEAST_SAMPLE = 0.2;

/**
 * @param {Record<string, () => unknown>} variants Functions that do the same work.
 * @param {(name: string) => void} before Called before each turn of a variant, untimed.
 * @returns {Record<string, number>} Median milliseconds by variant.
 */
export function measure(variants, before = () => {}) {
  const entries = Object.entries(variants).map(([name, run]) => {
    before(name);
    return { name, run, repeat: warmUp(run), samples: [] };
  });
  const end = performance.now() + LEAST_TIME * entries.length;
  for (let turn = 0; turn < LEAST_TURNS || performance.now() < end; turn++) {
    for (const { name, run, repeat, samples } of entries) {
      before(name);
      const start = performance.now();
      for (let i = 0; i < repeat; i++) run();
      samples.push((performance.now() - start) / repeat);
    }
  }
  return Object.fromEntries(entries.map(({ name, samples }) => [name, median(samples)]));
}

/** Runs a function until it is compiled. Returns the number of runs per sample. */
function warmUp(run) {
  const start = performance.now();
  let calls = 0;
  while (calls < 3 || (performance.now() - start < 100 && calls < 2000)) {
    run();
    calls++;
  }
  const once = (performance.now() - start) / calls;
  return Math.max(1, Math.ceil(LEAST_SAMPLE / once));
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

/** {@link measure} for slow functions that return promises. `before` is awaited. */
export async function measureAsync(variants, before = () => {}) {
  const entries = Object.entries(variants).map(([name, run]) => ({ name, run, samples: [] }));
  for (const { name, run } of entries) {
    await before(name);
    await run();
  }
  for (let turn = 0; turn < LEAST_TURNS; turn++) {
    for (const { name, run, samples } of entries) {
      await before(name);
      const start = performance.now();
      await run();
      samples.push(performance.now() - start);
    }
  }
  return Object.fromEntries(entries.map(({ name, samples }) => [name, median(samples)]));
}

/** Runs a synchronous function. Returns its result and the peak of the resident memory that it took, in bytes. */
export async function peakWhile(run) {
  const shared = new Float64Array(new SharedArrayBuffer(8));
  const code = `
    const { parentPort, workerData } = require('node:worker_threads');
    const sample = () => (workerData[0] = Math.max(workerData[0], process.memoryUsage.rss()));
    sample();
    setInterval(sample, 5);
    parentPort.postMessage('ready');`;
  const sampler = new Worker(code, { eval: true, workerData: shared });
  await new Promise(resolve => sampler.once('message', resolve));
  const before = process.memoryUsage.rss();
  shared[0] = before;
  const result = run();
  const peak = Math.max(shared[0], process.memoryUsage.rss()) - before;
  await sampler.terminate();
  return { result, peak };
}
