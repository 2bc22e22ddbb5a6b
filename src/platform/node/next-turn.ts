import { setImmediate } from 'node:timers';

/** Resolves after whatever waits in the event loop. `node:timers` is not replaced by a test's fake timers. */
export function nextTurn(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve));
}
