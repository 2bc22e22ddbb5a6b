import { isSeed, type Random, randomFor, shuffle } from '../internal/random.js';
import type { EmbeddedExample } from '../types.js';
import type { BatchGeneratorConfig } from './options.js';

type OrderOptions = Pick<
  BatchGeneratorConfig,
  'shuffle' | 'sampleWeights' | 'seed' | 'curriculum' | 'curriculumEpochs'
>;

/** The order of an epoch: a Fisher–Yates shuffle or weighted draws, then the sort of the curriculum. */
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

/** Whether the order depends only on the configuration and the epoch. */
export function isReproducible({
  seed,
  shuffle,
  sampleWeights,
}: Pick<OrderOptions, 'seed' | 'shuffle' | 'sampleWeights'>): boolean {
  return isSeed(seed) || !(shuffle || sampleWeights);
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

/** Of ascending numbers, the index of the first one that exceeds a value. */
export function indexAbove(ascending: ArrayLike<number>, value: number): number {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ascending[middle]! > value) high = middle;
    else low = middle + 1;
  }
  return low;
}
