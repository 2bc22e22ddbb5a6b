import { withDefaults } from '../internal/options.js';
import {
  checkBoolean,
  checkCount,
  checkNumber,
  checkObject,
  checkOneOf,
  checkOptions,
  checkSeed,
  checkWeights,
} from '../internal/validate.js';
import type { EmbeddedExample } from '../types.js';
import type { DuplicatesBy } from './labels.js';
import { checkNegativeMining, type NegativeMining } from './negative-mining.js';
import { isReproducible } from './order.js';
import type { Shard } from './shard.js';

export interface BatchGeneratorOptions<E extends EmbeddedExample = EmbeddedExample> {
  /**
   * Number of examples per batch, at least 1.
   *
   * @default 8
   */
  batchSize?: number;
  /**
   * Whether each epoch has a new random order.
   *
   * @default true
   */
  shuffle?: boolean;
  /**
   * Whether a last batch of fewer than `batchSize` examples is skipped.
   *
   * @default false
   */
  dropLast?: boolean;
  /**
   * Whether one negative is mined per anchor: the most similar positive of another example in the batch.
   *
   * @default false
   */
  hardNegatives?: boolean;
  /**
   * Whether early epochs run from high to low quality. Examples are sorted after the shuffle, which decides ties.
   *
   * @default false
   */
  curriculum?: boolean;
  /**
   * Number of epochs that `curriculum` sorts.
   *
   * @default 5
   */
  curriculumEpochs?: number;
  /** Seed (uint32). The order then depends only on the seed and the epoch. By default, `Math.random` decides it. */
  seed?: number;
  /**
   * Whether no batch may hold two examples with an equal input or an equal output. `duplicatesBy` says what is equal.
   *
   * All examples are used, in the fewest batches possible: the count of the commonest text, or `⌈n / batchSize⌉` if that
   * is more. If there are more batches than without this option, their sizes differ by at most one. With `dropLast`, all
   * batches are full, and examples that would make smaller ones are skipped. Examples stay close to their place in the
   * order, except where texts repeat densely on both sides. Takes about constant time per example.
   *
   * @default false
   */
  noDuplicates?: boolean;
  /**
   * What `noDuplicates` and `negativeMining` treat as duplicates.
   *
   * - `'exact'`: an input or an output of the same text, code unit by code unit. Without a text, a row of the same
   *   numbers.
   * - `'text'`: as `'exact'`, but texts are compared by their form: after Unicode's NFKC, without invisible code points, in
   *   lower case, with each run of white space as one space, and without full stops, exclamation marks and question
   *   marks at the end. `Yes.` equals `yes`, and a composed accent equals a decomposed one.
   * - `'row'`: an `inputEmb` or an `outputEmb` of the same numbers, whatever the texts are.
   * - A function: an equal key. The key stands for the whole example, so inputs and outputs count only if the key holds
   *   them. `example => example.output` compares only the outputs. The function is called once per example at the start
   *   of an epoch, and for the examples of each batch whose negatives are mined.
   *
   * @default 'exact'
   */
  duplicatesBy?: DuplicatesBy<E>;
  /**
   * One weight per example, at least 0. Each epoch then draws as many examples as there are, with replacement and in
   * proportion to the weights. Without `shuffle`, they come in the order of the data. By default, each example comes
   * once.
   */
  sampleWeights?: ArrayLike<number>;
  /**
   * Which part of the common order belongs to this worker: every `worldSize`-th example from `rank` on. Requires a `seed`,
   * or no shuffle. By default, all of it.
   *
   * With `noDuplicates`, batches of `batchSize · worldSize` examples are cut first and then split between the workers. All
   * workers have equally many batches, and no two workers have duplicates of each other in the same step.
   */
  shard?: Shard;
  /**
   * Mines one negative per anchor, in place of `hardNegatives`. If no candidate is left, the negative is the anchor's
   * positive.
   */
  negativeMining?: NegativeMining;
}

/** The configuration with its defaults filled in. */
export type BatchGeneratorConfig<E extends EmbeddedExample = EmbeddedExample> = Required<
  Omit<
    BatchGeneratorOptions<E>,
    'seed' | 'noDuplicates' | 'duplicatesBy' | 'sampleWeights' | 'shard' | 'negativeMining'
  >
> &
  Pick<
    BatchGeneratorOptions<E>,
    'seed' | 'noDuplicates' | 'duplicatesBy' | 'sampleWeights' | 'shard' | 'negativeMining'
  >;

const DEFAULTS = {
  batchSize: 8,
  shuffle: true,
  dropLast: false,
  hardNegatives: false,
  curriculum: false,
  curriculumEpochs: 5,
};

/** The configuration that the constructor's options give. */
export function parseOptions<E extends EmbeddedExample>(options: BatchGeneratorOptions<E>): BatchGeneratorConfig<E> {
  const config = withDefaults('BatchGenerator', DEFAULTS, options);
  checkConfig('BatchGenerator', config);
  return config;
}

/** Checks a configuration, which callers may write to at any time. */
export function checkConfig<E extends EmbeddedExample>(call: string, config: BatchGeneratorConfig<E>): void {
  checkObject(call, 'config', config);
  checkCount(call, 'batchSize', config.batchSize);
  checkNumber(call, 'curriculumEpochs', config.curriculumEpochs, { infinity: true });
  checkSeed(call, config.seed);
  if (config.noDuplicates !== undefined) checkBoolean(call, 'noDuplicates', config.noDuplicates);
  if (config.duplicatesBy !== undefined && typeof config.duplicatesBy !== 'function')
    checkOneOf(call, 'duplicatesBy', config.duplicatesBy, ['exact', 'text', 'row']);
  if (config.shard !== undefined) checkShard(call, config);
  if (config.negativeMining === undefined) return;
  checkNegativeMining(call, config.negativeMining);
  if (config.hardNegatives) throw new RangeError(`${call}: hardNegatives and negativeMining exclude each other`);
}

type ShardConfig = Pick<BatchGeneratorConfig, 'shard' | 'seed' | 'shuffle' | 'sampleWeights'>;

function checkShard(call: string, { shard, ...config }: ShardConfig): void {
  checkObject(call, 'shard', shard);
  checkOptions(call, shard, 'shard', 'shard');
  const worldSize = checkCount(call, 'shard.worldSize', shard.worldSize);
  checkNumber(call, 'shard.rank', shard.rank, { integer: true, min: 0, max: worldSize - 1 });
  if (shard.pad !== undefined) checkOneOf(call, 'shard.pad', shard.pad, ['repeat', 'none']);
  if (!isReproducible(config))
    throw new RangeError(`${call}: shard needs a seed, so that all workers draw one order, or shuffle: false`);
}

/** Checks that there is a weight of at least 0 for each example, and that one is above 0. */
export function checkSampleWeights(call: string, weights: ArrayLike<number>, examples: number): void {
  if (examples === 0 && weights.length === 0) return;
  checkWeights(call, 'sampleWeights', weights, examples, 'data');
  const total = Array.from(weights).reduce((sum, weight) => sum + weight, 0);
  checkNumber(call, 'the sum of sampleWeights', total, { above: 0 });
}
