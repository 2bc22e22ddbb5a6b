import { kernels } from '../kernels/index.js';
import { SCAN_ERROR, type Scan } from '../kernels/kernels.js';
import { type Int16Panels, int16Error } from '../kernels/packed-int16.js';
import { cosineOf, isZeroRow, type PackedRows, pickRows, type UnitRows } from '../kernels/packed-rows.js';
import type { Float32Row } from '../types.js';
import { type BestHeaps, isBefore, makeHeaps, offer, worstOf } from './best-heaps.js';

/** Number of further candidates that are kept. A gap below them proves that no candidate was missed. */
const SPARE = 8;
/** The same for a first pass in 16-bit integers, which needs a wider gap, and more for each wanted candidate. */
const INT16_SPARE = 8;
const INT16_SHARE = 0.25;

/** The best candidates of one query, best first. */
export interface Ranking {
  indices: Int32Array;
  scores: Float32Row;
}

/**
 * Whether a candidate may be among the best of a query. The cosine comes from the first pass, to {@link SCAN_ERROR}.
 */
export type Filter = (query: number, candidate: number, cosine: number) => boolean;

/**
 * The `k` best candidates of each query by {@link cosineOf}, and ties by lower index. There are fewer if the filter leaves
 * fewer.
 *
 * A first pass in the kernels' precision keeps a few more than `k` candidates, and these are scored again. If the worst of
 * them is too near to the k-th, another candidate may be better. A second pass then scores all possible candidates.
 *
 * @param int16 The candidates in 16-bit integers, for a faster first pass. It excludes a filter.
 */
export function topCandidates(
  queries: UnitRows,
  candidates: PackedRows,
  k: number,
  filter?: Filter,
  int16?: Int16Panels,
): Ranking[] {
  const [error, spare] = int16
    ? [int16Error(candidates.width), INT16_SPARE + Math.ceil(INT16_SHARE * k)]
    : [SCAN_ERROR, SPARE];
  const capacity = Math.min(k + spare, candidates.count);
  const heaps = firstPass(queries, candidates, capacity, filter, int16);
  const unsure: number[] = [];
  const leastScores: number[] = [];
  const rankings = Array.from({ length: queries.count }, (_, i): Ranking => {
    const ranking = exactRanking(heaps, i, k, error, j => cosineOf(queries, i, candidates, j));
    const worst = worstOf(heaps, i);
    const last = ranking.scores[k - 1];
    const isSure = capacity === candidates.count || last === undefined || last > worst + error;
    if (!isSure && worst > -Infinity && !isZeroRow(queries, i)) {
      unsure.push(i);
      leastScores.push(last);
    }
    return ranking;
  });
  if (unsure.length > 0) {
    const rows = pickRows(queries, unsure);
    const exact = secondPass(
      rows,
      candidates,
      k,
      leastScores,
      filter && ((i, j, cosine) => filter(unsure[i]!, j, cosine)),
    );
    unsure.forEach((query, i) => {
      rankings[query] = rankingOf(exact, i, k);
    });
  }
  return rankings;
}

function firstPass(
  queries: UnitRows,
  candidates: PackedRows,
  capacity: number,
  filter?: Filter,
  int16?: Int16Panels,
): BestHeaps {
  const heaps = makeHeaps(queries.count, capacity);
  const thresholds = new Float32Array(queries.count).fill(-Infinity);
  const visit: Parameters<Scan>[3] = (query, count, indices, cosines) => {
    let threshold = thresholds[query]!;
    for (let h = 0; h < count; h++) {
      const cosine = cosines[h]!;
      if (!(cosine > threshold) || (filter && !filter(query, indices[h]!, cosine))) continue;
      offer(heaps, query, indices[h]!, cosine);
      threshold = worstOf(heaps, query);
    }
    thresholds[query] = threshold;
  };
  kernels().scan(queries, candidates, thresholds, visit, int16);
  return heaps;
}

/** Scores every candidate exactly that may be among the `k` best, whose k-th is at least `leastScores[query]`. */
function secondPass(
  queries: UnitRows,
  candidates: PackedRows,
  k: number,
  leastScores: readonly number[],
  filter?: Filter,
): BestHeaps {
  const heaps = makeHeaps(queries.count, k);
  const thresholds = Float32Array.from(leastScores, score => score - SCAN_ERROR);
  kernels().scan(queries, candidates, thresholds, (query, count, indices, cosines) => {
    for (let h = 0; h < count; h++) {
      const [index, cosine] = [indices[h]!, cosines[h]!];
      if (cosine <= worstOf(heaps, query) - SCAN_ERROR || (filter && !filter(query, index, cosine))) continue;
      offer(heaps, query, index, cosineOf(queries, query, candidates, index));
    }
    thresholds[query] = Math.max(thresholds[query]!, worstOf(heaps, query) - SCAN_ERROR);
  });
  return heaps;
}

/**
 * The best `k` of a heap in order, by exact scores: those of the first `k` by the scores that the heap holds, and of
 * such as these, to `error`, may rank wrongly.
 */
function exactRanking(
  heaps: BestHeaps,
  query: number,
  k: number,
  error: number,
  score: (candidate: number) => number,
): Ranking {
  const { indices, scores } = rankingOf(heaps, query, heaps.capacity);
  const kept = Math.min(k, indices.length);
  const exact = Float32Array.from(indices.subarray(0, kept), score);
  const least = exact.reduce((worst, value) => Math.min(worst, value), Infinity) - error;
  let end = kept;
  while (end < indices.length && scores[end]! >= least) end++;
  const all = new Float32Array(end);
  all.set(exact);
  for (let at = kept; at < end; at++) all[at] = score(indices[at]!);
  return inOrder(indices.subarray(0, end), all, k);
}

/** The best `k` of a heap in order, by the scores that it holds. */
function rankingOf(heaps: BestHeaps, query: number, k: number): Ranking {
  const base = query * heaps.capacity;
  const end = base + heaps.sizes[query]!;
  return inOrder(heaps.indices.subarray(base, end), heaps.scores.subarray(base, end), k);
}

function inOrder(indices: Int32Array, scores: Float32Array, k: number): Ranking {
  const order = Array.from(indices, (_, at) => at).sort((a, b) =>
    isBefore(scores[a]!, indices[a]!, scores[b]!, indices[b]!) ? -1 : 1,
  );
  order.length = Math.min(k, order.length);
  return { indices: Int32Array.from(order, at => indices[at]!), scores: Float32Array.from(order, at => scores[at]!) };
}
