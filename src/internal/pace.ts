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

  /** Gives way to whatever waits in the event loop, an abort for one. */
  async pause(): Promise<void> {
    await nextTurn();
    this.#since = performance.now();
    this.throwIfAborted();
  }

  /** The work, given up as soon as the signal is aborted; what becomes of it then goes unheard. */
  untilAborted<T>(work: T | PromiseLike<T>): T | PromiseLike<T> {
    const signal = this.#signal;
    if (signal === undefined) return work;
    return new Promise<T>((resolve, reject) => {
      const abort = (): void => reject(signal.reason);
      // A `Promise.race` with one promise for the whole call would hold on to every result until the call ends.
      signal.addEventListener('abort', abort);
      if (signal.aborted) abort();
      Promise.resolve(work)
        .then(resolve, reject)
        .finally(() => signal.removeEventListener('abort', abort));
    });
  }
}
