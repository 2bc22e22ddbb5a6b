import { type Helper, SLOTS, startHelper } from './helper.js';

const { generation, kernel, count, pointer, scratch, stride, next, active, failed, ended, words } = SLOTS;

/** How often the caller checks whether the helpers are done before it sleeps. This takes about 50 µs. */
const LOOKS = 6000;
/** The caller gives up waiting after this many milliseconds, or this many times the duration of its own share. */
const PATIENCE_MS = 2000;
const PATIENCE = 10;
/** Longest sleep in milliseconds. The caller looks at the clock after each sleep. */
const NAP = 100;

/** Bound at load time, because test runners may later replace the clock by one that stands still. */
const now = performance.now.bind(performance);

/** A task of the threads: call exported kernel number `kernel` as `(pointer, i, scratch)` for each i below `count`. */
export interface Task {
  kernel: number;
  count: number;
  pointer: number;
  /** Thread t has `stride` bytes at `scratch + t · stride`. The caller is thread 0. */
  scratch: number;
  stride: number;
}

/**
 * Helper threads over one shared memory. The caller takes part in every task. It does not wait for a helper to start or
 * to wake: each running thread takes the next index until there is none.
 *
 * A task is open while the generation is odd. A helper first counts itself active, and then checks whether the task is
 * still open. The caller first closes the task, and then waits until no helper is active. So no helper reads the fields
 * of a task while the caller writes them, and all indices are done when the last helper has left.
 */
export class KernelThreads {
  readonly #control = new Int32Array(new SharedArrayBuffer(4 * words));
  readonly #helpers: Helper[];

  /**
   * @param module Must be compiled for shared memory.
   * @param helpers Number of helpers, without the caller.
   */
  constructor(module: object, memory: object, helpers: number, start = startHelper) {
    const control = this.#control;
    this.#helpers = Array.from({ length: helpers }, (_, i) => start({ module, memory, control, thread: i + 1 }));
  }

  /**
   * Runs a task together with the helpers. The caller runs `own(i)` for its own indices. Returns false where a helper
   * failed or does not finish: then no index counts as done, and helpers may write to the memory at any later time.
   */
  run(task: Task, own: (i: number) => void, meanwhile?: () => void): boolean {
    const control = this.#control;
    control[kernel] = task.kernel;
    control[count] = task.count;
    control[pointer] = task.pointer;
    control[scratch] = task.scratch;
    control[stride] = task.stride;
    Atomics.store(control, next, 0);
    Atomics.add(control, generation, 1);
    Atomics.notify(control, generation);
    const start = now();
    let isDone = false;
    try {
      meanwhile?.();
      for (let i = Atomics.add(control, next, 1); i < task.count; i = Atomics.add(control, next, 1)) own(i);
    } finally {
      Atomics.add(control, generation, 1);
      isDone = this.#waitForHelpers(Math.max(PATIENCE_MS, PATIENCE * (now() - start)));
    }
    return isDone;
  }

  /** Ends the helpers. */
  end(): void {
    Atomics.store(this.#control, ended, 1);
    Atomics.add(this.#control, generation, 2);
    Atomics.notify(this.#control, generation);
    for (const helper of this.#helpers) helper.end();
  }

  #waitForHelpers(patience: number): boolean {
    const control = this.#control;
    for (let look = 0; look < LOOKS; look++) if (Atomics.load(control, active) === 0) break;
    const end = now() + patience;
    for (let running = Atomics.load(control, active); running > 0; running = Atomics.load(control, active)) {
      if (!sleep(control, active, running) && now() > end) return false;
    }
    return Atomics.load(control, failed) === 0;
  }
}

/** Sleeps until the value changes, at most {@link NAP}. False where it did not. A browser's page must not sleep. */
function sleep(control: Int32Array, index: number, value: number): boolean {
  try {
    return Atomics.wait(control, index, value, NAP) !== 'timed-out';
  } catch {
    return Atomics.load(control, index) !== value;
  }
}
