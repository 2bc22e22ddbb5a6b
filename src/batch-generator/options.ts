import {
  checkCount,
  checkNumber,
  checkObject,
  checkOneOf,
  checkOptions,
  checkSeed,
  checkWeights,
} from '../internal/validate.js';
import { checkNegativeMining, type NegativeMining } from './negative-mining.js';
import type { Shard } from './order.js';

export interface BatchGeneratorOptions {
  /** Examples a batch. Default 8. */
  batchSize?: number;
  /** Whether each epoch has a new random order. Default true. */
  shuffle?: boolean;
  /** Whether a last batch of fewer than `batchSize` examples is left out. Default false. */
  dropLast?: boolean;
  /** Whether to mine for each anchor the most similar positive of another example of the batch. Default false. */
  hardNegatives?: boolean;
  /**
   * Whether early epochs run from high to low quality. Sorts after the shuffle, which so decides ties. Default false.
   */
  curriculum?: boolean;
  /** Number of epochs that are sorted when `curriculum` is on. Default 5. */
  curriculumEpochs?: number;
  /** Seed (uint32): the order is then a function of seed and epoch alone. Default: `Math.random`. */
  seed?: number;
  /**
   * Whether no batch may hold two examples of equal input or equal output: texts where there are texts, else
   * embeddings. All examples are used, in the fewest batches that this takes: the commonest text's count, or `⌈n /
   * batchSize⌉` where that is more. Where it takes more than without, their sizes are within one of each other, unless
   * `dropLast` leaves out those that are not full. Shards are cut apart first, so they may differ in their number of
   * batches. Default false.
   */
  noDuplicates?: boolean;
  /**
   * One weight an example, 0 or more: each epoch draws as many examples as there are, with replacement, in proportion
   * to them; without `shuffle` in the order of the data. Default: each example comes once.
   */
  sampleWeights?: ArrayLike<number>;
  /**
   * Takes every `worldSize`-th example of the common order, from `rank` on. Needs a `seed`, or no shuffle. Default:
   * all.
   */
  shard?: Shard;
  /**
   * Mines one negative an anchor in place of `hardNegatives`; where no candidate is left, it is the anchor's own
   * positive.
   */
  negativeMining?: NegativeMining;
}

type OptionalOption = 'seed' | 'noDuplicates' | 'sampleWeights' | 'shard' | 'negativeMining';

/** The configuration with its defaults filled in. */
export type BatchGeneratorConfig = Required<Omit<BatchGeneratorOptions, OptionalOption>> &
  Pick<BatchGeneratorOptions, OptionalOption>;

export function checkConfig(config: BatchGeneratorConfig): void {
  checkCount('BatchGenerator', 'batchSize', config.batchSize);
  checkNumber('BatchGenerator', 'curriculumEpochs', config.curriculumEpochs, { infinity: true });
  checkSeed('BatchGenerator', config.seed);
  if (config.shard !== undefined) checkShard(config);
  if (config.negativeMining === undefined) return;
  checkNegativeMining('BatchGenerator', config.negativeMining);
  if (config.hardNegatives) throw new RangeError('BatchGenerator: hardNegatives and negativeMining exclude each other');
}

function checkShard({ shard, seed, shuffle, sampleWeights }: BatchGeneratorConfig): void {
  const call = 'BatchGenerator';
  checkObject(call, 'shard', shard);
  checkOptions(call, shard, 'shard', 'shard');
  const worldSize = checkCount(call, 'shard.worldSize', shard.worldSize);
  checkNumber(call, 'shard.rank', shard.rank, { integer: true, min: 0, max: worldSize - 1 });
  if (shard.pad !== undefined) checkOneOf(call, 'shard.pad', shard.pad, ['repeat', 'none']);
  if (seed === undefined && (shuffle || sampleWeights))
    throw new RangeError(`${call}: shard needs a seed, so that all workers draw one order, or shuffle: false`);
}

export function checkSampleWeights(weights: ArrayLike<number>, examples: number): void {
  if (examples === 0 && weights.length === 0) return;
  checkWeights('BatchGenerator', 'sampleWeights', weights, examples, 'data');
  const total = Array.from(weights).reduce((sum, weight) => sum + weight, 0);
  checkNumber('BatchGenerator', 'the sum of sampleWeights', total, { above: 0 });
}
