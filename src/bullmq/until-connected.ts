import { setTimeout as sleep } from 'node:timers/promises';

/** How long a command is tried again while Redis is away. */
const PATIENCE_MS = 120_000;
const PAUSE_MS = 250;

/**
 * Runs a command, and runs it again while Redis is away or starts. The command must be one that may run twice.
 *
 * @throws Error with a plain sentence if Redis is full, and the command's error otherwise.
 */
export async function untilConnected<Result>(command: () => Promise<Result>, signal?: AbortSignal): Promise<Result> {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await command();
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      if (/\bOOM\b/.test(message))
        throw new Error(`Redis is full: raise its maxmemory or delete keys (${message})`, { cause: error });
      if (!isAway(error, message) || Date.now() > end) throw error;
      await sleep(PAUSE_MS, undefined, signal ? { signal } : {});
    }
  }
}

const AWAY_CODES = ['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EAI_AGAIN', 'UNCERTAIN_STATE'];
const AWAY_MESSAGES = /Connection is closed|max retries per request|isn't writeable|^LOADING\b/;

function isAway(error: unknown, message: string): boolean {
  return AWAY_CODES.includes((error as NodeJS.ErrnoException)?.code ?? '') || AWAY_MESSAGES.test(message);
}
