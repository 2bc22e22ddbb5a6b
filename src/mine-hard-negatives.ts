import { withDefaults } from './internal/options.js';
import { randomFor } from './internal/random.js';
import {
  checkArray,
  checkCount,
  checkFiniteRows,
  checkNumber,
  checkOneOf,
  checkSeed,
  checkWidth,
} from './internal/validate.js';
import { SCAN_ERROR } from './kernels/kernels.js';
import { areParallel, cosineOf, type PackedRows, type UnitRows } from './kernels/packed-rows.js';
import { eachChunk } from './retriever/chunks.js';
import { checkRelevant, type RelevantCandidates } from './retriever/relevant.js';
import { type Filter, topCandidates } from './retriever/top-candidates.js';
import { packedCandidatesOf, Retriever } from './retriever.js';
import type { Rows } from './types.js';

export interface HardNegativeOptions {
  /**
   * Negatives for each query, an integer of at least 1.
   *
   * @default 1
   */
  count?: number;
  /**
   * Ranks that negatives are taken from, `[from, to]`. Rank 0 is the most similar candidate that is allowed. Rank `to` is
   * not taken. Integers, at least 0, `to` above `from`.
   *
   * @default [0, 50]
   */
  range?: readonly [from: number, to: number];
  /**
   * `'top'` takes the first ranks of the range. `'random'` draws ranks of the range, each as likely.
   *
   * @default 'top'
   */
  sampling?: 'top' | 'random';
  /**
   * Candidates of a higher cosine with the query are skipped, as likely false negatives. From -1 to 1.
   *
   * @default none are skipped
   */
  maxSimilarity?: number;
  /**
   * Candidates of a higher cosine than `positive - relativeMargin · |positive|` are skipped, where `positive` is the
   * cosine of the query with its relevant candidate. With several relevant candidates this holds for each. 0 or more.
   *
   * @default none are skipped
   */
  relativeMargin?: number;
  /**
   * Seed of `'random'`, an integer from 0 to 2³² - 1. The negatives of a query depend only on the seed and its position.
   *
   * @default none: draws come from `Math.random`
   */
  seed?: number;
}

const CALL = 'mineHardNegatives';

/**
 * Finds candidates that are similar to a query but not relevant, to train against. The most similar come first, and of
 * equal cosines the lower index. A relevant candidate is never taken, and neither is one whose row equals that of a
 * relevant one, up to its length and float32 rounding. A query gets fewer than `count` if fewer are allowed and in the
 * range, maybe none.
 *
 * @param queries Rows, one per query.
 * @param candidates The whole corpus: rows, or a `Retriever` that holds them.
 * @param relevant For each query the index of its relevant candidate, or the indices of several.
 * @returns For each query the indices of its negatives.
 * @throws TypeError or RangeError that names the argument, the row and the value, also for a query without a relevant
 *   candidate, and for a `count` that the range cannot hold.
 *
 * @example
 * ```js
 * import { mineHardNegatives } from 'microlora-training-utils';
 *
 * const answers = [[1, 0], [0.9, 0.1], [0, 1]];
 * console.log(mineHardNegatives([[1, 0]], answers, [0])); // [ Int32Array(1) [ 1 ] ]
 * ```
 */
export function mineHardNegatives(
  queries: Rows,
  candidates: Rows | Retriever,
  relevant: readonly RelevantCandidates[],
  options: HardNegativeOptions = {},
): Int32Array[] {
  const checked = parseOptions(options);
  const { count, from, to, sampling, seed } = checked;
  const retriever = candidates instanceof Retriever ? candidates : retrieverOf(candidates);
  checkFiniteRows(CALL, 'queries', queries);
  checkWidth(CALL, 'queries', queries, retriever.dim);
  const indices = checkRelevant(CALL, relevant, queries.length, retriever.size);

  const packed = packedCandidatesOf(retriever);
  const kept = Math.min(sampling === 'top' ? from + count : to, retriever.size);
  const mined: Int32Array[] = [];
  eachChunk(queries, kept, (chunk, first) => {
    const isAllowed = allowed(chunk, packed, indices.slice(first, first + chunk.count), checked);
    topCandidates(chunk, packed, kept, isAllowed).forEach((ranking, i) => {
      const inRange = ranking.indices.slice(from);
      if (sampling === 'random') mined.push(drawSome(inRange, count, randomFor(seed, first + i)));
      else mined.push(inRange);
    });
  });
  return mined;
}

interface Checked {
  count: number;
  from: number;
  to: number;
  sampling: 'top' | 'random';
  maxSimilarity: number | undefined;
  relativeMargin: number | undefined;
  seed: number | undefined;
}

function parseOptions(options: HardNegativeOptions): Checked {
  const defaults = { count: 1, range: [0, 50] as readonly [number, number], sampling: 'top' as const };
  const { count, range, sampling, maxSimilarity, relativeMargin, seed } = withDefaults(CALL, defaults, options);
  checkCount(CALL, 'count', count);
  checkOneOf(CALL, 'sampling', sampling, ['top', 'random']);
  checkArray(CALL, 'range', range);
  if (range.length !== 2) throw new RangeError(`${CALL}: range must be [from, to], got an array of ${range.length}`);
  const from = checkCount(CALL, 'range[0]', range[0], 0);
  const to = checkCount(CALL, 'range[1]', range[1], from + 1);
  if (count > to - from)
    throw new RangeError(`${CALL}: count must be at most the ${to - from} ranks of range, got ${count}`);
  if (maxSimilarity !== undefined) checkNumber(CALL, 'maxSimilarity', maxSimilarity, { min: -1, max: 1 });
  if (relativeMargin !== undefined) checkNumber(CALL, 'relativeMargin', relativeMargin, { min: 0 });
  return { count, from, to, sampling, maxSimilarity, relativeMargin, seed: checkSeed(CALL, seed) };
}

/** A retriever of the rows. Errors name this call. */
function retrieverOf(candidates: Rows): Retriever {
  checkFiniteRows(CALL, 'candidates', candidates);
  checkWidth(CALL, 'candidates', candidates, candidates[0]!.length);
  return new Retriever(candidates);
}

/** Tells which candidates may be negatives. Only cosines near a limit or a relevant candidate's are computed again. */
function allowed(
  queries: UnitRows,
  candidates: PackedRows,
  relevant: readonly (readonly number[])[],
  { maxSimilarity = Infinity, relativeMargin }: Checked,
): Filter {
  const cosines = relevant.map((indices, i) => indices.map(j => cosineOf(queries, i, candidates, j)));
  const limits = cosines.map(ofQuery => {
    if (relativeMargin === undefined) return Math.fround(maxSimilarity);
    const margins = ofQuery.map(positive => positive - relativeMargin * Math.abs(positive));
    return Math.fround(Math.min(maxSimilarity, ...margins));
  });
  return (query, candidate, cosine) => {
    const limit = limits[query]!;
    if (cosine > limit + SCAN_ERROR) return false;
    if (cosine > limit - SCAN_ERROR && cosineOf(queries, query, candidates, candidate) > limit) return false;
    const indices = relevant[query]!;
    for (let n = 0; n < indices.length; n++) {
      if (indices[n] === candidate) return false;
      const isNear = Math.abs(cosine - cosines[query]![n]!) <= SCAN_ERROR;
      if (isNear && areParallel(candidates, indices[n]!, candidate)) return false;
    }
    return true;
  };
}

/** Draws some of the indices, each as likely, in their order (Knuth's algorithm S). */
function drawSome(indices: Int32Array, count: number, random: () => number): Int32Array {
  let wanted = Math.min(count, indices.length);
  return indices.filter((_, i) => {
    const isTaken = random() * (indices.length - i) < wanted;
    if (isTaken) wanted--;
    return isTaken;
  });
}
