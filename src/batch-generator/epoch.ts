import type { EmbeddedExample } from '../types.js';
import { checkData } from './check-data.js';
import { type LabelledExamples, type Labels, labelsOf } from './labels.js';
import { withoutDuplicates } from './no-duplicates.js';
import { type BatchGeneratorConfig, checkConfig, checkSampleWeights } from './options.js';
import { indexAbove, shardOf, shardSize } from './order.js';
import { countOwnNegatives } from './own-negatives.js';
import { shardOfSteps } from './shard-steps.js';

/** What an epoch takes from data and configuration as they are at its start. */
export interface EpochData {
  /** Number of examples. */
  examples: number;
  /** Negatives that each example brings along. */
  ownNegatives: number;
  /** What tells duplicates apart, where no batch may hold any. */
  labels: LabelledExamples | undefined;
}

/** An epoch cut into batches. */
export interface EpochCut {
  /** The examples, in their order. */
  indices: number[];
  /** Where batches start and the last one ends, where that is not at each `batchSize`. */
  starts: number[] | undefined;
}

/**
 * Checks data and configuration, and derives what batches need of them.
 *
 * @param known What was derived at an earlier time; its labels are taken again where nothing has changed.
 */
export function epochDataOf<E extends EmbeddedExample>(
  data: readonly E[],
  config: BatchGeneratorConfig<E>,
  known?: EpochData,
): EpochData {
  checkConfig(config);
  checkData(data);
  const ownNegatives = countOwnNegatives(data, config);
  const { sampleWeights, noDuplicates, duplicatesBy = 'exact' } = config;
  if (sampleWeights !== undefined) checkSampleWeights(sampleWeights, data.length);
  const labels = noDuplicates ? labelsOf(data, duplicatesBy, { known: known?.labels }) : undefined;
  return { examples: data.length, ownNegatives, labels };
}

/** Cuts the order of an epoch into batches, those of this worker where there are several. */
export function cutEpoch(
  order: number[],
  labels: Labels | undefined,
  { batchSize, dropLast, shard }: CutOptions,
): EpochCut {
  if (!labels) return { indices: shard ? shardOf(order, shard) : order, starts: undefined };
  if (!shard) return withoutDuplicates(order, labels, batchSize, dropLast);
  const { worldSize, pad } = shard;
  const steps = withoutDuplicates(order, labels, batchSize * worldSize, dropLast, pad === 'none' ? worldSize : 1);
  return shardOfSteps(steps, labels, shard);
}

type CutOptions = Pick<BatchGeneratorConfig, 'batchSize' | 'dropLast' | 'shard'>;

/** Number of batches in an epoch of so many examples, where each is of `batchSize` but the last. */
export function plainLength(examples: number, config: CutOptions): number {
  return batchesIn(config.shard ? shardSize(examples, config.shard) : examples, config);
}

/** Number of batches that so many examples of this worker make. */
export function batchesIn(examples: number, { batchSize, dropLast }: CutOptions): number {
  const batches = examples / batchSize;
  return dropLast ? Math.floor(batches) : Math.ceil(batches);
}

/** Number of batches that end by a position, where a batch starts there or the last one ends. */
export function batchesBefore(
  { indices, starts }: EpochCut,
  position: number,
  { batchSize }: CutOptions,
): number | undefined {
  if (starts) {
    const batch = indexAbove(starts, position) - 1;
    return starts[batch] === position ? batch : undefined;
  }
  return position % batchSize === 0 || position === indices.length ? Math.ceil(position / batchSize) : undefined;
}

/** A 32-bit hash of a cut, which tells whether a state's epoch is still made of the same batches. */
export function hashOfCut({ indices, starts = [] }: EpochCut): number {
  let hash = indices.length;
  for (const numbers of [indices, starts]) {
    for (let i = 0; i < numbers.length; i++) {
      hash = Math.imul(hash ^ numbers[i]!, 0x85ebca6b);
      hash ^= hash >>> 13;
    }
  }
  return hash >>> 0;
}
