import type { TensorFile } from '../index.js';
import { type AverageUpdatesOptions, averageUpdates, packWeights, unpackWeights } from '../index.js';
import { checkKnownNames } from '../internal/known-names.js';
import { checkCount, checkFunction, checkNumber } from '../internal/validate/option-checks.js';
import { type Failure, type TrainingJobsOptions, WeightJobs } from './weight-jobs.js';

export interface LocalRoundsOptions extends TrainingJobsOptions, AverageUpdatesOptions {
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

/**
 * Rounds of local training: workers train on their shards from the same weights, and the changes are averaged here
 * (federated averaging, local SGD). Rows never leave the workers. One exchange of weights serves `localSteps` steps.
 *
 * Updates pass the checks of `averageUpdates`, whose options are options here too.
 */
export class LocalRounds {
  readonly #options: LocalRoundsOptions;
  readonly #jobs: WeightJobs;

  /** @throws TypeError or RangeError for wrong options. */
  constructor(options: LocalRoundsOptions) {
    const call = 'LocalRounds';
    checkKnownNames(call, options, NAMES);
    const { shards, localSteps, deadlineMs, task = 'local' } = options;
    this.#jobs = new WeightJobs(call, task, options);
    checkCount(call, 'shards', shards);
    checkCount(call, 'localSteps', localSteps);
    if (deadlineMs !== undefined) checkNumber(call, 'deadlineMs', deadlineMs, { above: 0 });
    checkAveraging(options);
    this.#options = { ...options };
  }

  /**
   * One round. The adapters get the averaged change.
   *
   * @param round Number of the round. Its steps have the numbers from `round · localSteps` on.
   * @param lr Learning rate of the workers' optimizers, 0 or more.
   * @throws TypeError or RangeError for wrong arguments, and Error if no shard counts, with the adapters unchanged.
   */
  async round(round: number, lr: number, options: { signal?: AbortSignal } = {}): Promise<RoundResult> {
    const call = 'LocalRounds.round';
    checkKnownNames(call, options, ['signal']);
    checkCount(call, 'round', round, 0);
    checkNumber(call, 'lr', lr, { min: 0 });
    const { adapters, shards, localSteps, deadlineMs } = this.#options;
    const base = packWeights(adapters);
    const payloads = Array.from({ length: shards }, (_, shard) => ({ round, shard, localSteps, lr }));
    return this.#jobs.alone(call, async () => {
      const results = await this.#jobs.run(call, payloads, { signal: options.signal, deadlineMs }, base);
      return this.#apply(base, results);
    });
  }

  #apply(base: Float32Array, results: readonly (TensorFile | Failure)[]): RoundResult {
    const { adapters, weights, maxNormRatio, method, accept } = this.#options;
    const losses: number[] = [];
    const reasons = new Map<number, string>();
    const updates = results.map((result, shard) => {
      if (!('tensors' in result)) {
        reasons.set(shard, 'isLate' in result ? 'is late' : result.error.message);
        return null;
      }
      const loss = Number(result.tensors.get('loss')?.data[0]);
      if (!Number.isFinite(loss)) {
        reasons.set(shard, `has the loss ${loss}`);
        return null;
      }
      losses[shard] = loss;
      return result.tensors.get('delta')?.data as Float32Array | undefined;
    });
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
    await this.#jobs.close();
  }
}

/** Checks the options of `averageUpdates` before any work is done. */
function checkAveraging({ shards, weights, maxNormRatio, method, accept }: LocalRoundsOptions): void {
  if (accept !== undefined) checkFunction('LocalRounds', 'accept', accept);
  const update = new Float32Array(1);
  try {
    averageUpdates(update, new Array<Float32Array>(shards).fill(update), { weights, maxNormRatio, method });
  } catch (error) {
    const { message } = error as Error;
    (error as Error).message = message.replace('averageUpdates', 'LocalRounds');
    throw error;
  }
}
