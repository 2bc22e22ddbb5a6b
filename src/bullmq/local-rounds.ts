import { randomUUID } from 'node:crypto';
import type { Queue } from 'bullmq';
import { type Adapter, type AverageUpdatesOptions, averageUpdates, packWeights, unpackWeights } from '../index.js';
import { checkKnownNames } from '../internal/known-names.js';
import { checkCount, checkMap, checkNumber } from '../internal/validate/option-checks.js';
import { type Blobs, bytesOf, checkBlobs } from './blobs.js';
import type { JobRequest } from './job-data.js';
import { checkQueue, JobRuns, type Outcome } from './job-runs.js';
import { checkSignal, checkTaskName } from './map-shards.js';
import { ownRequirements } from './requirements.js';
import { tensorsOf } from './results.js';

export interface LocalRoundsOptions extends AverageUpdatesOptions {
  /** A `Queue` of BullMQ. */
  queue: Queue;
  /** The store of the workers. */
  blobs: Blobs;
  /** The adapters to train. Their names, order and shapes are those of the workers' task. */
  adapters: ReadonlyMap<string, Adapter>;
  /** Number of shards of the data. */
  shards: number;
  /** Steps of a round on each shard. */
  localSteps: number;
  /**
   * Milliseconds after which a round goes on without the shards that are late. At least one shard must be in time.
   *
   * @default a round waits for all shards, so its bits do not depend on what happens to workers
   */
  deadlineMs?: number;
  /**
   * The workers' name of a `localTask`.
   *
   * @default 'local'
   */
  task?: string;
  /**
   * How often a job is tried.
   *
   * @default 3
   */
  attempts?: number;
}

/** What a round did. */
export interface RoundResult {
  /** The mean loss over the steps of the shards that counted. */
  loss: number;
  /** Shards that did not count, and why: late, failed, or refused by `averageUpdates`. */
  refused: { shard: number; reason: string }[];
}

const NAMES = [
  'queue',
  'blobs',
  'adapters',
  'shards',
  'localSteps',
  'deadlineMs',
  'task',
  'attempts',
  'weights',
  'maxNormRatio',
  'method',
  'accept',
];
const KEEP_SECONDS = 3600;

/**
 * Rounds of local training: workers train on their shards from the same weights, and the changes are averaged here
 * (federated averaging, local SGD). Rows never leave the workers. One exchange of weights serves `localSteps` steps.
 *
 * Updates pass the checks of `averageUpdates`, whose options are options here too.
 */
export class LocalRounds {
  readonly #options: LocalRoundsOptions & { task: string; attempts: number };
  readonly #runs: JobRuns;
  readonly #run = randomUUID();
  #count = 0;

  /** @throws TypeError or RangeError for wrong options. */
  constructor(options: LocalRoundsOptions) {
    const call = 'LocalRounds';
    checkKnownNames(call, options, NAMES);
    const { queue, blobs, adapters, shards, localSteps, deadlineMs, task = 'local', attempts = 3 } = options;
    checkQueue(call, queue);
    checkBlobs(call, blobs);
    checkMap(call, 'adapters', adapters);
    packWeights(adapters);
    checkCount(call, 'shards', shards);
    checkCount(call, 'localSteps', localSteps);
    if (deadlineMs !== undefined) checkNumber(call, 'deadlineMs', deadlineMs, { above: 0 });
    checkTaskName(call, 'task', task);
    checkCount(call, 'attempts', attempts);
    this.#options = { ...options, task, attempts };
    this.#runs = new JobRuns(queue);
  }

  /**
   * One round. The adapters get the averaged change.
   *
   * @param round Number of the round. Its steps have the numbers from `round · localSteps` on.
   * @param lr Learning rate of the workers' optimizers, 0 or more.
   * @throws TypeError or RangeError for wrong arguments, and Error if no shard counts, with the adapters unchanged.
   */
  async round(round: number, lr: number, { signal }: { signal?: AbortSignal } = {}): Promise<RoundResult> {
    const call = 'LocalRounds.round';
    checkCount(call, 'round', round, 0);
    checkNumber(call, 'lr', lr, { min: 0 });
    checkSignal(call, signal);
    const { adapters, blobs, shards, localSteps, deadlineMs, task, attempts } = this.#options;
    const base = packWeights(adapters);
    const name = `${this.#run}-${this.#count++}`;
    const weightsKey = `${name}/weights`;
    const requires = ownRequirements();
    const requests = Array.from({ length: shards }, (_, shard): JobRequest => {
      const payload = { round, shard, localSteps, lr };
      return { id: `${name}-${shard}`, name: task, data: { payload, blobs: { weights: weightsKey }, requires } };
    });
    await blobs.put(weightsKey, bytesOf(base));
    let outcomes: (Outcome | undefined)[] = [];
    try {
      outcomes = await this.#runs.run(requests, {
        attempts,
        keepSeconds: KEEP_SECONDS,
        signal,
        isFresh: true,
        ...(deadlineMs !== undefined && { deadlineMs }),
      });
      return await this.#apply(base, outcomes);
    } finally {
      const done = outcomes.flatMap(outcome =>
        outcome && 'result' in outcome && 'blob' in outcome.result ? [outcome.result.blob] : [],
      );
      // A late shard may still read the weights. They expire.
      await blobs.delete(outcomes.includes(undefined) ? done : [weightsKey, ...done]);
    }
  }

  async #apply(base: Float32Array, outcomes: readonly (Outcome | undefined)[]): Promise<RoundResult> {
    const { adapters, blobs, weights, maxNormRatio, method, accept } = this.#options;
    const losses: number[] = [];
    const reasons = new Map<number, string>();
    const updates = await Promise.all(
      outcomes.map(async (outcome, shard) => {
        if (!outcome) {
          reasons.set(shard, 'is late');
          return null;
        }
        try {
          const { tensors } = await tensorsOf('the update', blobs, outcome);
          losses[shard] = Number(tensors.get('loss')?.data[0]);
          return tensors.get('delta')?.data as Float32Array | undefined;
        } catch (error) {
          reasons.set(shard, (error as Error).message);
          return null;
        }
      }),
    );
    if (updates.every(update => update === null)) {
      const all = [...reasons].map(([shard, reason]) => `shard ${shard}: ${reason}`).join('; ');
      throw new Error(`LocalRounds.round: no shard is left: ${all}`);
    }
    const { delta, refused } = averageUpdates(base, updates, { weights, maxNormRatio, method, accept });
    unpackWeights(
      adapters,
      base.map((weight, i) => weight + delta[i]!),
    );
    const isRefused = new Set(refused.map(({ index }) => index));
    const counted = losses.filter((_, shard) => !isRefused.has(shard));
    return {
      loss: counted.reduce((sum, loss) => sum + loss / counted.length, 0),
      refused: refused.map(({ index, reason }) => ({ shard: index, reason: reasons.get(index) ?? reason })),
    };
  }

  /** Ends the connection that waits for results. The queue stays open. */
  async close(): Promise<void> {
    await this.#runs.close();
  }
}
