import { nextTurn } from '#platform/next-turn';

/** Milliseconds of work between two turns of the event loop. */
const SLICE = 10;

/** Lets a long call share its thread, and ends it when its signal is aborted. */
export class Pace {
  readonly #signal: AbortSignal | undefined;
  #since = performance.now();

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal;
  }

  get isAborted(): boolean {
    return this.#signal?.aborted === true;
  }

  /** @throws The signal's reason. */
  throwIfAborted(): void {
    if (this.isAborted) throw this.#signal!.reason;
  }

  /** Whether it is time for a {@link pause}. */
  isDue(): boolean {
    return performance.now() - this.#since >= SLICE;
  }

  /** Lets other work of the event loop run, such as an abort. */
  async pause(): Promise<void> {
    await nextTurn();
    this.#since = performance.now();
    this.throwIfAborted();
  }

  /** Waits for the work until the signal is aborted. After that, the result of the work is ignored. */
  untilAborted<T>(work: T | PromiseLike<T>): T | PromiseLike<T> {
    const signal = this.#signal;
    if (signal === undefined) return work;
    return new Promise<T>((resolve, reject) => {
      const abort = (): void => reject(signal.reason);
      // `Promise.race` with one promise for the whole call would keep every result in memory until the call ends.
      signal.addEventListener('abort', abort);
      if (signal.aborted) abort();
      Promise.resolve(work)
        .then(resolve, reject)
        .finally(() => signal.removeEventListener('abort', abort));
    });
  }
}
