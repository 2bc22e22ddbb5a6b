import type { Scan } from '../kernels.js';
import { dotOf } from '../packed-rows.js';

/** Candidates per block, so that the block stays in the cache for all queries. */
const BLOCK = 256;

export const scan: Scan = (queries, candidates, thresholds, visit) => {
  const indices = new Int32Array(BLOCK);
  const cosines = new Float32Array(BLOCK);
  for (let first = 0; first < candidates.count; first += BLOCK) {
    const end = Math.min(first + BLOCK, candidates.count);
    for (let i = 0; i < queries.count; i++) {
      const threshold = thresholds[i]!;
      let count = 0;
      for (let j = first; j < end; j++) {
        const cosine = Math.fround(dotOf(queries, i, candidates, j));
        if (!(cosine > threshold)) continue;
        indices[count] = j;
        cosines[count++] = cosine;
      }
      if (count > 0) visit(i, count, indices, cosines);
    }
  }
};
