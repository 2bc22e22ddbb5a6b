import { dealEarliest } from './deal-earliest.js';
import { dealMatchings } from './deal-matchings.js';
import type { Labels } from './labels.js';

/**
 * An epoch cut into batches: the order of its examples, and where in it each batch starts; last, where the last one
 * ends.
 */
export interface Partition {
  indices: number[];
  starts: number[];
}

/** Stands for "no batch". */
export const NONE = -1;

/** The labels of an order, position by position, and how the positions are to be dealt to batches. */
export interface Deal extends Labels {
  /** Number of batches. */
  batches: number;
  /** Examples that a batch can hold. */
  capacity: number;
  /** Whether the sizes of batches must be within one of each other. */
  isEven: boolean;
}

/**
 * Cuts an order into batches in which no two examples share a label on either side, and as few of them as can be.
 *
 * Examples are the edges of a bipartite multigraph between inputs and outputs, and batches a colouring of them: as many
 * colours as the commonest label has examples are enough (Kőnig 1916), of sizes within one of each other (de Werra
 * 1971). So the number of batches is `max(commonest label, ⌈n / batchSize⌉)`.
 *
 * Batch by batch takes the earliest examples that fit; without duplicates the cut is the plain one. Where labels repeat
 * so densely on both sides that this fails, perfect matchings of what is left make the other batches.
 *
 * @param order Examples of the epoch, which may name one twice.
 * @param labels Labels of all examples.
 * @param onlyFull Whether examples that would make batches of fewer than `batchSize` are skipped.
 * @param least What the last batch must hold at least, where n examples can give all batches as many.
 */
export function withoutDuplicates(
  order: readonly number[],
  labels: Labels,
  batchSize: number,
  onlyFull: boolean,
  least = 1,
): Partition {
  const kept = onlyFull ? fullBatches(order, labels, batchSize) : order;
  const inputs = Int32Array.from(kept, index => labels.inputs[index]!);
  const outputs = Int32Array.from(kept, index => labels.outputs[index]!);
  const { length } = kept;
  const fewest = Math.ceil(length / batchSize);
  const batches = Math.max(fewest, largest(countsOf(inputs)), largest(countsOf(outputs)));
  const isEven = batches > fewest || length - (batches - 1) * batchSize < least;
  const capacity = isEven ? Math.ceil(length / batches) : batchSize;
  return cut(kept, batches, deal({ inputs, outputs, batches, capacity, isEven }));
}

/** The batch of each position. */
function deal(problem: Deal): Int32Array {
  const batchOf = new Int32Array(problem.inputs.length).fill(NONE);
  const dealt = dealEarliest(problem, batchOf);
  if (dealt < problem.batches) dealMatchings(problem, batchOf, dealt);
  return batchOf;
}

/**
 * The earliest examples that make `count` full batches, no label more than `count` times, for the greatest count; the
 * greatest there can be if labels repeat on one side only.
 */
function fullBatches(order: readonly number[], labels: Labels, batchSize: number): number[] {
  const used = [labels.inputs, labels.outputs].map(side => new Int32Array(largest(side) + 1)) as [
    Int32Array,
    Int32Array,
  ];
  const earliest = (count: number): number[] | undefined => {
    const [inputs, outputs] = used;
    inputs.fill(0);
    outputs.fill(0);
    const taken: number[] = [];
    for (let at = 0; at < order.length && taken.length < count * batchSize; at++) {
      const index = order[at]!;
      const [input, output] = [labels.inputs[index]!, labels.outputs[index]!];
      if (inputs[input]! >= count || outputs[output]! >= count) continue;
      inputs[input]!++;
      outputs[output]!++;
      taken.push(index);
    }
    return taken.length === count * batchSize ? taken : undefined;
  };
  let high = Math.floor(order.length / batchSize);
  let best = earliest(high);
  if (best) return best;
  best = [];
  for (let low = 0; high - low > 1; ) {
    const middle = (low + high) >>> 1;
    const taken = earliest(middle);
    if (taken) [low, best] = [middle, taken];
    else high = middle;
  }
  return best;
}

/** The examples batch by batch, in each as they were ordered. */
function cut(order: readonly number[], batches: number, batchOf: Int32Array): Partition {
  const starts = new Array<number>(batches + 1).fill(0);
  for (const batch of batchOf) starts[batch + 1]!++;
  for (let batch = 0; batch < batches; batch++) starts[batch + 1]! += starts[batch]!;
  const next = Int32Array.from(starts);
  const indices = new Array<number>(order.length).fill(0);
  for (let at = 0; at < order.length; at++) indices[next[batchOf[at]!]!++] = order[at]!;
  return { indices, starts };
}

/** How often each label occurs. */
export function countsOf(labels: Int32Array): Int32Array {
  const counts = new Int32Array(largest(labels) + 1);
  for (let at = 0; at < labels.length; at++) counts[labels[at]!]!++;
  return counts;
}

export function largest(values: Int32Array): number {
  let most = 0;
  for (let i = 0; i < values.length; i++) if (values[i]! > most) most = values[i]!;
  return most;
}
