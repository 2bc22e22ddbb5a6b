import type { CosineRows } from '../kernels/kernels.js';
import type { Rows, Vector } from '../types.js';

/** A cosine similarity that replaces the class's. The kernels know only the latter, so these are plain searches. */
type Similarity = (a: Vector, b: Vector) => number;

/** For each anchor the index of the most similar positive of another row, or -1. */
export function hardestBy(similarity: Similarity, anchors: Rows, positives: Rows): Int32Array {
  return Int32Array.from(anchors, (anchor, i) => {
    let hardest = -1;
    let highest = -Infinity;
    positives.forEach((positive, j) => {
      if (j === i) return;
      const value = similarity(anchor, positive);
      if (value > highest) {
        highest = value;
        hardest = j;
      }
    });
    return hardest;
  });
}

/** A function that visits the similarities of each anchor with all candidates. */
export function cosineRowsBy(similarity: Similarity): CosineRows {
  return (anchors, candidates, visit) => {
    anchors.forEach((anchor, i) => {
      visit(
        i,
        candidates.map(candidate => similarity(anchor, candidate)),
      );
    });
  };
}
