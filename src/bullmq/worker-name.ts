import { hostname } from 'node:os';
import type { Queue } from 'bullmq';
import { untilConnected } from './until-connected.js';

/** The name of this process as a worker. It tells coordinators how many threads the worker has. */
export function workerName(threads: number): string {
  return `${hostname()}:${process.pid}x${threads}`;
}

/** The threads of all workers of a queue. A worker of another name counts as one. 0 if Redis does not tell. */
export async function threadsOf(queue: Queue, signal: AbortSignal | undefined): Promise<number> {
  const workers = await untilConnected(() => queue.getWorkers(), signal).catch(error => {
    signal?.throwIfAborted();
    if (/NOPERM|unknown command/i.test(String(error))) return [];
    throw error;
  });
  return workers.reduce((sum, { rawname }) => sum + Number(/x(\d+)$/.exec(rawname ?? '')?.[1] ?? 1), 0);
}
