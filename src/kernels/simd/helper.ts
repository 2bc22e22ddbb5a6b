import { startWorker, whyNoWorkers } from '#platform';

/**
 * Words of the control array. Those that different threads write lie on cache lines of their own.
 *
 * `generation` counts up when a task opens (odd) and when it closes (even), `next` is the next index to do, `active` the
 * number of helpers at work, `failed` is 1 once a kernel has thrown, `ended` once the helpers are to go.
 */
export const SLOTS = {
  generation: 0,
  ended: 1,
  failed: 2,
  kernel: 16,
  count: 17,
  pointer: 18,
  scratch: 19,
  stride: 20,
  next: 32,
  active: 48,
  words: 64,
} as const;

/** What a helper is given to work with. */
export interface HelperData {
  module: object;
  memory: object;
  control: Int32Array;
  /** From 1; the caller is thread 0. */
  thread: number;
}

export interface Helper {
  end(): void;
}

/** How long a helper looks for the next task before it sleeps, in milliseconds. */
const SPIN = 0.05;

/**
 * All that a helper runs, as source text: no file to find, whatever bundler made the program. See `KernelThreads` for
 * what the words of `control` mean to whom.
 */
const SOURCE = `'use strict';
function help({ module, memory, control, thread }) {
  const kernels = Object.values(new WebAssembly.Instance(module, { env: { memory } }).exports);
  const clock = performance;
  for (let seen = 0; ; ) {
    const end = clock.now() + ${SPIN};
    let generation = Atomics.load(control, ${SLOTS.generation});
    while (generation === seen || generation % 2 === 0) {
      if (Atomics.load(control, ${SLOTS.ended}) === 1) return;
      if (clock.now() > end) Atomics.wait(control, ${SLOTS.generation}, generation);
      generation = Atomics.load(control, ${SLOTS.generation});
    }
    seen = generation;
    Atomics.add(control, ${SLOTS.active}, 1);
    if (Atomics.load(control, ${SLOTS.generation}) === seen) {
      try {
        const kernel = kernels[control[${SLOTS.kernel}]];
        const count = control[${SLOTS.count}];
        const pointer = control[${SLOTS.pointer}];
        const scratch = control[${SLOTS.scratch}] + thread * control[${SLOTS.stride}];
        for (let i; (i = Atomics.add(control, ${SLOTS.next}, 1)) < count; ) kernel(pointer, i, scratch);
      } catch {
        Atomics.store(control, ${SLOTS.failed}, 1);
      }
    }
    Atomics.sub(control, ${SLOTS.active}, 1);
    Atomics.notify(control, ${SLOTS.active});
  }
}
if (typeof require === 'function') help(require('node:worker_threads').workerData);
else onmessage = event => (help(event.data), close());
`;

/** Why there can be no helper threads here, or undefined. */
export function whyNoHelpers(): string | undefined {
  if (typeof SharedArrayBuffer === 'undefined')
    return 'SharedArrayBuffer is missing here; a page gets it when it is served with the headers of cross-origin isolation';
  return whyNoWorkers();
}

/** Starts a helper. If it cannot start, it is a helper that never takes an index. */
export function startHelper(data: HelperData): Helper {
  try {
    return startWorker(SOURCE, data);
  } catch {
    return { end: () => {} };
  }
}
