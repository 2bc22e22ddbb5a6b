import { kernels } from '../kernels/index.js';
import { SCAN_ERROR, type Scan } from '../kernels/kernels.js';
import { type Int16Panels, int16Error } from '../kernels/packed-int16.js';
import { cosineOf, type PackedRows, type UnitRows } from '../kernels/packed-rows.js';
import { isBefore } from './best-heaps.js';

/** The relevant candidates of one query, best first, and what is counted for them. */
interface Relevant {
  indices: Int32Array;
  scores: Float32Array;
  /** How many candidates rank before relevant i but not before relevant i - 1; one more entry for those before none. */
  counts: Int32Array;
}

/**
 * For each query the ranks of its relevant candidates among all, from 1, ascending: by {@link cosineOf}, ties by lower
 * index, as a search would list them. Counts the candidates that are better and keeps none.
 *
 * @param relevant Distinct indices by query, at least one each.
 * @param int16 The candidates in 16-bit integers, for a faster pass.
 */
export function relevantRanks(
  queries: UnitRows,
  candidates: PackedRows,
  relevant: readonly (readonly number[])[],
  int16?: Int16Panels,
): Int32Array[] {
  const error = int16 ? int16Error(candidates.width) : SCAN_ERROR;
  const all = relevant.map((indices, i) => sorted(indices, j => cosineOf(queries, i, candidates, j)));
  const thresholds = Float32Array.from(all, ({ scores }) => scores.at(-1)! - 2 * error);
  const visit: Parameters<Scan>[3] = (query, count, indices, cosines) => {
    const { indices: of, scores, counts } = all[query]!;
    for (let h = 0; h < count; h++) {
      const cosine = cosines[h]!;
      let place = firstBelow(scores, cosine + error);
      // Too near to tell in the precision of the kernels.
      if (place < scores.length && cosine - error <= scores[place]!) {
        const exact = cosineOf(queries, query, candidates, indices[h]!);
        while (place < scores.length && !isBefore(exact, indices[h]!, scores[place]!, of[place]!)) place++;
      }
      counts[place]!++;
    }
  };
  kernels().scan(queries, candidates, thresholds, visit, int16);
  return all.map(({ counts, scores }) => {
    let before = 0;
    return Int32Array.from(scores, (_, i) => 1 + (before += counts[i]!));
  });
}

function sorted(relevant: readonly number[], score: (candidate: number) => number): Relevant {
  const scored = relevant.map(index => ({ index, score: score(index) }));
  scored.sort((a, b) => (isBefore(a.score, a.index, b.score, b.index) ? -1 : 1));
  return {
    indices: Int32Array.from(scored, ({ index }) => index),
    scores: Float32Array.from(scored, entry => entry.score),
    counts: new Int32Array(scored.length + 1),
  };
}

/** Position of the first of descending scores that is below the limit. */
function firstBelow(scores: Float32Array, limit: number): number {
  let [low, high] = [0, scores.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (scores[middle]! < limit) high = middle;
    else low = middle + 1;
  }
  return low;
}
