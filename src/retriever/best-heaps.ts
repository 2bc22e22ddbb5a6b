/**
 * The best candidates so far of each query, as a binary heap with the worst of them on top. A higher score is better. Of
 * equal scores, the lower index is better.
 */
export interface BestHeaps {
  /** Most candidates a query keeps. */
  readonly capacity: number;
  /** Candidates kept by query. */
  readonly sizes: Int32Array;
  /** Those of query i start at `i · capacity`. */
  readonly indices: Int32Array;
  readonly scores: Float32Array;
}

export function makeHeaps(queries: number, capacity: number): BestHeaps {
  return {
    capacity,
    sizes: new Int32Array(queries),
    indices: new Int32Array(queries * capacity),
    scores: new Float32Array(queries * capacity),
  };
}

/** Adds a candidate. A full heap loses its worst candidate. A candidate that is worse than all is ignored. */
export function offer(heaps: BestHeaps, query: number, index: number, score: number): void {
  const { capacity, sizes, indices, scores } = heaps;
  const base = query * capacity;
  const size = sizes[query]!;
  if (size < capacity) {
    sizes[query] = size + 1;
    siftUp(indices, scores, base, size, index, score);
  } else if (isBefore(score, index, scores[base]!, indices[base]!)) {
    siftDown(indices, scores, base, size, index, score);
  }
}

/** The least score in a full heap. -Infinity while there is room. */
export function worstOf({ capacity, sizes, scores }: BestHeaps, query: number): number {
  return sizes[query] === capacity ? scores[query * capacity]! : -Infinity;
}

/** Whether candidate a ranks before candidate b. */
export function isBefore(scoreA: number, indexA: number, scoreB: number, indexB: number): boolean {
  return scoreA > scoreB || (scoreA === scoreB && indexA < indexB);
}

/** Puts a candidate at the end of the heap and moves it up past better ones. */
function siftUp(
  indices: Int32Array,
  scores: Float32Array,
  base: number,
  end: number,
  index: number,
  score: number,
): void {
  let at = end;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!isBefore(scores[base + parent]!, indices[base + parent]!, score, index)) break;
    scores[base + at] = scores[base + parent]!;
    indices[base + at] = indices[base + parent]!;
    at = parent;
  }
  scores[base + at] = score;
  indices[base + at] = index;
}

/** Replaces the candidate at the top and moves the new one down past worse ones. */
function siftDown(
  indices: Int32Array,
  scores: Float32Array,
  base: number,
  size: number,
  index: number,
  score: number,
): void {
  let at = 0;
  for (let child = 1; child < size; child = 2 * at + 1) {
    const other = child + 1;
    if (
      other < size &&
      isBefore(scores[base + child]!, indices[base + child]!, scores[base + other]!, indices[base + other]!)
    )
      child = other;
    if (!isBefore(score, index, scores[base + child]!, indices[base + child]!)) break;
    scores[base + at] = scores[base + child]!;
    indices[base + at] = indices[base + child]!;
    at = child;
  }
  scores[base + at] = score;
  indices[base + at] = index;
}
