import { kernels } from '../kernels/index.js';
import { SCAN_ERROR, type Scan } from '../kernels/kernels.js';
import { type Int16Panels, int16Error } from '../kernels/packed-int16.js';
import { cosineOf, type PackedRows, type UnitRows } from '../kernels/packed-rows.js';
import { isBefore } from './best-heaps.js';

/** The relevant candidates of one query, best first, and the counts for them. */
interface Relevant {
  indices: Int32Array;
  scores: Float32Array;
  /** Number of candidates between relevant i - 1 and relevant i. The last entry counts those after all of them. */
  counts: Int32Array;
}

/**
 * The ranks of each query's relevant candidates among all candidates, from 1, ascending, as a search would list them: by
 * {@link cosineOf}, and ties by lower index. It counts the better candidates and keeps none of them.
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
      // The difference is within the error of the kernels.
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
