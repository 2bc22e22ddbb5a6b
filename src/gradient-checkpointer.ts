import { budgetPlanner } from './gradient-checkpointer/budget-plan.js';
import { runChain } from './gradient-checkpointer/chain.js';
import { splitGradients } from './gradient-checkpointer/gradients.js';
import { type ChainOptions, checkChainOptions } from './gradient-checkpointer/options.js';
import { shallowCopy } from './gradient-checkpointer/shallow-copy.js';
import type { Chain, ChainStep, InputGradient } from './gradient-checkpointer/types.js';
import { withDefaults } from './internal/options.js';
import { TypedEmitter } from './internal/typed-emitter.js';
import { checkFunction, checkNumber, describe, wrongType } from './internal/validate.js';

export interface GradientCheckpointerOptions extends ChainOptions {
  /** When false, `checkpoint` only calls the function, and `chain` keeps every state. Default true. */
  enabled?: boolean;
  /** Most calls whose output is kept; later ones are recomputed. Default 10. */
  maxStoredActivations?: number;
}

/** The configuration with its defaults filled in. */
export type GradientCheckpointerConfig = GradientCheckpointerOptions &
  Required<Pick<GradientCheckpointerOptions, 'enabled' | 'checkpointSegments' | 'maxStoredActivations'>>;

export interface CheckpointerStats {
  /** Number of `checkpoint` calls. */
  checkpoints: number;
  /** Number of functions run again. */
  recomputations: number;
  /** Share saved by the last estimate, from 0 to 1; negative where it costs more. */
  memoryReduction: number;
}

/** Input and output of one call. */
export interface Activation {
  input: unknown;
  output: unknown;
}

/** A call to run again. */
interface ForwardCall {
  // biome-ignore lint/suspicious/noExplicitAny: holds functions of every input type side by side
  fn: (input: any) => unknown;
  input: unknown;
}

/** What `backward` needs of a call. */
interface LinkedCall {
  /** Undefined once `backward` has gone through it: its input is let go, though the output may live on. */
  call: ForwardCall | undefined;
  /** The call's entry among the checkpoints, if any. */
  kept: Activation | undefined;
  // biome-ignore lint/suspicious/noExplicitAny: holds functions of every input type side by side
  backwardFn: ((input: any, gradOutput: any) => unknown) | undefined;
  /** The call that returned this one's input. */
  previous: LinkedCall | undefined;
}

/** What `backward` returns. */
export interface CallGradients<Gradient, Params = unknown> {
  /** Gradient with respect to the input of the first call. */
  gradInputs: Gradient;
  /** The `gradParams` of every call of the chain, first call first; undefined for a call without. */
  gradParams: (Params | undefined)[];
}

export interface MemoryEstimate {
  /** Size with all activations kept, in the unit of `activationSize`. */
  without: number;
  /** Size with checkpoints and one segment, in the unit of `activationSize`. */
  with: number;
  /** Share saved, in percent. */
  savings: number;
  /** The same as text, such as `"41.7%"`. */
  savingsPercentage: string;
}

/**
 * Trades time for memory in training: keeps some states of a forward pass and recomputes the others when the backward
 * pass asks for them. {@link chain} does so for a chain of steps, by a schedule; {@link checkpoint} and {@link
 * backward} link single calls, of which each keeps its input.
 *
 * @example
 * ```js
 * import { GradientCheckpointer } from 'microlora-training-utils';
 *
 * const double = { forward: x => x.map(v => 2 * v), backward: (x, gradY) => gradY.map(v => 2 * v) };
 * const checkpointer = new GradientCheckpointer({ strategy: 'binomial', slots: 3 });
 * const { output, backward } = checkpointer.chain(new Array(10).fill(double), [1, 2]);
 * console.log(output); // [ 1024, 2048 ]
 *
 * const { gradInputs, stats } = backward([1, 0]);
 * console.log(gradInputs, stats.forwardCalls, stats.peakLiveStates); // [ 1024, 0 ] 16 4
 * ```
 */
export class GradientCheckpointer extends TypedEmitter<Record<never, never>> {
  /** The configuration in force. */
  config: GradientCheckpointerConfig;
  /** Kept calls with their outputs, at most `maxStoredActivations`. */
  checkpoints: Activation[] = [];
  /** All calls; a kept call's input is the same object here. */
  forwardFns: ForwardCall[] = [];
  /** Running counts. */
  stats: CheckpointerStats = { checkpoints: 0, recomputations: 0, memoryReduction: 0 };

  /** By output of a call. */
  #linked = new WeakMap<object, LinkedCall>();
  /**
   * Whether `backward` has left calls of which one has no checkpoint, so that a new one would stand in that one's
   * place.
   */
  #isFull = false;
  readonly #planBudget = budgetPlanner();

  /**
   * @throws TypeError or RangeError that names the option and the value.
   */
  constructor(config: GradientCheckpointerOptions = {}) {
    super();
    this.config = withDefaults(
      'GradientCheckpointer',
      { enabled: true, checkpointSegments: 4, maxStoredActivations: 10 },
      config,
    );
    checkChainOptions('GradientCheckpointer', this.config);
    const { maxStoredActivations } = this.config;
    checkNumber('GradientCheckpointer', 'maxStoredActivations', maxStoredActivations, {
      integer: true,
      min: 0,
      infinity: true,
    });
  }

  /**
   * Runs a function and remembers the call, until {@link backward} has gone through it or {@link clear}. The input is
   * copied first, one level deep, so that the function may write to its own; it is kept once.
   *
   * @param backwardFn Takes the input and the gradient of the output; returns the gradient of the input, alone or as
   *   `{ gradInputs, gradParams }`. Needed for `backward`.
   * @returns What the function returns. Where it throws, nothing is remembered.
   */
  checkpoint<Input, Output>(
    forwardFn: (input: Input) => Output,
    input: Input,
    backwardFn?: (input: Input, gradOutput: Output) => InputGradient<Input>,
  ): Output {
    checkFunction('checkpoint', 'forwardFn', forwardFn);
    if (backwardFn !== undefined) checkFunction('checkpoint', 'backwardFn', backwardFn);
    if (!this.config.enabled) return forwardFn(input);
    const call = { fn: forwardFn, input: this._shallowCopy(input) };
    const producer = isObject(input) ? this.#linked.get(input) : undefined;
    const previous = producer?.call ? producer : undefined;
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
    if (isObject(output)) this.#linked.set(output, { call, kept, backwardFn, previous });
    return output;
  }

  /**
   * Goes back from the output of a {@link checkpoint} call: to the call that returned it, from there to the call that
   * returned that one's input, and so on. The same object links them; a copy does not. Afterwards, and where a
   * `backwardFn` throws, these calls are forgotten.
   *
   * @param output The object that the last call returned.
   * @param gradOutput Gradient of the loss with respect to it.
   * @throws RangeError for an output of no remembered call, or where one of the calls has gone back already, and
   *   TypeError without a `gradOutput` or a call's `backwardFn`, all before anything changes; TypeError where one
   *   returns no gradient.
   */
  backward<Gradient = unknown, Params = unknown>(
    output: unknown,
    gradOutput: unknown,
  ): CallGradients<Gradient, Params> {
    if (gradOutput === undefined || gradOutput === null)
      throw wrongType('backward', 'gradOutput', 'the gradient of output', gradOutput);
    const calls: LinkedCall[] = [];
    let linked = isObject(output) ? this.#linked.get(output) : undefined;
    for (; linked; linked = linked.previous) calls.push(linked);
    if (calls.length === 0)
      throw new RangeError('backward: output was returned by no checkpoint call that is remembered');
    calls.reverse().forEach(({ call, backwardFn }, i) => {
      const name = `backward: call ${i} of the ${calls.length} that lead to output`;
      if (!call) throw new RangeError(`${name} has gone back already`);
      if (!backwardFn) throw new TypeError(`${name} has no backwardFn`);
    });
    const gradParams = new Array<Params | undefined>(calls.length);
    let gradInputs: unknown = gradOutput;
    try {
      for (let i = calls.length - 1; i >= 0; i--) {
        const { call, backwardFn } = calls[i]!;
        const parts = splitGradients(
          `backward: backwardFn of call ${i}`,
          backwardFn!(this._shallowCopy(call!.input), gradInputs),
        );
        gradInputs = parts.gradInputs;
        gradParams[i] = parts.gradParams as Params | undefined;
      }
    } finally {
      this.#forget(calls);
    }
    return { gradInputs: gradInputs as Gradient, gradParams };
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
   * Runs steps one after the other, then runs backward through them, holding only the states that `strategy` says. States
   * are held as they are, not copied: a step may not write to its input.
   *
   * @param options Go before those of the constructor, for this chain.
   * @returns The last step's output, and `backward`, to be called once.
   * @throws TypeError or RangeError that names the step or the option and the value, for a `memoryBudget` too small
   *   with the least that works; Error where a step throws, with its error as the `cause`.
   */
  chain<State, Params = unknown>(
    steps: readonly ChainStep<State, Params>[],
    input: State,
    options?: ChainOptions,
  ): Chain<State, Params> {
    const config = withDefaults('chain', this.config, options);
    checkChainOptions('chain', config);
    return runChain(
      steps,
      input,
      this.config.enabled ? config : { ...config, strategy: 'store-all' },
      this.#planBudget,
    );
  }

  /**
   * Input and output of a call, recomputed where the output was not kept.
   *
   * @param segmentIdx Number of the call, from 0.
   * @throws Error for a number of no call.
   */
  recompute(segmentIdx: number): Activation {
    const call = Number.isInteger(segmentIdx) ? this.forwardFns[segmentIdx] : undefined;
    if (!call) {
      // The original's words; texts without quotes.
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
    this.#linked = new WeakMap();
    this.#isFull = false;
  }

  /**
   * A copy one level deep of whatever has contents: arrays, typed arrays and buffers, Maps, Sets, and the own enumerable
   * properties of any other object, of its class. What is no object, and promises, stay as they are. Private fields
   * (`#name`) are not copied.
   */
  _shallowCopy<T>(obj: T): T {
    return shallowCopy(obj);
  }

  /**
   * What `checkpointSegments` segments save for a chain of equal layers.
   *
   * @param totalLayers Number of layers, above 0.
   * @param activationSize Size of one layer's activations, above 0, in any unit.
   */
  estimateMemorySavings(totalLayers: number, activationSize: number): MemoryEstimate {
    checkNumber('estimateMemorySavings', 'totalLayers', totalLayers, { above: 0 });
    checkNumber('estimateMemorySavings', 'activationSize', activationSize, { above: 0 });
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

  /** The running counts with the number of kept outputs and remembered calls. */
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

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
