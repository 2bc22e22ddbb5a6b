import { Job, type Queue, QueueEvents, type RedisQueueBackend } from 'bullmq';
import { wrongType } from '../internal/validate/messages.js';
import { type JobRequest, type JobResult, jobOptions, resultKey } from './job-data.js';
import { atMost, firstConnection, LEAVING_MS, untilConnected } from './until-connected.js';

/** The outcome of a job. */
export type Outcome = { result: JobResult } | { error: Error };

export interface RunOptions {
  attempts: number;
  /** How long outcomes stay in Redis. */
  keepSeconds: number;
  signal: AbortSignal | undefined;
  /** Called once per request, in the order of the outcomes. */
  onOutcome?: (outcome: Outcome, index: number) => void;
  /** Milliseconds after which jobs that are not done are given up. */
  deadlineMs?: number;
  /** Whether an outcome of an earlier run still holds. If not, the job runs again. By default, it does. */
  isUsable?: (result: JobResult) => Promise<boolean>;
  /** Whether the jobs are surely new, so that they need not be looked up first. */
  isFresh?: boolean;
}

/** Requests that are looked up, or added, in one go. */
const BULK = 500;
/** Jobs that are looked up at a time while no event comes. */
const LOOKS = 100;
const SHORTEST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5000;
/** After this time without an outcome, missing workers are reported. */
const SILENCE_MS = 10_000;

/** Whether jobs of a queue were reported to have no worker. */
const warned = new WeakSet<Queue>();

/**
 * Adds jobs to a queue and waits for their outcomes. Events tell of most outcomes at once. What an event does not tell,
 * because the connection was lost say, the job itself does, which is looked up now and then.
 */
export class JobRuns {
  readonly #queue: Queue;
  #events: Promise<QueueEvents> | undefined;
  #closing = new AbortController();
  /** What waits for each job. */
  readonly #waiting = new Map<string, (outcome: Outcome) => void>();

  constructor(queue: Queue) {
    this.#queue = queue;
  }

  /**
   * The outcomes in the order of the requests. Undefined for a request that is given up at the deadline. Calls at a time must
   * have different jobs.
   *
   * @param call What this is done for, for messages.
   */
  async run(call: string, requests: readonly JobRequest[], options: RunOptions): Promise<(Outcome | undefined)[]> {
    const { onOutcome, deadlineMs = Infinity } = options;
    const signal = options.signal ? AbortSignal.any([options.signal, this.#closing.signal]) : this.#closing.signal;
    signal.throwIfAborted();
    await this.connect(call, signal);

    const outcomes = Array.from(requests, (): Outcome | undefined => undefined);
    const pending = new Map<string, JobRequest>();
    const indices = new Map<string, number[]>();
    requests.forEach((request, i) => {
      pending.set(request.id, request);
      indices.set(request.id, [...(indices.get(request.id) ?? []), i]);
    });
    let lastOutcome = Date.now();
    let wake = (): void => {};
    /** What a callback threw. */
    let thrown: { error: unknown } | undefined;
    const settle = (id: string, outcome: Outcome): void => {
      if (!pending.delete(id)) return;
      lastOutcome = Date.now();
      for (const index of indices.get(id)!) {
        outcomes[index] = outcome;
        try {
          onOutcome?.(outcome, index);
        } catch (error) {
          thrown ??= { error };
        }
      }
      if (pending.size === 0 || thrown) wake();
    };
    for (const id of indices.keys()) this.#waiting.set(id, outcome => settle(id, outcome));

    const end = Date.now() + deadlineMs;
    try {
      await this.#look([...pending.values()], { ...options, signal, isFirst: true }, settle);
      let pause = SHORTEST_PAUSE_MS;
      while (pending.size > 0 && !thrown && Date.now() < end) {
        const seen = lastOutcome;
        await new Promise<void>((resolve, reject) => {
          const timer = setTimeout(done, Math.min(pause, end - Date.now()));
          signal.addEventListener('abort', stopped);
          wake = done;
          function done(): void {
            clearTimeout(timer);
            signal.removeEventListener('abort', stopped);
            resolve();
          }
          function stopped(): void {
            clearTimeout(timer);
            reject(signal.reason);
          }
          if (pending.size === 0 || thrown) done();
          else if (signal.aborted) stopped();
        });
        if (pending.size === 0 || thrown) break;
        pause = seen === lastOutcome ? Math.min(2 * pause, LONGEST_PAUSE_MS) : SHORTEST_PAUSE_MS;
        if (seen !== lastOutcome) continue;
        if (this.#queue.closing) throw closed(call);
        await this.#look([...pending.values()].slice(0, LOOKS), { ...options, signal }, settle);
        // Jobs that were looked up go to the end, so that all have their turn.
        for (const request of [...pending.values()].slice(0, LOOKS)) {
          pending.delete(request.id);
          pending.set(request.id, request);
        }
        if (Date.now() - lastOutcome > SILENCE_MS) await this.#warnOfNoWorkers();
      }
    } finally {
      for (const id of indices.keys()) this.#waiting.delete(id);
      await atMost(LEAVING_MS, this.#withdraw([...pending.keys()]));
    }
    if (thrown) throw thrown.error;
    return outcomes;
  }

  /** Waits for the connection that tells of events, and opens it on the first call. */
  async connect(call: string, signal: AbortSignal | undefined): Promise<void> {
    if (this.#queue.closing) throw closed(call);
    if (this.#events) return;
    const redis = await firstConnection(call, this.#queue, redisOf(this.#queue), signal);
    const settle = (id: string, outcome: Outcome): void => this.#waiting.get(id)?.(outcome);
    this.#events ??= openEvents(this.#queue, redis, settle, signal);
    try {
      await this.#events;
    } catch (error) {
      this.#events = undefined;
      throw error;
    }
  }

  /** Ends open calls and the connection that listens for events. */
  async close(): Promise<void> {
    this.#closing.abort(new Error('it was closed before its jobs were done'));
    this.#closing = new AbortController();
    const events = await this.#events?.catch(() => undefined);
    this.#events = undefined;
    if (events) await atMost(LEAVING_MS, events.close());
  }

  /** Looks jobs up. Adds those that are missing, and on the first look those that have failed or lost their result. */
  async #look(
    requests: readonly JobRequest[],
    { attempts, keepSeconds, signal, isUsable, isFresh, isFirst }: RunOptions & { isFirst?: boolean },
    settle: (id: string, outcome: Outcome) => void,
  ): Promise<void> {
    for (let first = 0; first < requests.length; first += BULK) {
      signal?.throwIfAborted();
      const some = requests.slice(first, first + BULK);
      const look = ({ id }: JobRequest): Promise<Outcome | 'missing' | undefined> => outcomeOf(this.#queue, id);
      const found =
        isFirst && isFresh
          ? some.map(() => 'missing' as const)
          : await untilConnected(() => Promise.all(some.map(look)), signal);
      const missing: JobRequest[] = [];
      await Promise.all(
        some.map(async (request, i) => {
          const outcome = found[i];
          if (outcome === undefined || outcome === 'missing') {
            if (outcome === 'missing') missing.push(request);
            return;
          }
          const isOld = 'error' in outcome || !((await isUsable?.(outcome.result)) ?? true);
          if (!isFirst || !isOld) return settle(request.id, outcome);
          await untilConnected(() => this.#queue.remove(request.id), signal);
          missing.push(request);
        }),
      );
      if (missing.length === 0) continue;
      const jobs = missing.map(({ id, name, data }) => ({ name, data, opts: jobOptions(id, attempts, keepSeconds) }));
      await untilConnected(() => this.#queue.addBulk(jobs), signal);
    }
  }

  /** Removes jobs that have not started. Those at work cannot be removed. */
  async #withdraw(ids: readonly string[]): Promise<void> {
    await Promise.all(ids.map(id => this.#queue.remove(id).catch(() => 0)));
  }

  async #warnOfNoWorkers(): Promise<void> {
    if (warned.has(this.#queue)) return;
    const count = await this.#queue.getWorkersCount().catch(() => 1);
    if (count > 0) return;
    warned.add(this.#queue);
    process.emitWarning(`no worker is connected to the queue "${this.#queue.name}"; its jobs wait`, 'NoWorkersWarning');
  }
}

function closed(call: string): Error {
  return new Error(`${call}: the queue is closed`);
}

/** The outcome of a job, or undefined if it has none yet. */
async function outcomeOf(queue: Queue, id: string): Promise<Outcome | 'missing' | undefined> {
  const state = await queue.getJobState(id);
  if (state === 'unknown') return 'missing';
  if (state !== 'completed' && state !== 'failed') return undefined;
  const job = await Job.fromId(queue, id);
  if (!job) return 'missing';
  return state === 'completed' ? outcomeFrom(queue.name, id, job.returnvalue) : { error: new Error(job.failedReason) };
}

/** Anyone with access to Redis may have written the result. It may name only the bytes of its own job. */
function outcomeFrom(queue: string, id: string, result: unknown): Outcome {
  const { value, blob, bytes } = (result ?? {}) as Partial<{ value: unknown; blob: unknown; bytes: unknown }>;
  if (blob === resultKey(queue, id) && typeof bytes === 'number') return { result: { blob: blob as string, bytes } };
  if (blob === undefined && value !== undefined) return { result: { value } };
  return { error: new Error('the result in Redis is not that of a trainingWorker') };
}

async function openEvents(
  queue: Queue,
  redis: RedisCommands,
  settle: (id: string, outcome: Outcome) => void,
  signal: AbortSignal | undefined,
): Promise<QueueEvents> {
  await untilConnected(() => checkMemoryPolicy(redis), signal);
  // Events are read from the present end of the stream on, so none is missed.
  const [last] = await untilConnected(() => redis.xrevrange(queue.keys.events!, '+', '-', 'COUNT', 1), signal);
  const { connection, prefix } = queue.opts as { connection: object; prefix?: string };
  const events = new QueueEvents(queue.name, {
    connection,
    ...(prefix !== undefined && { prefix }),
    lastEventId: last?.[0] ?? '0-0',
  });
  events.on('completed', ({ jobId, returnvalue }) => settle(jobId, outcomeFrom(queue.name, jobId, returnvalue)));
  events.on('failed', ({ jobId, failedReason }) => settle(jobId, { error: new Error(failedReason) }));
  // The connection comes back by itself. Meanwhile, jobs are looked up.
  events.on('error', () => {});
  return events;
}

/** The commands of Redis that BullMQ has no method for. */
interface RedisCommands {
  info(): Promise<string>;
  xrevrange(key: string, end: string, start: string, count: 'COUNT', number: number): Promise<[id: string][]>;
}

async function redisOf(queue: Queue): Promise<RedisCommands> {
  const client = await (queue.getBackend() as RedisQueueBackend).client;
  return client as unknown as RedisCommands;
}

/** A Redis that deletes keys when it is full would lose jobs. */
async function checkMemoryPolicy(redis: RedisCommands): Promise<void> {
  const info = await redis.info();
  const [limit, policy] = ['maxmemory', 'maxmemory_policy'].map(
    name => new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1],
  );
  if (limit !== undefined && limit !== '0' && policy !== undefined && policy !== 'noeviction')
    throw new Error(
      `Redis may delete jobs when it is full: its maxmemory-policy is ${policy}; set it to noeviction (CONFIG SET maxmemory-policy noeviction)`,
    );
}

/** Checks a queue of BullMQ. */
export function checkQueue(call: string, queue: unknown): asserts queue is Queue {
  const isQueue = typeof (queue as Queue | null)?.addBulk === 'function' && typeof (queue as Queue).name === 'string';
  if (!isQueue) throw wrongType(call, 'queue', 'a Queue of bullmq', queue);
}
