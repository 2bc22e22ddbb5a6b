import { startWorker, whyNoWorkers } from '#platform/workers';

/**
 * Words of the control array. Words that different threads write lie on separate cache lines.
 *
 * - `generation` counts up when a task opens (to an odd number) and when it closes (to an even number).
 * - `next` is the next index of the task.
 * - `active` is the number of working helpers.
 * - `failed` is 1 after a kernel has thrown.
 * - `ended` is 1 when the helpers must end.
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

/** The data that a helper gets. */
export interface HelperData {
  module: object;
  memory: object;
  control: Int32Array;
  /** Number of the thread, from 1. The caller is thread 0. */
  thread: number;
}

export interface Helper {
  end(): void;
}

/** How long a helper looks for the next task before it sleeps, in milliseconds. */
const SPIN = 0.05;

/**
 * The whole program of a helper, as source text: there is no file that a bundler could lose. `KernelThreads` describes
 * the protocol of `control`.
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
`;

/** The reason why helper threads cannot run here, or undefined where they can. */
export function whyNoHelpers(): string | undefined {
  if (typeof SharedArrayBuffer === 'undefined')
    return 'SharedArrayBuffer is missing here; a page gets it when it is served with the headers of cross-origin isolation';
  return whyNoWorkers();
}

/** Starts a helper, which does not keep the process alive. A helper that cannot start never takes an index. */
export function startHelper(data: HelperData): Helper {
  try {
    return startWorker(SOURCE, 'help', data);
  } catch {
    return { end: () => {} };
  }
}
