import { logarithm } from './logarithm.js';

/** Features are told apart by this many low bits of their hash. Counting takes 4 bytes for each, the result 2. */
export const BUCKETS = 1 << 19;
export const MOST_DOCUMENTS = 0xffffffff;

const LEAST_RARITY = 1 / 4;
/** Greater counts share a level with their neighbours, within a thousandth of each other. */
const EXACT_COUNTS = 2048;
const LEVELS_PER_OCTAVE = EXACT_COUNTS / 2;
/** 2^10 levels to an octave. */
const LEVEL_BITS = 10;

/** In how many documents each feature occurs, and the weight that follows from it. */
export class DocumentFrequencies {
  readonly #levels: Uint16Array;
  readonly #weights: Float64Array;

  /**
   * @param documents Number of documents.
   * @param counts For each bucket, in how many of them it occurs.
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

  /** The counts, each the least of its level: equal weights follow from them. */
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
 * The inverse document frequency ln((1 + documents) / (1 + count)), and a little so that what is in every text still
 * weighs something, to the power of 3/4. Measured on four sets of pairs: a power of 1 finds more as long as nothing is
 * trained, 1/2 after training, and 3/4 about as much as the better one of them in both cases; adding 1, as scikit-learn
 * does, finds less untrained and no more after training. `**` is not exactly specified, so roots.
 */
function weightOf(count: number, documents: number): number {
  const rarity = LEAST_RARITY + logarithm((1 + documents) / (1 + count));
  return Math.sqrt(rarity * Math.sqrt(rarity));
}

/** Small counts have a level of their own, others share 1024 to each power of two. */
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
