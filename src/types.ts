/** A `Float32Array` that owns a plain `ArrayBuffer`, spelled so that TypeScript 5.6 to 7 all accept it. */
export type Float32Row = ReturnType<typeof Float32Array.of>;

/** A `Uint8Array` that owns a plain `ArrayBuffer`, spelled so that TypeScript 5.6 to 7 all accept it. */
export type Bytes = ReturnType<typeof Uint8Array.of>;

/** One row of numbers as callers may pass it. */
export type Vector = Float32Array | Float64Array | readonly number[];

/** One row of numbers that the library may write to. */
export type MutableVector = Float32Array | Float64Array | number[];

/** A matrix as callers may pass it: rows of equal length. */
export type Rows = readonly Vector[];

/** A raw training pair. */
export interface TrainingExample {
  /** Input text. */
  input: string;
  /** Expected output text. */
  output: string;
  /**
   * Weight of the example.
   *
   * @default 1
   */
  quality?: number;
  /** Texts that are wrong answers to this input. All examples have equally many. */
  negatives?: readonly string[];
  /** Any value. It is passed through. */
  metadata?: unknown;
}

/** What a batch needs of an example. `DataPreprocessor` makes the richer {@link ProcessedExample}. */
export interface EmbeddedExample {
  /** Embedding of the input. */
  inputEmb: Vector;
  /** Embedding of the expected output. */
  outputEmb: Vector;
  /** Embedding of a negative of this example, of the type of `outputEmb`. */
  negativeEmb?: Vector;
  /** Embeddings of several negatives. Not allowed together with `negativeEmb`. */
  negativeEmbs?: readonly Vector[];
  /**
   * Weight of the example.
   *
   * @default 1
   */
  quality?: number;
}

/** A training pair with embeddings and tokens. */
export interface ProcessedExample extends EmbeddedExample {
  /** Original input text. */
  input: string;
  /** Original output text. */
  output: string;
  /** Embedding of `input`, `embeddingDim` floats. */
  inputEmb: Float32Array;
  /** Embedding of `output`, `embeddingDim` floats. */
  outputEmb: Float32Array;
  /** Embedding of a negative of this example, if the caller added one. */
  negativeEmb?: Float32Array;
  /** Negatives of the raw example. */
  negatives?: readonly string[];
  /** Their embeddings, or what the caller added. */
  negativeEmbs?: readonly Float32Array[];
  /** Weight of the example. */
  quality: number;
  /** Tokens of `input`, at most `maxLength`. Empty with `tokens: false`. */
  inputTokens: number[];
  /** Tokens of `output`, at most `maxLength`. Empty with `tokens: false`. */
  outputTokens: number[];
  /** The raw example's metadata. */
  metadata?: unknown;
}

/** One batch: row `i` of every list belongs to `examples[i]`. */
export interface Batch<E extends EmbeddedExample = ProcessedExample> {
  /** The examples, in batch order. */
  examples: E[];
  /** Their input embeddings. */
  anchors: E['inputEmb'][];
  /** Their output embeddings. */
  positives: E['outputEmb'][];
  /**
   * The examples' own negatives, k rows per anchor in turn, or one mined negative per anchor. `null` without either.
   */
  negatives: E['outputEmb'][] | null;
  /** Number of examples. */
  size: number;
}

/** A batch and its place in the training. */
export interface TrainingStep<E extends EmbeddedExample = ProcessedExample> {
  /** Epoch of the batch, from 0. */
  epoch: number;
  /** Number of batches before this one, in all epochs. */
  step: number;
  /** The batch. */
  batch: Batch<E>;
}

/** Parts of a loss by name. */
export type LossComponents = { readonly [name: string]: number | undefined };

/**
 * A loss, its parts and, on request, its gradients.
 *
 * @typeParam Components The parts that this loss has.
 */
export interface LossResult<Components = LossComponents> {
  /** The loss, reduced over the batch. */
  loss: number;
  /** Parts of the loss by name. */
  components: Components;
  /** Gradient with respect to the first argument, row by row: views of one buffer. Present with `gradients: true`. */
  gradients?: Float32Row[];
  /** Gradient with respect to the second argument, row by row. Present with `gradients: true`. */
  targetGradients?: Float32Row[];
  /** Gradient with respect to given negatives, row by row. Present with `gradients: true` and negatives. */
  negativeGradients?: Float32Row[];
  /**
   * Derivative with respect to the temperature. Present on `contrastive` with `gradients: true`. Its relative error is at
   * most 1e-4. With `adapters` its error is at most 1e-6 of the sum of the magnitudes of its terms, which may cancel.
   */
  temperatureGradient?: number;
  /**
   * Gradients of the adapters that rows went through, by name. Optimizers and `addPenaltyGradient` take them. Present on
   * `contrastive` with `gradients: true` and `adapters`.
   */
  adapterGradients?: Map<string, { gradA: readonly Float32Row[]; gradB: readonly Float32Row[] }>;
  /** The loss of each row, before weights and reduction. Present with `perRow: true`. */
  perRow?: Float64Array;
  /** The share of each group of anchors, in order. Present on `contrastive` with `perGroup: true`. */
  perGroup?: GroupResult[];
}

/** The share of a group of anchors in a loss and its gradients. */
export interface GroupResult {
  loss: number;
  /** Present with `gradients: true`. */
  temperatureGradient?: number;
  /** Present with `gradients: true` and `adapters`. */
  adapterGradients?: Map<string, { gradA: readonly Float32Row[]; gradB: readonly Float32Row[] }>;
}

/** What `perRow: true` adds to a loss. */
export type WithPerRow<PerRow extends boolean> = PerRow extends true ? { perRow: Float64Array } : unknown;

/** What `perGroup: true` adds to a loss. */
export type WithPerGroup<PerGroup extends boolean, Group = GroupResult> = PerGroup extends true
  ? { perGroup: Group[] }
  : unknown;

/** What `diagnostics: true` adds to a loss: all its parts are there. */
export type WithDiagnostics<Diagnostics extends boolean, Components> = Diagnostics extends true
  ? { components: Required<Components> }
  : unknown;

/**
 * A loss computed with `gradients: true`: it has these derivatives.
 *
 * @typeParam Derivatives Names of the derivatives.
 * @typeParam Components The parts that this loss has.
 */
export type LossWithGradients<
  Derivatives extends keyof LossResult = 'gradients' | 'targetGradients',
  Components = LossComponents,
> = LossResult<Components> & Required<Pick<LossResult, Derivatives>>;

/**
 * Has a state that can be saved and loaded: every class of this library that has state, and any object of the caller's
 * with these two methods. `saveCheckpoint` takes such objects.
 *
 * @typeParam S The state: plain objects, arrays, numbers, texts, truth values and null, and typed arrays if the caller
 *   does not need JSON.
 */
export interface Stateful<S = unknown> {
  /** The state as it is now, a copy. */
  stateDict(): S;
  /** Loads a state, or throws and changes nothing. */
  loadStateDict(state: S): void;
}

/** A low-rank adapter as edge-net's MicroLoRA holds it: `y = x + scaling · x · loraA · loraB`. */
export interface Adapter {
  /** dim × rank. */
  loraA: readonly MutableVector[];
  /** rank × outDim. */
  loraB: readonly MutableVector[];
  /** alpha / rank. */
  scaling: number;
}

/** Gradients of one adapter, shaped as its matrices. */
export interface AdapterGradients {
  /** dim × rank. */
  gradA: readonly MutableVector[];
  /** rank × outDim. */
  gradB: readonly MutableVector[];
}

/** Which adapter each side of a pair goes through, by name. The same name twice is one adapter for both sides. */
export interface Through {
  /**
   * The adapter of the anchors, the inputs of examples.
   *
   * @default none: anchors are used as they are
   */
  anchors?: string;
  /**
   * The adapter of the positives and the negatives, the outputs of examples.
   *
   * @default none: these rows are used as they are
   */
  positives?: string;
}

/** What the backward of a call or a step returns: the gradient of its input, alone or with `gradParams` of any type. */
export type InputGradient<Gradient, Params = unknown> = Gradient | { gradInputs: Gradient; gradParams: Params };

/** A step that surely returns gradients of parameters, such as a `LoRAAdapter`'s. */
export interface ParameterStep<State, Params> extends ChainStep<State, Params> {
  backward(input: State, gradOutput: State): { gradInputs: State; gradParams: Params };
}

/**
 * One step of `GradientCheckpointer.chain`. A state is a typed array, a number, or an array or plain object of these, to
 * any depth up to 1,000 levels. A gradient is the same, and must have no key `gradInputs` or `gradParams`.
 */
export interface ChainStep<State, Params = unknown> {
  /** The next state. Must not write to its input, and must return the same state for the same input. */
  forward(input: State): State;
  /** The gradient of the input, alone or as `{ gradInputs, gradParams }` with `gradParams` of any type. */
  backward(input: State, gradOutput: State): InputGradient<State, Params>;
  /**
   * Cost of one forward for the strategy `'budget'`, in any unit, at least 0.
   *
   * @default 1
   */
  cost?: number;
  /**
   * Most bytes of the state that `forward` returns, at least 0. The strategy `'budget'` plans with it, and a larger state
   * is an error. By default, the bytes of the step's input.
   */
  bytes?: number;
}
