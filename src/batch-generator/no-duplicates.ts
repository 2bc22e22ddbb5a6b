import { countsOf, type Deal, labelsAt, largest, NONE } from './deal.js';
import { dealEarliest } from './deal-earliest.js';
import { dealMatchings } from './deal-matchings.js';
import type { Labels } from './labels.js';

/** An order cut into batches. */
export interface Partition {
  /** The examples, batch by batch. */
  indices: number[];
  /** Where each batch starts, then where the last one ends. */
  starts: number[];
}

/**
 * Cuts an order into as few batches as possible, so that no two examples of a batch share a label on either side.
 *
 * Examples are the edges of a bipartite multigraph between inputs and outputs, and batches are a colouring of the edges.
 * As many colours as the commonest label has examples are enough (Kőnig 1916), also if their sizes may differ by at most
 * one (de Werra 1971). So the number of batches is `max(commonest label, ⌈n / batchSize⌉)`.
 *
 * Each batch in turn takes the earliest examples that fit. Without duplicates, this is the plain cut. It fails where
 * labels repeat densely on both sides. Perfect matchings of the examples that are left then make the other batches.
 *
 * @param order The examples of the epoch, as indices. An index may occur twice.
 * @param labels Labels of all examples.
 * @param onlyFull Whether examples that would make batches of fewer than `batchSize` are skipped.
 * @param least Fewest examples that the last batch must hold, if n examples can give each batch that many.
 */
export function withoutDuplicates(
  order: readonly number[],
  labels: Labels,
  batchSize: number,
  onlyFull: boolean,
  least = 1,
): Partition {
  const kept = onlyFull ? fullBatches(order, labels, batchSize) : order;
  const inputs = labelsAt(kept, labels.inputs);
  const outputs = labelsAt(kept, labels.outputs);
  const { length } = kept;
  const fewest = Math.ceil(length / batchSize);
  const commonest = Math.max(largest(countsOf(inputs)), largest(countsOf(outputs)));
  const batches = Math.max(fewest, commonest);
  const isEven = batches > fewest || length - (batches - 1) * batchSize < least;
  const capacity = isEven ? Math.ceil(length / batches) : batchSize;
  const isPlain = commonest <= 1 && !isEven;
  const problem = { inputs, outputs, batches, capacity, isEven };
  return cut(kept, batches, isPlain ? plainBatches(length, capacity) : deal(problem));
}

/** The batch of each position, where all batches except the last are full. */
function plainBatches(length: number, capacity: number): Int32Array {
  const batchOf = new Int32Array(length);
  for (let at = 0; at < length; at++) batchOf[at] = Math.floor(at / capacity);
  return batchOf;
}

/** The batch of each position. */
function deal(problem: Deal): Int32Array {
  const batchOf = new Int32Array(problem.inputs.length).fill(NONE);
  const dealt = dealEarliest(problem, batchOf);
  if (dealt < problem.batches) dealMatchings(problem, batchOf, dealt);
  return batchOf;
}

/**
 * The earliest examples that make `count` full batches, with no label more than `count` times. `count` is the greatest
 * for which these examples are enough. If labels repeat on one side only, no choice of examples makes more batches.
 */
function fullBatches(order: readonly number[], labels: Labels, batchSize: number): number[] {
  const [inputs, outputs] = [labelsAt(order, labels.inputs), labelsAt(order, labels.outputs)];
  const [ofInput, ofOutput] = [countsOf(inputs), countsOf(outputs)];
  const used = [new Int32Array(ofInput.length), new Int32Array(ofOutput.length)] as const;
  /** Takes the earliest examples that fit. Returns whether they are enough. */
  const take = (count: number, taken?: number[]): boolean => {
    for (const side of used) side.fill(0);
    let left = count * batchSize;
    for (let at = 0; at < order.length && left > 0; at++) {
      const input = inputs[at]!;
      const output = outputs[at]!;
      if (used[0][input]! >= count || used[1][output]! >= count) continue;
      used[0][input]!++;
      used[1][output]!++;
      taken?.push(order[at]!);
      left--;
    }
    return left === 0;
  };
  const bound = greatest(Math.floor(order.length / batchSize), count =>
    [ofInput, ofOutput].every(counts => sumUpTo(counts, count) >= count * batchSize),
  );
  const kept: number[] = [];
  take(take(bound) ? bound : greatest(bound - 1, take), kept);
  return kept;
}

/** The greatest number from 0 to `most` that meets a condition. 0 and all numbers below such a number must meet it. */
function greatest(most: number, holds: (count: number) => boolean): number {
  let [low, high] = [0, Math.max(0, most) + 1];
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (holds(middle)) low = middle;
    else high = middle;
  }
  return low;
}

/** The sum of counts, where each counts up to a limit. */
function sumUpTo(counts: Int32Array, limit: number): number {
  let sum = 0;
  for (let label = 0; label < counts.length; label++) sum += Math.min(counts[label]!, limit);
  return sum;
}

/** The examples batch by batch. Within a batch, they keep their order. */
function cut(order: readonly number[], batches: number, batchOf: Int32Array): Partition {
  const starts = new Array<number>(batches + 1).fill(0);
  for (const batch of batchOf) starts[batch + 1]!++;
  for (let batch = 0; batch < batches; batch++) starts[batch + 1]! += starts[batch]!;
  const next = Int32Array.from(starts);
  const indices = new Array<number>(order.length).fill(0);
  for (let at = 0; at < order.length; at++) indices[next[batchOf[at]!]!++] = order[at]!;
  return { indices, starts };
}
