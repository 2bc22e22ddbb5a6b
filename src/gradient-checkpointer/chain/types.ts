import type { CallGradients } from '../gradients.js';

/** Counts of a chain, made while it runs. */
export interface ChainStats {
  /** Number of calls of steps' `forward`, including those of the first pass. */
  forwardCalls: number;
  /** Number of calls of steps' `forward` after the first pass. */
  recomputations: number;
  /** Most states held between two calls of steps. The input counts. The output and gradients do not. */
  peakLiveStates: number;
  /** Most bytes of states held between two calls of steps: those of typed arrays, and 8 for each other number. */
  peakBytes: number;
}

/** What a chain's `backward` returns. */
export interface ChainGradients<State, Params = unknown> extends CallGradients<State, Params> {
  /** Gradient with respect to the chain's input. */
  gradInputs: State;
  /** The `gradParams` of every step, in the order of the steps. `undefined` for a step that returned none. */
  gradParams: Params[];
  /** Counts of both passes. */
  stats: ChainStats;
}

/** A chain that has run forward. */
export interface Chain<State, Params = unknown> {
  /** What the last step returned. */
  readonly output: State;
  /**
   * Runs backward through the chain, once. The states are released, also where it throws.
   *
   * @param gradOutput Gradient of the loss with respect to `output`.
   * @throws TypeError for a `gradOutput` that is no state, and where a step returns no gradient.
   * @throws Error for a second call, and for what `determinism` finds. Error where a step throws, with that error as the
   *   `cause`.
   */
  backward(gradOutput: State): ChainGradients<State, Params>;
}
