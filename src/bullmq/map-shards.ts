import type { Queue } from 'bullmq';
import { checkKnownNames } from '../internal/known-names.js';
import { inWords, wrongType } from '../internal/validate/messages.js';
import { checkArray, checkCount, checkFunction } from '../internal/validate/option-checks.js';
import { type Blobs, checkBlobs } from './blobs.js';
import { type JobRequest, type JobResult, requestOf } from './job-data.js';
import { checkQueue, JobRuns } from './job-runs.js';

/** @typeParam Result What the task returns. */
export interface MapShardsOptions<Result = unknown> {
  /**
   * How often a shard is tried before it counts as failed.
   *
   * @default 3
   */
  attempts?: number;
  /**
   * Stops the wait. Shards that have not started are taken back. Those at work end, and a later call finds their results.
   *
   * @default none
   */
  signal?: AbortSignal;
  /**
   * Called after each shard. The call waits for promises that it returns, and rejects with what it throws.
   *
   * @default none
   */
  onProgress?: (progress: ShardProgress<Result>) => void | Promise<void>;
  /**
   * The store of the workers. With it, a result of an earlier run counts only if its bytes are still there.
   *
   * @default results of earlier runs count
   */
  blobs?: Blobs;
  /**
   * Seconds for which results stay in Redis, for calls that resume.
   *
   * @default 86400, a day
   */
  keepSeconds?: number;
}

/** @typeParam Result What the task returns. */
export interface ShardProgress<Result = unknown> {
  /** Index of this shard, and its result: undefined if it failed. */
  index: number;
  result: Result | undefined;
  /** How many shards are done so far, how many of them failed, and how many there are. */
  done: number;
  failed: number;
  total: number;
}

/** The place of a task's bytes: a key of the workers' store. */
export interface BlobReference {
  blob: string;
  bytes: number;
}

/** Some shards failed at every attempt. */
export class ShardsFailed extends Error {
  override readonly name = 'ShardsFailed';
  /** The failed shards in their order, and the error of the last attempt. */
  readonly failures: readonly { index: number; error: Error }[];
  /** The results of the other shards, in the order of the shards. Undefined for a failed one. */
  readonly results: readonly unknown[];

  constructor(message: string, failures: ShardsFailed['failures'], results: readonly unknown[]) {
    super(message);
    this.failures = failures;
    this.results = results;
  }
}

/**
 * Runs a task of the workers on each shard: texts to embed, settings of a sweep, parts of Fisher statistics.
 *
 * A job's id comes from the task's name, the shard and the version of this package. So a call that is repeated, after a
 * restart say, or made by two coordinators at once, finds what is done and computes the rest. Failed shards are tried
 * again. When the code of a task changes, change its name or add a field such as `version` to the shards.
 *
 * @typeParam Result What the task returns. `BlobReference` if it returns bytes.
 * @param queue A `Queue` of BullMQ.
 * @param name Name of the task, as the workers' `tasks` has it.
 * @param shards The task's argument for each shard: a small value that JSON keeps, such as a path and a range of bytes.
 * @returns Results in the order of the shards.
 * @throws TypeError or RangeError for wrong arguments, {@link ShardsFailed}, or the reason of `signal`.
 */
export async function mapShards<Result = unknown>(
  queue: Queue,
  name: string,
  shards: readonly unknown[],
  options: MapShardsOptions<Result> = {},
): Promise<Result[]> {
  const call = 'mapShards';
  checkQueue(call, queue);
  checkTaskName(call, 'name', name);
  checkArray(call, 'shards', shards);
  checkKnownNames(call, options, ['attempts', 'signal', 'onProgress', 'blobs', 'keepSeconds']);
  const { attempts = 3, signal, onProgress, blobs, keepSeconds = 86_400 } = options;
  checkCount(call, 'attempts', attempts);
  checkCount(call, 'keepSeconds', keepSeconds);
  checkSignal(call, signal);
  if (onProgress !== undefined) checkFunction(call, 'onProgress', onProgress);
  if (blobs !== undefined) checkBlobs(call, blobs);
  const requests = Array.from(shards, (shard, i): JobRequest => requestOf(`${call}: shards[${i}]`, name, shard));
  if (requests.length === 0) return [];

  let [done, failed] = [0, 0];
  const callbacks: Promise<void>[] = [];
  const runs = new JobRuns(queue);
  try {
    const outcomes = await runs.run(call, requests, {
      attempts,
      keepSeconds,
      signal,
      isUsable: async result => !('blob' in result) || blobs === undefined || (await blobs.has(result.blob)),
      onOutcome: (outcome, index) => {
        done++;
        if ('error' in outcome) failed++;
        const result = 'result' in outcome ? (resultOf(outcome.result) as Result) : undefined;
        const returned = onProgress?.({ index, result, done, failed, total: shards.length });
        if (!returned) return;
        returned.catch(() => {});
        callbacks.push(returned);
      },
    });
    await Promise.all(callbacks);
    const results = outcomes.map(outcome => (outcome && 'result' in outcome ? resultOf(outcome.result) : undefined));
    const failures = outcomes.flatMap((outcome, index) =>
      outcome && 'error' in outcome ? [{ index, error: outcome.error }] : [],
    );
    if (failures.length > 0) throw new ShardsFailed(messageOf(call, shards, failures), failures, results);
    return results as Result[];
  } finally {
    await runs.close();
  }
}

function resultOf(result: JobResult): unknown {
  return 'value' in result ? result.value : { blob: result.blob, bytes: result.bytes };
}

/** Names the first failed shards. */
function messageOf(call: string, shards: readonly unknown[], failures: ShardsFailed['failures']): string {
  const named = failures.slice(0, 3).map(({ index, error }) => {
    const text = JSON.stringify(shards[index])!;
    return `shards[${index}] ${text.length > 80 ? `${text.slice(0, 80)}…` : text}: ${error.message}`;
  });
  const more = failures.length > 3 ? [`and ${failures.length - 3} more`] : [];
  return `${call}: ${failures.length} of ${inWords(shards.length, 'shard')} failed: ${[...named, ...more].join('; ')}`;
}

/** BullMQ takes a name as a part of a job's id, where a colon separates. */
export function checkTaskName(call: string, label: string, name: unknown): asserts name is string {
  if (typeof name !== 'string') throw wrongType(call, label, 'a string', name);
  if (!/^[\w.-]{1,100}$/.test(name))
    throw new RangeError(`${call}: ${label} must be 1 to 100 letters, digits, "_", "." or "-", got "${name}"`);
}

export function checkSignal(call: string, signal: unknown): void {
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw wrongType(call, 'signal', 'an AbortSignal', signal);
}
