import { randomUUID } from 'node:crypto';
import type { Queue } from 'bullmq';
import { type Adapter, packWeights, readTensors, type TensorFile } from '../index.js';
import { shapesOf } from '../internal/adapter-shapes.js';
import { checkCount, checkMap } from '../internal/validate/option-checks.js';
import { type Blobs, bytesOf, checkBlobs } from './blobs.js';
import type { JobRequest } from './job-data.js';
import { checkQueue, JobRuns, type Outcome } from './job-runs.js';
import { checkSignal, checkTaskName } from './map-shards.js';
import { ownRequirements } from './requirements.js';
import { atMost, LEAVING_MS } from './until-connected.js';
import { threadsOf } from './worker-name.js';

/** Where the jobs of a training go. */
export interface TrainingJobsOptions {
  /** A `Queue` of BullMQ. */
  queue: Queue;
  /** The store of the workers. */
  blobs: Blobs;
  /** The adapters to train. Their names, order and shapes are those of the workers' task. */
  adapters: ReadonlyMap<string, Adapter>;
  /**
   * How often a job is tried.
   *
   * @default 3
   */
  attempts?: number;
}

/** Results are read at once. They stay for as long as a slow step may take. */
const KEEP_SECONDS = 3600;
/** How long the number of the workers' threads holds. */
const COUNT_MS = 5000;

/** Why a job has no result. */
export type Failure = { error: Error } | { isLate: true };

/** Jobs that share the weights of the adapters, and return tensors. */
export class WeightJobs {
  readonly #queue: Queue;
  readonly #task: string;
  readonly #blobs: Blobs;
  readonly #adapters: ReadonlyMap<string, Adapter>;
  readonly #attempts: number;
  readonly #runs: JobRuns;
  /** Sets the jobs of this coordinator apart from those of others on the queue. */
  readonly #run = randomUUID();
  #count = 0;
  #isBusy = false;
  #threads = 0;
  #countedAt = -Infinity;
  /** The deletion of bytes that are not needed any more. */
  #deletions: Promise<unknown> = Promise.resolve();

  /** @throws TypeError or RangeError for wrong options. */
  constructor(call: string, task: unknown, { queue, blobs, adapters, attempts = 3 }: TrainingJobsOptions) {
    checkQueue(call, queue);
    checkBlobs(call, blobs);
    checkMap(call, 'adapters', adapters);
    if (adapters.size === 0) throw new RangeError(`${call}: adapters is empty`);
    packWeights(adapters);
    checkTaskName(call, 'task', task);
    this.#queue = queue;
    this.#task = task;
    this.#blobs = blobs;
    this.#adapters = adapters;
    this.#attempts = checkCount(call, 'attempts', attempts);
    this.#runs = new JobRuns(queue);
  }

  /**
   * Runs one job per payload.
   *
   * @param weights What the jobs get. By default, the weights of the adapters.
   * @returns For each job its tensors, or why there are none. A result is read as soon as it is there.
   */
  async run(
    call: string,
    payloads: readonly object[],
    { signal, deadlineMs }: { signal?: AbortSignal | undefined; deadlineMs?: number | undefined },
    weights: Float32Array = packWeights(this.#adapters),
  ): Promise<(TensorFile | Failure)[]> {
    checkSignal(call, signal);
    const name = `${this.#run}-${this.#count++}`;
    const weightsKey = `${name}/weights`;
    const requires = ownRequirements();
    const adapters = shapesOf(this.#adapters);
    const limit = deadlineMs !== undefined && { timeoutMs: deadlineMs };
    const requests = payloads.map((payload, i): JobRequest => {
      const data = { payload: { ...payload, adapters }, blobs: { weights: weightsKey }, requires, ...limit };
      return { id: `${name}-${i}`, name: this.#task, data };
    });
    const results: string[] = [];
    const reads: Promise<TensorFile | Failure>[] = [];
    const onOutcome = (outcome: Outcome, index: number): void => {
      if ('result' in outcome && 'blob' in outcome.result) results.push(outcome.result.blob);
      reads[index] = tensorsOf(this.#blobs, outcome).catch(error => ({ error }));
    };
    let isAnyLate = false;
    // Weights and jobs are on their way at once. A worker that has its job first waits a moment for the weights.
    const failed = new AbortController();
    const stored = this.#blobs.put(weightsKey, bytesOf(weights)).catch(error => failed.abort(error));
    try {
      const outcomes = await this.#runs.run(call, requests, {
        attempts: this.#attempts,
        keepSeconds: KEEP_SECONDS,
        signal: signal ? AbortSignal.any([signal, failed.signal]) : failed.signal,
        isFresh: true,
        onOutcome,
        ...(deadlineMs !== undefined && { deadlineMs }),
      });
      isAnyLate = outcomes.includes(undefined);
      return await Promise.all(outcomes.map((_, i) => reads[i] ?? { isLate: true as const }));
    } finally {
      // A late job may still read the weights. They expire.
      const keys = isAnyLate ? results : [weightsKey, ...results];
      this.#deletions = Promise.allSettled([this.#deletions, stored.then(() => this.#blobs.delete(keys))]);
    }
  }

  /** The threads of all workers of the queue. They are counted now and then. */
  async threads(call: string, signal: AbortSignal | undefined): Promise<number> {
    if (performance.now() > this.#countedAt + COUNT_MS) {
      await this.#runs.connect(call, signal);
      this.#threads = await threadsOf(this.#queue, signal);
      this.#countedAt = performance.now();
    }
    return this.#threads;
  }

  /** Does work that changes the adapters. @throws Error if such work is not done yet. */
  async alone<Result>(call: string, work: () => Promise<Result>): Promise<Result> {
    if (this.#isBusy) throw new Error(`${call}: the last call is not done; await it`);
    this.#isBusy = true;
    try {
      return await work();
    } finally {
      this.#isBusy = false;
    }
  }

  /** Ends the connection that waits for results. The queue stays open. */
  async close(): Promise<void> {
    await atMost(LEAVING_MS, this.#deletions);
    await this.#runs.close();
  }
}

/** The tensors that a job returned. @throws Error if the job failed, or returned no bytes. */
async function tensorsOf(blobs: Blobs, outcome: Outcome): Promise<TensorFile> {
  if ('error' in outcome) throw outcome.error;
  if (!('blob' in outcome.result)) throw new Error('the task returned no bytes');
  const bytes = await blobs.get(outcome.result.blob);
  if (!bytes) throw new Error(`the bytes of "${outcome.result.blob}" are missing`);
  return readTensors(bytes);
}
