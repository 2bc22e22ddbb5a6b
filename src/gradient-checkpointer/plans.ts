/** A state that is held. Frames stack up: each was computed from the one beneath. */
export interface Frame {
  /** Number of the state: the one that step `index` takes. */
  readonly index: number;
  /**
   * The frame goes once the steps from here on have gone back; while `index` is less, the next state may take its
   * place.
   */
  readonly until: number;
}

/**
 * What to do with the top frame when steps from its `index` to `end - 1` have not gone back yet: 0 to put the next
 * state in its place, or `until` of a new frame above it for the next one.
 */
export type Plan = (frames: readonly Frame[], end: number) => number;

/** Every state is held. */
export const storeAll: Plan = frames => frames[frames.length - 1]!.index + 1;

/** The first state of each segment is held, and all of the last segment that has not gone back yet. */
export function segmentsPlan(steps: number, segments: number): Plan {
  const count = Math.min(segments, steps);
  const starts = Array.from({ length: count }, (_, k) => Math.floor((k * steps) / count));
  return untilNext((index, end) => {
    const next = starts.find(start => start > index);
    return next !== undefined && next < end ? next : index + 1;
  });
}

/**
 * Revolve (Griewank and Walther 2000): with β(s, r) = C(s + r, s), s slots and r the least with β(s, r) ≥ n, any split
 * that leaves both parts within the reach of their own slots and repetitions is optimal; this is the latest one.
 */
export function binomialPlan(slots: number): Plan {
  return untilNext((index, end, depth) => {
    const n = end - index;
    const s = slots - depth;
    if (s === 1) return end - 1;
    let reach = 1; // β(s, r - 1)
    let r = 1;
    while ((reach * (s + r)) / r < n) {
      reach *= (s + r) / r;
      r++;
    }
    const behind = Math.round((reach * s) / (s + r - 1)); // β(s - 1, r - 1)
    return index + Math.min(Math.round(reach), n - behind);
  });
}

/**
 * A plan by the states to keep: `next` gives the one to keep after one that stays, with `depth` frames beneath that.
 */
function untilNext(next: (index: number, end: number, depth: number) => number): Plan {
  return (frames, end) => {
    const { index, until } = frames[frames.length - 1]!;
    return index < until ? 0 : next(index, end, frames.length - 1);
  };
}
