/**
 * What the backward of a step or a call returns: the gradient of its input, alone or with `gradParams`, which may be anything.
 */
export type InputGradient<Gradient, Params = unknown> = Gradient | { gradInputs: Gradient; gradParams: Params };

/**
 * One step of a chain. A state is a typed array, a number, or an array or plain object of these, nested at will; so is
 * a gradient, which must have no key `gradInputs`.
 */
export interface ChainStep<State, Params = unknown> {
  /** The next state. Must leave its input as it is, and return the same whenever the input is the same. */
  forward(input: State): State;
  /** The gradient of the input, alone or with `gradParams`, which may be anything. */
  backward(input: State, gradOutput: State): InputGradient<State, Params>;
  /** What a forward costs, in any unit. Default 1. For the strategy `'budget'`. */
  cost?: number;
  /**
   * Most bytes of the state that `forward` returns. Default: those of its input. For `'budget'`, which holds it to
   * that.
   */
  bytes?: number;
}

/** Counts of a chain, made while it runs. */
export interface ChainStats {
  /** Calls of steps' `forward`, those of the first pass among them. */
  forwardCalls: number;
  /** Those after the first pass. */
  recomputations: number;
  /** Most states held between two calls of steps. The input counts; the output and gradients do not. */
  peakLiveStates: number;
  /** Most bytes of the states held between two calls: those of typed arrays, and 8 for each number outside of one. */
  peakBytes: number;
}

/** What a chain's `backward` returns. */
export interface ChainGradients<State, Params = unknown> {
  /** Gradient with respect to the chain's input. */
  gradInputs: State;
  /** The `gradParams` of every step, in the order of the steps; undefined for a step without. */
  gradParams: (Params | undefined)[];
  /** Counts of both passes. */
  stats: ChainStats;
}

/** A chain that has run forward. */
export interface Chain<State, Params = unknown> {
  /** What the last step returned. */
  readonly output: State;
  /**
   * Goes back through the chain, once: the states are released, also where it throws.
   *
   * @param gradOutput Gradient of the loss with respect to `output`.
   * @throws TypeError for a `gradOutput` that is no state, and where a step returns no gradient; Error for a second
   *   call, for what `determinism` finds, and where a step throws, with that error as the `cause`.
   */
  backward(gradOutput: State): ChainGradients<State, Params>;
}
