import { type Random, randomFor, shuffle } from '../internal/random.js';
import type { EmbeddedExample } from '../types.js';
import type { BatchGeneratorConfig } from './options.js';

/** Which part of each epoch's order is this worker's. */
export interface Shard {
  /** Number of this worker, from 0. */
  rank: number;
  /** Number of workers. */
  worldSize: number;
  /**
   * `'repeat'` gives all workers equally many examples by repeating the first ones; `'none'` repeats none, so that some
   * may have one more. Default `'repeat'`.
   *
   * With `noDuplicates` this is true of each step that the workers take together. `'repeat'` fills it up with examples
   * of other steps, none of which is a duplicate of one in it; where there is none, parts differ by one. It is a
   * RangeError at the start of the epoch if a worker would have no example in a step.
   */
  pad?: 'repeat' | 'none';
}

type OrderOptions = Pick<
  BatchGeneratorConfig,
  'shuffle' | 'sampleWeights' | 'seed' | 'curriculum' | 'curriculumEpochs'
>;

/** The order of an epoch: a Fisher–Yates shuffle or weighted draws, then the curriculum's sort. */
export function orderOf(data: readonly EmbeddedExample[], config: OrderOptions, epoch: number): number[] {
  const { sampleWeights, seed } = config;
  const random = randomFor(seed, epoch);
  let indices: number[];
  if (sampleWeights) {
    indices = drawWeighted(sampleWeights, random);
    if (!config.shuffle) indices.sort((a, b) => a - b);
  } else {
    indices = data.map((_, i) => i);
    if (config.shuffle) shuffle(indices, random);
  }
  if (config.curriculum && epoch < config.curriculumEpochs) {
    indices.sort((a, b) => (data[b]!.quality ?? 1) - (data[a]!.quality ?? 1));
  }
  return indices;
}

/** As many indices as there are weights, drawn with replacement in proportion to them. */
function drawWeighted(weights: ArrayLike<number>, random: Random): number[] {
  const sums = new Float64Array(weights.length);
  let total = 0;
  let last = 0;
  for (let i = 0; i < weights.length; i++) {
    sums[i] = total += weights[i]!;
    if (weights[i]! > 0) last = i;
  }
  return Array.from(sums, () => Math.min(indexAbove(sums, random() * total), last));
}

/** The first index of ascending numbers whose number exceeds the value. */
export function indexAbove(ascending: ArrayLike<number>, value: number): number {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ascending[middle]! > value) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Every `worldSize`-th index, from `rank` on, after padding: the rule of PyTorch's DistributedSampler. */
export function shardOf(indices: readonly number[], { rank, worldSize, pad = 'repeat' }: Shard): number[] {
  if (indices.length === 0) return [];
  const total = pad === 'repeat' ? Math.ceil(indices.length / worldSize) * worldSize : indices.length;
  const mine: number[] = [];
  for (let i = rank; i < total; i += worldSize) mine.push(indices[i % indices.length]!);
  return mine;
}

/** The number of indices in {@link shardOf} of `count`. */
export function shardSize(count: number, { rank, worldSize, pad = 'repeat' }: Shard): number {
  return pad === 'repeat' ? Math.ceil(count / worldSize) : Math.max(0, Math.ceil((count - rank) / worldSize));
}
