import type * as Threads from 'node:worker_threads';
import { load } from './load.js';

/** Why there can be no helper threads here, or undefined. */
export function whyNoWorkers(): string | undefined {
  return undefined;
}

/**
 * Starts a thread that does not keep the process alive.
 *
 * @param source A script with a function of the name `main`, which is called with `data`.
 */
export function startWorker(source: string, main: string, data: object): { end(): void } {
  const { Worker } = load('node:worker_threads') as typeof Threads;
  // Without the options of the program: its loaders and hooks are not for these lines.
  const worker = new Worker(`${source}\n${main}(require('node:worker_threads').workerData);`, {
    eval: true,
    workerData: data,
    execArgv: [],
    env: {},
  });
  worker.on('error', () => {});
  worker.unref();
  return { end: () => void worker.terminate() };
}
