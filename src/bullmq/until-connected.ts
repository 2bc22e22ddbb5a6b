import { setTimeout as sleep } from 'node:timers/promises';

/** How long is waited while Redis is away. */
const PATIENCE_MS = 120_000;
const PAUSE_MS = 250;
/** How long work that ends waits for Redis, which may be away. */
export const LEAVING_MS = 1000;

/**
 * Runs a command, and runs it again while Redis is away or starts. The command must be one that may run twice.
 *
 * @throws Error with a plain sentence if Redis is full or away for two minutes, the reason of `signal`, and the command's
 *   error otherwise.
 */
export async function untilConnected<Result>(command: () => Promise<Result>, signal?: AbortSignal): Promise<Result> {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await limited(command(), end - Date.now(), signal);
    } catch (error) {
      signal?.throwIfAborted();
      const message = error instanceof Error ? error.message : String(error);
      if (/\bOOM\b/.test(message))
        throw new Error(`Redis is full: raise its maxmemory or delete keys (${message})`, { cause: error });
      if (!isAway(error, message) || Date.now() > end) throw error;
      await limited(sleep(PAUSE_MS), PATIENCE_MS, signal);
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
  const refused = new AbortController();
  let last = 'it does not answer';
  const failure = (): Error => new Error(`${call}: there is no connection to Redis: ${last}`);
  const onError = (error: Error): void => {
    last = error.message || String((error as NodeJS.ErrnoException).code);
    if (/^(NOAUTH|WRONGPASS|NOPERM)\b/.test(last)) refused.abort(failure());
  };
  reporter.on('error', onError);
  try {
    return await limited(
      ready,
      PATIENCE_MS,
      signal ? AbortSignal.any([signal, refused.signal]) : refused.signal,
      failure,
    );
  } finally {
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

/** The result of work. Rejects with the reason of the signal, or after some milliseconds, if that comes first. */
function limited<Result>(
  work: Promise<Result>,
  ms: number,
  signal: AbortSignal | undefined,
  failure = (): Error => new Error('Redis has not answered for two minutes'),
): Promise<Result> {
  work.catch(() => {});
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal!.reason);
    if (signal?.aborted) return stop();
    signal?.addEventListener('abort', stop, { once: true });
    const timer = setTimeout(() => reject(failure()), ms);
    work.then(resolve, reject).finally(() => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', stop);
    });
  });
}

const AWAY_CODES = ['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EAI_AGAIN', 'UNCERTAIN_STATE'];
const AWAY_MESSAGES = /Connection is closed|max retries per request|isn't writeable|^LOADING\b/;

function isAway(error: unknown, message: string): boolean {
  return AWAY_CODES.includes((error as NodeJS.ErrnoException)?.code ?? '') || AWAY_MESSAGES.test(message);
}
