import { logarithm } from './logarithm.js';

/** Features are counted by the low bits of their hash: 2 MiB of counts, and as much again while another fit runs. */
export const BUCKETS = 1 << 19;
export const MOST_DOCUMENTS = 0xffffffff;

/** Counts from here on share a weight with their neighbours: within a thousandth of each other. */
const EXACT_COUNTS = 2048;
const LEVELS_PER_OCTAVE = EXACT_COUNTS / 2;

/** In how many documents each feature occurs, and the weight that follows from it. */
export class DocumentFrequencies {
  readonly #counts: Uint32Array;
  readonly #weights: Float64Array;

  /**
   * @param documents Number of documents.
   * @param counts For each bucket, in how many of them it occurs.
   */
  constructor(
    readonly documents: number,
    counts: Uint32Array,
  ) {
    this.#counts = counts;
    this.#weights = Float64Array.from({ length: levelOf(documents) + 1 }, (_, level) =>
      weightOf(countOf(level), documents),
    );
  }

  get counts(): Uint32Array {
    return this.#counts;
  }

  weightOf(hash: number): number {
    return this.#weights[levelOf(this.#counts[hash & (BUCKETS - 1)]!)]!;
  }
}

/** The square root of the smoothed inverse document frequency: √(1 + ln((1 + documents) / (1 + count))). */
function weightOf(count: number, documents: number): number {
  return Math.sqrt(1 + logarithm((1 + documents) / (1 + count)));
}

/** Small counts have a level of their own, others share 1024 to each power of two. */
function levelOf(count: number): number {
  if (count < EXACT_COUNTS) return count;
  const octave = 31 - Math.clz32(count);
  return (count >>> (octave - 10)) + LEVELS_PER_OCTAVE * (octave - 10);
}

/** The least count of a level. */
function countOf(level: number): number {
  if (level < EXACT_COUNTS) return level;
  const octave = Math.floor(level / LEVELS_PER_OCTAVE) + 9;
  return ((level % LEVELS_PER_OCTAVE) + LEVELS_PER_OCTAVE) * 2 ** (octave - 10);
}
