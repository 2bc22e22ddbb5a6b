import { logarithm } from './logarithm.js';

/** Number of low bits of a hash that tell features apart. Counting takes 4 bytes per value of these bits, the result 2. */
export const BUCKETS = 1 << 19;
export const MOST_DOCUMENTS = 0xffffffff;

const LEAST_RARITY = 1 / 4;
/** Greater counts share a level with counts within a thousandth of them. */
const EXACT_COUNTS = 2048;
const LEVELS_PER_OCTAVE = EXACT_COUNTS / 2;
/** 2^10 levels per octave. */
const LEVEL_BITS = 10;

/** The number of documents that each feature occurs in, and the weight that follows from it. */
export class DocumentFrequencies {
  readonly #levels: Uint16Array;
  readonly #weights: Float64Array;

  /**
   * @param documents Number of documents.
   * @param counts The number of documents that each bucket occurs in.
   */
  constructor(
    readonly documents: number,
    counts: Uint32Array,
  ) {
    this.#levels = new Uint16Array(BUCKETS);
    for (let i = 0; i < BUCKETS; i++) this.#levels[i] = levelOf(counts[i]!);
    this.#weights = Float64Array.from({ length: levelOf(documents) + 1 }, (_, level) =>
      weightOf(countOf(level), documents),
    );
  }

  /** The counts, each as the least count of its level. They give the same weights. */
  counts(): Uint32Array {
    const counts = new Uint32Array(BUCKETS);
    for (let i = 0; i < BUCKETS; i++) counts[i] = countOf(this.#levels[i]!);
    return counts;
  }

  weightOf(hash: number): number {
    return this.#weights[this.#levels[hash & (BUCKETS - 1)]!]!;
  }
}

/**
 * The inverse document frequency ln((1 + documents) / (1 + count)) to the power of 3/4, plus a little, so that a feature of
 * every text still has a weight. Measured on four sets of pairs, a power of 1 finds more before training, and 1/2 after
 * training. 3/4 finds about as much as the better of them in both cases. Adding 1, as scikit-learn does, finds less before
 * training and no more after it. `**` is not exactly specified, so roots are used.
 */
function weightOf(count: number, documents: number): number {
  const rarity = LEAST_RARITY + logarithm((1 + documents) / (1 + count));
  return Math.sqrt(rarity * Math.sqrt(rarity));
}

/** Each small count has its own level. Others share 1024 levels per power of two. */
function levelOf(count: number): number {
  if (count < EXACT_COUNTS) return count;
  const octave = 31 - Math.clz32(count);
  return (count >>> (octave - LEVEL_BITS)) + LEVELS_PER_OCTAVE * (octave - LEVEL_BITS);
}

/** The least count of a level. */
function countOf(level: number): number {
  if (level < EXACT_COUNTS) return level;
  const octave = Math.floor(level / LEVELS_PER_OCTAVE) + LEVEL_BITS - 1;
  return ((level % LEVELS_PER_OCTAVE) + LEVELS_PER_OCTAVE) * 2 ** (octave - LEVEL_BITS);
}
