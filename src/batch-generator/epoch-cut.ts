import type { Labels } from './labels.js';
import { withoutDuplicates } from './no-duplicates.js';
import type { BatchGeneratorConfig } from './options.js';
import { indexAbove } from './order.js';
import { shardOf, shardSize } from './shard.js';
import { shardOfSteps } from './shard-steps.js';

/** An epoch cut into batches. */
export interface EpochCut {
  /** The examples in their order, as indices into the data. */
  indices: number[];
  /** Where each batch starts, then where the last one ends. Undefined if a batch starts at every `batchSize`. */
  starts: number[] | undefined;
}

export type CutOptions = Pick<BatchGeneratorConfig, 'batchSize' | 'dropLast' | 'shard'>;

/**
 * Cuts the order of an epoch into batches. With a shard, the result is the worker's part.
 *
 * @param labels What tells duplicates apart, if no batch may hold any.
 * @throws RangeError where a worker would have a step without an example.
 */
export function cutEpoch(
  call: string,
  order: number[],
  labels: Labels | undefined,
  { batchSize, dropLast, shard }: CutOptions,
): EpochCut {
  if (!labels) return { indices: shard ? shardOf(order, shard) : order, starts: undefined };
  if (!shard) return withoutDuplicates(order, labels, batchSize, dropLast);
  const { worldSize, pad } = shard;
  const steps = withoutDuplicates(order, labels, batchSize * worldSize, dropLast, pad === 'none' ? worldSize : 1);
  return shardOfSteps(call, steps, labels, shard);
}

/** Number of batches in an epoch of this many examples, where all batches except the last hold `batchSize`. */
export function plainLength(examples: number, config: CutOptions): number {
  return batchesIn(config.shard ? shardSize(examples, config.shard) : examples, config);
}

/** Number of batches that this many examples of a worker make. */
export function batchesIn(examples: number, { batchSize, dropLast }: CutOptions): number {
  const batches = examples / batchSize;
  return dropLast ? Math.floor(batches) : Math.ceil(batches);
}

/** Number of batches before a position. Undefined where no batch starts or ends at the position. */
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

/** A 32-bit hash of a cut. It tells whether a state's epoch still has the same batches. */
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
