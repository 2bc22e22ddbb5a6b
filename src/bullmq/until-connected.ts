import { setTimeout as sleep } from 'node:timers/promises';

/** How long is waited while Redis is away. */
const PATIENCE_MS = 120_000;
const PAUSE_MS = 250;
/** How long work that ends waits for Redis, which may be away. */
export const LEAVING_MS = 1000;

/**
 * Runs a command, and runs it again while Redis is away or starts. The command must be one that may run twice.
 *
 * @throws Error with a plain sentence if Redis is full, the reason of `signal`, and the command's error otherwise.
 */
export async function untilConnected<Result>(command: () => Promise<Result>, signal?: AbortSignal): Promise<Result> {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await unlessAborted(command(), signal);
    } catch (error) {
      signal?.throwIfAborted();
      const message = error instanceof Error ? error.message : String(error);
      if (/\bOOM\b/.test(message))
        throw new Error(`Redis is full: raise its maxmemory or delete keys (${message})`, { cause: error });
      if (!isAway(error, message) || Date.now() > end) throw error;
      await sleep(PAUSE_MS, undefined, signal ? { signal } : {});
    }
  }
}

/** What reports the errors of a connection: a `Queue` or a `Worker` of BullMQ. */
interface Reporter {
  on(event: 'error', listener: (error: Error) => void): unknown;
  off(event: 'error', listener: (error: Error) => void): unknown;
}

/**
 * Waits for a first connection.
 *
 * @throws Error at once if Redis refuses the user or the password, and after two minutes without a connection.
 */
export async function firstConnection<Result>(
  call: string,
  reporter: Reporter,
  ready: Promise<Result>,
  signal?: AbortSignal,
): Promise<Result> {
  const failed = new AbortController();
  let last = 'it does not answer';
  const fail = (): void => failed.abort(new Error(`${call}: there is no connection to Redis: ${last}`));
  const onError = (error: Error): void => {
    last = error.message || String((error as NodeJS.ErrnoException).code);
    if (/^(NOAUTH|WRONGPASS|NOPERM)\b/.test(last)) fail();
  };
  const timer = setTimeout(fail, PATIENCE_MS);
  reporter.on('error', onError);
  try {
    return await unlessAborted(ready, signal ? AbortSignal.any([signal, failed.signal]) : failed.signal);
  } finally {
    clearTimeout(timer);
    reporter.off('error', onError);
  }
}

/** Waits for work, but not for long. Errors do not count. */
export async function atMost(ms: number, work: Promise<unknown>): Promise<void> {
  const timer = new AbortController();
  const end = sleep(ms, undefined, { signal: timer.signal }).catch(() => {});
  await Promise.race([work.catch(() => {}), end]);
  timer.abort();
}

/** The result of work, or the reason of the signal, whichever comes first. */
function unlessAborted<Result>(work: Promise<Result>, signal: AbortSignal | undefined): Promise<Result> {
  if (!signal) return work;
  work.catch(() => {});
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason);
    if (signal.aborted) return stop();
    signal.addEventListener('abort', stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

const AWAY_CODES = ['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EAI_AGAIN', 'UNCERTAIN_STATE'];
const AWAY_MESSAGES = /Connection is closed|max retries per request|isn't writeable|^LOADING\b/;

function isAway(error: unknown, message: string): boolean {
  return AWAY_CODES.includes((error as NodeJS.ErrnoException)?.code ?? '') || AWAY_MESSAGES.test(message);
}
