import { budgetPlanner } from './gradient-checkpointer/chain/budget-plan.js';
import { makeChain } from './gradient-checkpointer/chain/make-chain.js';
import type { Chain } from './gradient-checkpointer/chain/types.js';
import type { CallGradients } from './gradient-checkpointer/gradients.js';
import {
  type Activation,
  checkGradOutput,
  type ForwardCall,
  type LinkedCall,
  LinkedCalls,
  runBackward,
} from './gradient-checkpointer/linked-calls.js';
import {
  type ChainOptions,
  type GradientCheckpointerConfig,
  type GradientCheckpointerOptions,
  parseChainOptions,
  parseOptions,
} from './gradient-checkpointer/options.js';
import { shallowCopy } from './gradient-checkpointer/shallow-copy.js';
import { TypedEmitter } from './internal/typed-emitter.js';
import { checkFunction, checkNumber, describe } from './internal/validate.js';
import type { ChainStep, InputGradient, ParameterStep } from './types.js';

export interface CheckpointerStats {
  /** Number of `checkpoint` calls. */
  checkpoints: number;
  /** Number of functions that `recompute` ran again. */
  recomputations: number;
  /** Share of memory saved by the last estimate, at most 1. Negative where checkpointing takes more memory. */
  memoryReduction: number;
}

export interface MemoryEstimate {
  /** Size with all activations kept, in the unit of `activationSize`. */
  without: number;
  /** Size with the checkpoints and the activations of one segment, in the unit of `activationSize`. */
  with: number;
  /** Share saved, in percent. */
  savings: number;
  /** Share saved as text, such as `"41.7%"`. */
  savingsPercentage: string;
}

/**
 * Trades time for memory in training. A checkpointer keeps some states of the forward pass, and recomputes the others when
 * the backward pass needs them.
 *
 * {@link chain} does this for a list of steps, by a schedule. {@link checkpoint} and {@link backward} link single calls,
 * each of which keeps its input.
 *
 * @example
 * ```js
 * import { GradientCheckpointer, LoRAAdapter } from 'microlora-training-utils';
 *
 * const steps = Array.from({ length: 10 }, (_, seed) => new LoRAAdapter({ dim: 2, seed }).asStep());
 * const checkpointer = new GradientCheckpointer({ strategy: 'binomial', slots: 3 });
 * const { output, backward } = checkpointer.chain(steps, [[1, 2]]);
 * console.log(output[0]); // Float32Array(2) [ 1, 2 ]
 *
 * const { gradInputs, stats } = backward([[1, 0]]);
 * console.log(gradInputs[0], stats.forwardCalls, stats.peakLiveStates); // Float32Array(2) [ 1, 0 ] 16 4
 * ```
 */
export class GradientCheckpointer extends TypedEmitter<Record<never, never>> {
  /** The configuration in force. */
  config: GradientCheckpointerConfig;
  /** Calls whose outputs are kept, at most `maxStoredActivations`. */
  checkpoints: Activation[] = [];
  /** All calls that are remembered. For a kept call, `input` is the same object as in `checkpoints`. */
  forwardFns: ForwardCall[] = [];
  /** Running counts. */
  stats: CheckpointerStats = { checkpoints: 0, recomputations: 0, memoryReduction: 0 };

  readonly #linkedCalls = new LinkedCalls();
  /**
   * Whether `backward` has left a call without a checkpoint. Checkpoint i belongs to call i, so that a new checkpoint
   * would take that call's place.
   */
  #isFull = false;
  readonly #planBudget = budgetPlanner();

  /**
   * @throws TypeError or RangeError that names the option and the value.
   */
  constructor(config: GradientCheckpointerOptions = {}) {
    super();
    this.config = parseOptions(config);
  }

  /**
   * Runs a function, and remembers the call until {@link backward} has run through it or {@link clear} is called. The
   * input is first copied one level deep, so that the function may write to the input that it is given.
   *
   * @param backwardFn Takes the input and the gradient of the output. Returns the gradient of the input, alone or as
   *   `{ gradInputs, gradParams }`. `backward` needs it.
   * @returns What the function returns. If it throws, nothing is remembered.
   * @throws TypeError for an argument that is no function.
   */
  checkpoint<Input, Output>(
    forwardFn: (input: Input) => Output,
    input: Input,
    backwardFn?: (input: Input, gradOutput: Output) => InputGradient<Input>,
  ): Output {
    const name = 'GradientCheckpointer.checkpoint';
    checkFunction(name, 'forwardFn', forwardFn);
    if (backwardFn !== undefined) checkFunction(name, 'backwardFn', backwardFn);
    if (!this.config.enabled) return forwardFn(input);
    const call = { fn: forwardFn, input: this._shallowCopy(input) };
    const previous = this.#linkedCalls.producerOf(input);
    this.forwardFns.push(call);
    let output: Output;
    try {
      output = forwardFn(input);
    } catch (error) {
      this.forwardFns.splice(this.forwardFns.indexOf(call), 1);
      throw error;
    }
    this.stats.checkpoints++;
    let kept: Activation | undefined;
    if (!this.#isFull && this.checkpoints.length < this.config.maxStoredActivations) {
      kept = { input: call.input, output: this._shallowCopy(output) };
      this.checkpoints.push(kept);
    }
    this.#linkedCalls.add(output, { call, kept, backwardFn, previous });
    return output;
  }

  /**
   * Runs backward from the output of a {@link checkpoint} call: through the call that returned it, then through the call
   * that returned that call's input, and so on. Calls are linked if one returned the very object that the next one takes.
   * A copy is not linked. These calls are forgotten afterwards, also where a `backwardFn` throws.
   *
   * @param output The object that the last call returned.
   * @param gradOutput Gradient of the loss with respect to `output`.
   * @throws RangeError for an output of no remembered call, and where one of the calls has run backward already.
   *   TypeError without a `gradOutput` or a call's `backwardFn`. Nothing has changed then. TypeError where a `backwardFn`
   *   returns no gradient.
   */
  backward<Gradient = unknown, Params = unknown>(
    output: unknown,
    gradOutput: unknown,
  ): CallGradients<Gradient, Params> {
    checkGradOutput(gradOutput);
    const calls = this.#linkedCalls.leadingTo(output);
    try {
      const gradients = runBackward(calls, gradOutput, input => this._shallowCopy(input));
      return gradients as CallGradients<Gradient, Params>;
    } finally {
      this.#forget(calls);
    }
  }

  #forget(linked: readonly LinkedCall[]): void {
    const calls = new Set(linked.map(({ call }) => call));
    const kept = new Set(linked.map(each => each.kept));
    for (const each of linked) each.call = each.kept = each.previous = undefined;
    this.forwardFns = this.forwardFns.filter(call => !calls.has(call));
    this.checkpoints = this.checkpoints.filter(activation => !kept.has(activation));
    this.#isFull = this.checkpoints.length < this.forwardFns.length;
  }

  /**
   * Runs steps forward one after the other, and returns their backward pass. Only the states that `strategy` names are
   * held. They are held as they are, without a copy, so a step must not write to its input.
   *
   * @param steps The steps, at least one.
   * @param options Options of this chain. They take precedence over those of the constructor.
   * @returns The last step's output, and `backward`, which can be called once.
   * @throws TypeError or RangeError that names the step, or the option and the value. For a `memoryBudget` that is too
   *   small, the message tells the smallest that works. Error where a step throws, with that error as the `cause`.
   */
  chain<State, Params>(
    steps: readonly ParameterStep<State, Params>[],
    input: State,
    options?: ChainOptions,
  ): Chain<State, Params>;
  chain<State, Params = unknown>(
    steps: readonly ChainStep<State, Params>[],
    input: State,
    options?: ChainOptions,
  ): Chain<State, Params | undefined>;
  chain<State, Params = unknown>(
    steps: readonly ChainStep<State, Params>[],
    input: State,
    options?: ChainOptions,
  ): Chain<State, Params | undefined> {
    return makeChain(steps, input, parseChainOptions(this.config, options), this.#planBudget);
  }

  /**
   * Input and output of a call. The output is recomputed if it was not kept.
   *
   * @param segmentIdx Number of the call, from 0.
   * @throws RangeError where there is no such call.
   */
  recompute(segmentIdx: number): Activation {
    const call = Number.isInteger(segmentIdx) ? this.forwardFns[segmentIdx] : undefined;
    if (!call) {
      // The original's message, in which texts have no quotes.
      const segment = typeof segmentIdx === 'string' ? segmentIdx : describe(segmentIdx);
      throw new RangeError(`Cannot recompute segment ${segment}`);
    }
    const kept = this.checkpoints[segmentIdx];
    if (kept) return kept;
    const output = call.fn(this._shallowCopy(call.input));
    this.stats.recomputations++;
    return { input: call.input, output };
  }

  /** Forgets all calls. */
  clear(): void {
    this.checkpoints = [];
    this.forwardFns = [];
    this.#linkedCalls.clear();
    this.#isFull = false;
  }

  /**
   * A copy one level deep of an array, a typed array, a buffer, a Map, a Set, or the enumerable properties of any other
   * object, whose class the copy has. Promises and primitive values are returned as they are. Private fields (`#name`)
   * are not copied.
   */
  _shallowCopy<T>(obj: T): T {
    return shallowCopy(obj);
  }

  /**
   * Estimates what `checkpointSegments` segments save for a chain of equal layers.
   *
   * @param totalLayers Number of layers, above 0.
   * @param activationSize Size of one layer's activations, above 0, in any unit.
   * @throws TypeError or RangeError for an argument that is not a finite number above 0.
   */
  estimateMemorySavings(totalLayers: number, activationSize: number): MemoryEstimate {
    const name = 'GradientCheckpointer.estimateMemorySavings';
    checkNumber(name, 'totalLayers', totalLayers, { above: 0 });
    checkNumber(name, 'activationSize', activationSize, { above: 0 });
    const { checkpointSegments } = this.config;
    const withoutCheckpoints = totalLayers * activationSize;
    const withCheckpoints = checkpointSegments * activationSize + (totalLayers / checkpointSegments) * activationSize;
    const savings = 1 - withCheckpoints / withoutCheckpoints;
    this.stats.memoryReduction = savings;
    return {
      without: withoutCheckpoints,
      with: withCheckpoints,
      savings: savings * 100,
      savingsPercentage: `${(savings * 100).toFixed(1)}%`,
    };
  }

  /** The running counts, and the numbers of kept outputs and remembered calls. */
  getStats(): CheckpointerStats & {
    storedCheckpoints: number;
    storedFunctions: number;
  } {
    return {
      ...this.stats,
      storedCheckpoints: this.checkpoints.length,
      storedFunctions: this.forwardFns.length,
    };
  }
}
