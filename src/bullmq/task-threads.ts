import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { UnrecoverableError } from 'bullmq';
import { corePath } from './requirements.js';

/** What a thread sends back. */
type Answer = { value: unknown; backend: 'simd' | 'scalar' } | { error: { name: string; message: string } };

interface Thread {
  worker: Worker;
  /** The call at work. */
  call: { resolve: (answer: Answer) => void; reject: (error: Error) => void } | undefined;
}

/**
 * The whole program of a thread, as source text: there is no file that a bundler could lose. It imports the module of a
 * task when it is first called. It is valid as a script and as a module, because a flag of the program may say which it is.
 */
const SOURCE = `
const functions = new Map();
function text(value) {
  try {
    return String(value).slice(0, 2000);
  } catch {
    return 'a value without text';
  }
}
async function answerOf(workerData, { task, payload, blobs }) {
  const core = await import(workerData.core);
  if (!functions.has(task)) functions.set(task, (await import(workerData.tasks[task])).default);
  const run = functions.get(task);
  if (typeof run !== 'function') throw new TypeError('the module of task "' + task + '" must export a function as default');
  const value = await run(payload, { blobs });
  return { value, backend: core.kernelBackend() };
}
import('node:worker_threads').then(({ parentPort, workerData }) => {
  parentPort.on('message', async request => {
    try {
      parentPort.postMessage(await answerOf(workerData, request));
    } catch (error) {
      // Not every error can be sent as it is. The message can.
      const { name = 'Error', message = error } = Object(error);
      parentPort.postMessage({ error: { name: String(name), message: text(message) || String(name) } });
    }
  });
});
`;

/**
 * Threads that run tasks, so that the thread that renews locks is always free. A thread starts when it is first needed,
 * and a new one takes the place of a thread that ended.
 */
export class TaskThreads {
  readonly #tasks: Readonly<Record<string, string>>;
  readonly #idle: Thread[] = [];
  readonly #busy = new Set<Thread>();

  /** @param tasks URL of each task's module. */
  constructor(tasks: Readonly<Record<string, string>>) {
    this.#tasks = tasks;
  }

  /**
   * Runs a task. There are as many threads as there are calls at a time.
   *
   * @param signal Ends the thread.
   */
  async run(
    task: string,
    payload: unknown,
    blobs: Record<string, Uint8Array>,
    signal: AbortSignal,
  ): Promise<{ value: unknown; backend: 'simd' | 'scalar' }> {
    signal.throwIfAborted();
    const thread = this.#idle.pop() ?? this.#start();
    this.#busy.add(thread);
    const end = (): void => {
      thread.call?.reject(signal.reason);
      void thread.worker.terminate();
    };
    signal.addEventListener('abort', end);
    try {
      const answer = await new Promise<Answer>((resolve, reject) => {
        thread.call = { resolve, reject };
        thread.worker.postMessage({ task, payload, blobs });
      });
      this.#idle.push(thread);
      if (!('error' in answer)) return answer;
      const { name, message } = answer.error;
      throw name === 'UnrecoverableError' ? new UnrecoverableError(message) : new Error(message);
    } finally {
      thread.call = undefined;
      this.#busy.delete(thread);
      signal.removeEventListener('abort', end);
    }
  }

  /** Ends all threads, also those at work. */
  async close(): Promise<void> {
    await Promise.all([...this.#idle, ...this.#busy].map(({ worker }) => worker.terminate()));
  }

  #start(): Thread {
    const worker = new Worker(SOURCE, {
      eval: true,
      workerData: { tasks: this.#tasks, core: pathToFileURL(corePath()).href },
    });
    const thread: Thread = { worker, call: undefined };
    const fail = (error: Error): void => {
      const index = this.#idle.indexOf(thread);
      if (index >= 0) this.#idle.splice(index, 1);
      thread.call?.reject(error);
    };
    worker.on('message', (answer: Answer) => thread.call?.resolve(answer));
    worker.on('messageerror', fail);
    worker.on('error', error => fail(error instanceof Error ? error : new Error(String(error))));
    worker.on('exit', code => fail(new Error(`the thread of the task ended with code ${code}`)));
    return thread;
  }
}
