import { isSeed } from '../internal/random.js';
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
import type { Shard } from './order.js';

export interface BatchGeneratorOptions<E extends EmbeddedExample = EmbeddedExample> {
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
   * Whether no batch may hold two examples of equal input or equal output; `duplicatesBy` says what is equal. All
   * examples are used, in the fewest batches that this takes: the commonest text's count, or `⌈n / batchSize⌉` where
   * that is more. Where it takes more than without, their sizes are within one of each other. With `dropLast` all
   * batches are full, and examples that would make other ones are skipped. Examples come about where a plain cut puts
   * them, except where texts repeat densely on both sides. Takes about constant time per example. Default false.
   */
  noDuplicates?: boolean;
  /**
   * What `noDuplicates` and `negativeMining` take for duplicates. Default `'exact'`.
   *
   * - `'exact'`: an input or an output that is the same text, code unit by code unit; where there is no text, a row of
   *   the same numbers.
   * - `'text'`: the same, but texts are compared after Unicode's NFKC, without invisible code points, in lower case,
   *   with each run of white space as one space and without full stops, exclamation and question marks at the end:
   *   `Yes.` is `yes`, and a composed accent is a decomposed one.
   * - `'row'`: an `inputEmb` or an `outputEmb` of the same numbers, whatever the texts.
   * - A function: an equal key, which stands for the whole example; inputs and outputs then count only as far as the key
   *   holds them. `example => example.output` tells answers apart alone. It is called once per example at the start of
   *   an epoch, and for the examples of each batch that is mined.
   */
  duplicatesBy?: DuplicatesBy<E>;
  /**
   * One weight an example, 0 or more: each epoch draws as many examples as there are, with replacement, in proportion
   * to them; without `shuffle` in the order of the data. Default: each example comes once.
   */
  sampleWeights?: ArrayLike<number>;
  /**
   * Takes every `worldSize`-th example of the common order, from `rank` on. Needs a `seed`, or no shuffle. With
   * `noDuplicates`, batches of `batchSize · worldSize` are cut first and dealt out: all workers have as many batches,
   * and no two workers have duplicates of each other in the same step. Default: all.
   */
  shard?: Shard;
  /**
   * Mines one negative an anchor in place of `hardNegatives`; where no candidate is left, it is the anchor's own
   * positive.
   */
  negativeMining?: NegativeMining;
}

type OptionalOption = 'seed' | 'noDuplicates' | 'duplicatesBy' | 'sampleWeights' | 'shard' | 'negativeMining';

/** The configuration with its defaults filled in. */
export type BatchGeneratorConfig<E extends EmbeddedExample = EmbeddedExample> = Required<
  Omit<BatchGeneratorOptions<E>, OptionalOption>
> &
  Pick<BatchGeneratorOptions<E>, OptionalOption>;

export function checkConfig<E extends EmbeddedExample>(config: BatchGeneratorConfig<E>): void {
  checkObject('BatchGenerator', 'config', config);
  checkCount('BatchGenerator', 'batchSize', config.batchSize);
  checkNumber('BatchGenerator', 'curriculumEpochs', config.curriculumEpochs, { infinity: true });
  checkSeed('BatchGenerator', config.seed);
  if (config.noDuplicates !== undefined) checkBoolean('BatchGenerator', 'noDuplicates', config.noDuplicates);
  if (config.duplicatesBy !== undefined && typeof config.duplicatesBy !== 'function')
    checkOneOf('BatchGenerator', 'duplicatesBy', config.duplicatesBy, ['exact', 'text', 'row']);
  if (config.shard !== undefined) checkShard(config);
  if (config.negativeMining === undefined) return;
  checkNegativeMining('BatchGenerator', config.negativeMining);
  if (config.hardNegatives) throw new RangeError('BatchGenerator: hardNegatives and negativeMining exclude each other');
}

type ShardConfig = Pick<BatchGeneratorConfig, 'shard' | 'seed' | 'shuffle' | 'sampleWeights'>;

function checkShard({ shard, seed, shuffle, sampleWeights }: ShardConfig): void {
  const call = 'BatchGenerator';
  checkObject(call, 'shard', shard);
  checkOptions(call, shard, 'shard', 'shard');
  const worldSize = checkCount(call, 'shard.worldSize', shard.worldSize);
  checkNumber(call, 'shard.rank', shard.rank, { integer: true, min: 0, max: worldSize - 1 });
  if (shard.pad !== undefined) checkOneOf(call, 'shard.pad', shard.pad, ['repeat', 'none']);
  if (!isSeed(seed) && (shuffle || sampleWeights))
    throw new RangeError(`${call}: shard needs a seed, so that all workers draw one order, or shuffle: false`);
}

export function checkSampleWeights(weights: ArrayLike<number>, examples: number): void {
  if (examples === 0 && weights.length === 0) return;
  checkWeights('BatchGenerator', 'sampleWeights', weights, examples, 'data');
  const total = Array.from(weights).reduce((sum, weight) => sum + weight, 0);
  checkNumber('BatchGenerator', 'the sum of sampleWeights', total, { above: 0 });
}
