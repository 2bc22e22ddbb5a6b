import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { type ConnectionOptions, Job, Queue, UnrecoverableError, Worker } from 'bullmq';
import { checkKnownNames } from '../internal/known-names.js';
import { describe, wrongType } from '../internal/validate/messages.js';
import { checkCount, checkFunction, checkNumber, checkObject } from '../internal/validate/option-checks.js';
import { type Blobs, checkBlobs } from './blobs.js';
import { checkSmallJson, type JobData, type JobResult, resultKey } from './job-data.js';
import { checkTaskName } from './map-shards.js';
import { version } from './requirements.js';
import { TaskThreads } from './task-threads.js';
import { atMost, firstConnection, LEAVING_MS } from './until-connected.js';
import { workerName } from './worker-name.js';

export interface TrainingWorkerOptions {
  /** Name of the queue. */
  queue: string;
  /**
   * How to reach Redis: options of `ioredis` such as `host`, `port`, `username`, `password` and `tls`, or a client. They
   * go to BullMQ as they are.
   */
  connection: ConnectionOptions;
  /** The store of weights and results, the same as the coordinator's. */
  blobs: Blobs;
  /**
   * The tasks that this worker runs: the module of each by name, as a URL or a path. Jobs of other names are refused. The
   * module's default export is called as `(payload, { blobs })`, in a thread, and returns a small value that JSON keeps,
   * or a `Uint8Array`.
   */
  tasks: Readonly<Record<string, string | URL>>;
  /**
   * Jobs at a time, each in a thread of its own.
   *
   * @default 1
   */
  threads?: number;
  /**
   * Milliseconds after which a worker that gave no sign counts as dead. Its job then goes to another worker, after twice this
   * time at most. It is at least 1,000. A job may take much longer: a live worker renews its lock.
   *
   * @default 30000
   */
  lockDuration?: number;
  /**
   * Most milliseconds of a job. A job that takes longer fails, and its thread ends: a task that never returns, say.
   *
   * @default no limit
   */
  timeoutMs?: number;
  /**
   * How often a job may lose its worker before it fails. So a job that kills its workers ends.
   *
   * @default 10
   */
  maxStalledCount?: number;
  /**
   * The queue's prefix, if it has one of its own.
   *
   * @default that of BullMQ
   */
  prefix?: string;
  /**
   * Called with errors of the connection and of BullMQ. The worker goes on.
   *
   * @default a warning of the process, once per message
   */
  onError?: (error: Error) => void;
}

/** A worker that is running. */
export interface TrainingWorker {
  /** BullMQ's worker, for its events. */
  readonly worker: Worker;
  /** Waits for the jobs at work, then ends threads and connections. With `force`, jobs at work go to other workers at once. */
  close(force?: boolean): Promise<void>;
}

const NAMES = [
  'queue',
  'connection',
  'blobs',
  'tasks',
  'threads',
  'lockDuration',
  'timeoutMs',
  'maxStalledCount',
  'prefix',
  'onError',
];

/** Weights that are kept, because the jobs of one step share them. */
const KEPT_BLOBS = 4;
/** The last pause before bytes count as missing. A job may arrive before the bytes that were stored at the same time. */
const LONGEST_PAUSE_MS = 640;
/** How long a worker that closes waits for Redis, which may be away. */
const CLOSING_MS = 5000;
/** A longer timer would end at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * Starts a worker: it takes jobs of a queue and runs them in threads.
 *
 * The result of a job depends on its data alone, so a job that runs twice, because a worker died after its work say, does no
 * harm. A job is refused without another attempt if its task is unknown here, its bytes are missing, or the coordinator has
 * another version of this package or another kernel backend.
 *
 * @returns The worker, when it is connected.
 * @throws TypeError or RangeError for wrong options.
 */
export async function trainingWorker(options: TrainingWorkerOptions): Promise<TrainingWorker> {
  const { queue, connection, blobs, urls, threads, lockDuration, timeoutMs, maxStalledCount, prefix, onError } =
    checked(options);
  const pool = new TaskThreads(urls);
  const fetch = kept(blobs);
  const name = workerName(threads);
  /** The jobs at work, with the tokens of their locks. */
  const running = new Map<Job, { token: string | undefined; result: Promise<JobResult> }>();
  let isEnding = false;

  const resultOf = async (job: Job, signal: AbortSignal): Promise<JobResult> => {
    const data = dataOf(job);
    const { payload, blobs: keys, requires } = data;
    if (!Object.hasOwn(urls, job.name)) {
      const known = Object.keys(urls).join(', ');
      throw new UnrecoverableError(`task "${job.name}" is not one of the tasks of worker ${name}: ${known}`);
    }
    if (requires.version !== version)
      throw new UnrecoverableError(`worker ${name} has version ${version}, the coordinator ${requires.version}`);
    const inputs: Record<string, Uint8Array> = {};
    for (const [input, key] of Object.entries(keys)) {
      let bytes = await fetch(key);
      for (let pause = 10; !bytes && pause <= LONGEST_PAUSE_MS; pause *= 2) {
        await sleep(pause);
        bytes = await fetch(key);
      }
      if (!bytes)
        throw new UnrecoverableError(`the bytes of "${key}" are missing: they have expired, or their run has ended`);
      inputs[input] = bytes;
    }
    const limited = limitedBy(signal, timeoutMs, data.timeoutMs);
    const { value, backend } = await pool.run(job.name, payload, inputs, limited);
    if (backend !== requires.backend)
      throw new UnrecoverableError(`worker ${name} has the ${backend} kernels, the coordinator ${requires.backend}`);
    if (!(value instanceof Uint8Array)) return { value: smallResult(value === undefined ? null : value) };
    const key = resultKey(queue, job.id!);
    await blobs.put(key, value);
    return { blob: key, bytes: value.length };
  };
  // BullMQ passes a signal only to a function that declares three arguments.
  const run = async (job: Job, token: string | undefined, signal: AbortSignal | undefined): Promise<JobResult> => {
    // A worker that ends by force has no more results. It gives its jobs back.
    const work = isEnding ? NEVER : resultOf(job, signal ?? new AbortController().signal);
    const result = work.catch(error => (isEnding ? NEVER : Promise.reject(error)));
    running.set(job, { token, result });
    return result.finally(() => running.delete(job));
  };

  const worker = new Worker(queue, run, {
    connection,
    ...(prefix !== undefined && { prefix }),
    concurrency: threads,
    lockDuration,
    stalledInterval: lockDuration,
    maxStalledCount,
    name,
  });
  worker.on('error', onError);
  // Another worker has the job now, or will have it.
  worker.on('lockRenewalFailed', ids => {
    for (const id of ids) worker.cancelJob(id, 'the lock of the job was lost');
  });
  try {
    await firstConnection('trainingWorker', worker, worker.waitUntilReady());
  } catch (error) {
    worker.close(true).catch(() => {});
    throw error;
  }
  return {
    worker,
    async close(force = false) {
      if (force) {
        isEnding = true;
        await pool.close();
      }
      const closed = worker.close(force);
      if (!force) await Promise.allSettled([...running.values()].map(({ result }) => result));
      await atMost(CLOSING_MS, closed);
      // Only now, because a worker that is not closed might take its own jobs again.
      if (force) await atMost(CLOSING_MS, giveBack(running));
      await atMost(LEAVING_MS, worker.disconnect());
      await pool.close();
    },
  };

  async function giveBack(jobs: typeof running): Promise<void> {
    if (jobs.size === 0) return;
    const giver = new Queue(queue, { connection, ...(prefix !== undefined && { prefix }) });
    giver.on('error', onError);
    for (const [{ id }, { token }] of jobs) await (await Job.fromId(giver, id!))?.moveToWait(token);
    await giver.close();
  }
}

const NEVER = new Promise<never>(() => {});

function checked(options: TrainingWorkerOptions) {
  const call = 'trainingWorker';
  checkKnownNames(call, options, NAMES);
  const given = options as TrainingWorkerOptions;
  const {
    queue,
    connection,
    blobs,
    tasks,
    threads = 1,
    lockDuration = 30_000,
    timeoutMs,
    maxStalledCount = 10,
  } = given;
  if (typeof queue !== 'string' || queue === '') throw wrongType(call, 'queue', 'the name of a queue', queue);
  checkObject(call, 'connection', connection);
  checkBlobs(call, blobs);
  checkObject(call, 'tasks', tasks);
  const urls: Record<string, string> = {};
  for (const [name, module] of Object.entries(tasks)) {
    checkTaskName(call, 'the name of a task', name);
    urls[name] = urlOf(call, `tasks[${describe(name)}]`, module);
  }
  if (Object.keys(urls).length === 0) throw new RangeError(`${call}: tasks is empty`);
  checkCount(call, 'threads', threads);
  checkNumber(call, 'lockDuration', lockDuration, { integer: true, min: 1000 });
  if (timeoutMs !== undefined) checkNumber(call, 'timeoutMs', timeoutMs, { integer: true, min: 1 });
  checkCount(call, 'maxStalledCount', maxStalledCount, 0);
  const { prefix, onError = warnOnce() } = given;
  if (prefix !== undefined && typeof prefix !== 'string') throw wrongType(call, 'prefix', 'a string', prefix);
  checkFunction(call, 'onError', onError);
  return { queue, connection, blobs, urls, threads, lockDuration, timeoutMs, maxStalledCount, prefix, onError };
}

function urlOf(call: string, label: string, module: unknown): string {
  const isUrl = module instanceof URL || (typeof module === 'string' && module.startsWith('file:'));
  if (!isUrl && (typeof module !== 'string' || module === ''))
    throw wrongType(call, label, 'a URL or a path of a module', module);
  const url = isUrl ? new URL(module as string | URL) : pathToFileURL(module as string);
  if (url.protocol === 'file:' && !existsSync(url))
    throw new RangeError(`${call}: ${label}: there is no file ${module}`);
  return url.href;
}

/** A signal that also ends after the worker's or the job's time, if they have a limit. */
function limitedBy(signal: AbortSignal, ofWorker: number | undefined, ofJob: number | undefined): AbortSignal {
  const signals = [signal];
  const add = (ms: number | undefined, toError: (message: string) => Error): void => {
    if (ms === undefined) return;
    const controller = new AbortController();
    const abort = (): void => controller.abort(toError(`the task took more than ${ms} ms`));
    setTimeout(abort, Math.min(ms, LONGEST_TIMER_MS)).unref();
    signals.push(controller.signal);
  };
  add(ofWorker, message => new Error(message));
  // The coordinator does not wait any more.
  add(ofJob, message => new UnrecoverableError(message));
  return AbortSignal.any(signals);
}

/** Checks a result. Another attempt would have the same. */
function smallResult(value: unknown): unknown {
  try {
    checkSmallJson('the result', value);
    return value;
  } catch (error) {
    throw new UnrecoverableError((error as Error).message);
  }
}

/** The data of a job, which anyone with access to Redis may have written. */
function dataOf(job: Job): JobData {
  const { payload, blobs, requires, timeoutMs } = (job.data ?? {}) as Partial<JobData>;
  const isWhole =
    typeof blobs === 'object' &&
    blobs !== null &&
    Object.values(blobs).every(key => typeof key === 'string') &&
    typeof requires?.version === 'string' &&
    typeof requires.backend === 'string' &&
    (timeoutMs === undefined || timeoutMs > 0);
  if (!isWhole) throw new UnrecoverableError(`the data of job "${job.id}" are not those of this package`);
  return { payload, blobs, requires, ...(timeoutMs !== undefined && { timeoutMs }) };
}

/** Reads bytes, and keeps the last ones. */
function kept(blobs: Blobs): (key: string) => Promise<Uint8Array | undefined> {
  const last = new Map<string, Promise<Uint8Array | undefined>>();
  return key => {
    const known = last.get(key);
    if (known) return known;
    const read = blobs.get(key);
    last.set(key, read);
    const forget = (): void => {
      if (last.get(key) === read) last.delete(key);
    };
    read.then(bytes => bytes ?? forget(), forget);
    if (last.size > KEPT_BLOBS) last.delete(last.keys().next().value!);
    return read;
  };
}

/** One warning per message. */
function warnOnce(): (error: Error) => void {
  const warned = new Set<string>();
  return error => {
    if (warned.has(error.message) || warned.size >= 100) return;
    warned.add(error.message);
    process.emitWarning(`trainingWorker: ${error.message}`, 'TrainingWorkerWarning');
  };
}
