import { kernels } from '../kernels/index.js';
import { SCAN_ERROR } from '../kernels/kernels.js';
import { cosineOf, isZeroRow, type PackedRows, pickRows, type UnitRows } from '../kernels/packed-rows.js';
import type { Float32Row } from '../types.js';
import { type BestHeaps, isBefore, makeHeaps, offer, worstOf } from './best-heaps.js';

/** Candidates kept beyond those asked for: with a gap below them they prove that none was missed. */
const SPARE = 8;

/** The best candidates of one query, best first. */
export interface Ranking {
  indices: Int32Array;
  scores: Float32Row;
}

/**
 * Whether a candidate may be among the best of a query. The cosine is that of the first pass, to {@link SCAN_ERROR}.
 */
export type Filter = (query: number, candidate: number, cosine: number) => boolean;

/**
 * For each query the `k` best candidates by {@link cosineOf}, ties by lower index; fewer where the filter leaves fewer.
 *
 * A first pass in the kernels' precision keeps a few more than `k`, and these are scored again. Where the worst of them
 * is so near to the k-th that a candidate beyond may be better, a second pass scores all that may be.
 */
export function topCandidates(queries: UnitRows, candidates: PackedRows, k: number, filter?: Filter): Ranking[] {
  const capacity = Math.min(k + SPARE, candidates.count);
  const heaps = firstPass(queries, candidates, capacity, filter);
  const unsure: number[] = [];
  const leastScores: number[] = [];
  const rankings = Array.from({ length: queries.count }, (_, i): Ranking => {
    const ranking = rankingOf(heaps, i, k, j => cosineOf(queries, i, candidates, j));
    const worst = worstOf(heaps, i);
    const last = ranking.scores[k - 1];
    const isSure = capacity === candidates.count || last === undefined || last > worst + SCAN_ERROR;
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

function firstPass(queries: UnitRows, candidates: PackedRows, capacity: number, filter?: Filter): BestHeaps {
  const heaps = makeHeaps(queries.count, capacity);
  const thresholds = new Float32Array(queries.count).fill(-Infinity);
  kernels().scan(queries, candidates, thresholds, (query, count, indices, cosines) => {
    let threshold = thresholds[query]!;
    for (let h = 0; h < count; h++) {
      const cosine = cosines[h]!;
      if (!(cosine > threshold) || (filter && !filter(query, indices[h]!, cosine))) continue;
      offer(heaps, query, indices[h]!, cosine);
      threshold = worstOf(heaps, query);
    }
    thresholds[query] = threshold;
  });
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

/** The best `k` of a heap in order, by the scores it holds or by others. */
function rankingOf(heaps: BestHeaps, query: number, k: number, score?: (candidate: number) => number): Ranking {
  const base = query * heaps.capacity;
  const size = heaps.sizes[query]!;
  const indices = heaps.indices.subarray(base, base + size);
  const scores = score ? Float32Array.from(indices, score) : heaps.scores.subarray(base, base + size);
  const order = Array.from(indices, (_, at) => at).sort((a, b) =>
    isBefore(scores[a]!, indices[a]!, scores[b]!, indices[b]!) ? -1 : 1,
  );
  order.length = Math.min(k, size);
  return { indices: Int32Array.from(order, at => indices[at]!), scores: Float32Array.from(order, at => scores[at]!) };
}
