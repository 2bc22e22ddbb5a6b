/** A state that is held. Frames form a stack: each state was computed from the one below it. */
export interface Frame {
  /** Number of the state. Step `index` takes it. */
  readonly index: number;
  /**
   * The frame is released once the steps from this one on have run backward. While `index` is smaller, the next state may
   * take the frame's place.
   */
  readonly until: number;
}

/**
 * What to do with the top frame, when the steps from its `index` to `end - 1` have not run backward yet. 0 puts the next
 * state in its place. Any other number is `until` of a new frame above it, which holds the next state.
 */
export type Plan = (frames: readonly Frame[], end: number) => number;

/** Every state is held. */
export const storeAll: Plan = frames => frames[frames.length - 1]!.index + 1;

/** The first state of each segment is held, and all states of the last segment that has not run backward yet. */
export function segmentsPlan(steps: number, segments: number): Plan {
  const count = Math.min(segments, steps);
  const starts = Array.from({ length: count }, (_, k) => Math.floor((k * steps) / count));
  return untilNext((index, end) => {
    const next = starts.find(start => start > index);
    return next !== undefined && next < end ? next : index + 1;
  });
}

/**
 * Revolve (Griewank and Walther 2000). Let β(s, r) = C(s + r, s), for s slots and the smallest r with β(s, r) ≥ n. Any
 * split is optimal if the slots and repetitions of each part reach its length. This plan takes the latest such split.
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
 * A plan that keeps chosen states. `next` gives the state to keep after state `index`, which is kept and has `depth`
 * frames below it.
 */
function untilNext(next: (index: number, end: number, depth: number) => number): Plan {
  return (frames, end) => {
    const { index, until } = frames[frames.length - 1]!;
    return index < until ? 0 : next(index, end, frames.length - 1);
  };
}
