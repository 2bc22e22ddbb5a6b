import { withDefaults } from './internal/options.js';
import { TypedEmitter } from './internal/typed-emitter.js';
import { checkCount, checkFunction, checkNumber } from './internal/validate.js';

export interface GradientCheckpointerOptions {
  /** When false, `checkpoint` only calls the function. Default true. */
  enabled?: boolean;
  /** Number of segments that `estimateMemorySavings` assumes. Default 4. */
  checkpointSegments?: number;
  /** Most calls whose output is kept; later ones are recomputed. Default 10. */
  maxStoredActivations?: number;
}

/** The configuration with its defaults filled in. */
export type GradientCheckpointerConfig = Required<GradientCheckpointerOptions>;

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
 * Keeps the inputs of forward calls and only some outputs, and recomputes the others when they are asked for.
 *
 * @example
 * ```js
 * import { GradientCheckpointer } from 'microlora-training-utils';
 *
 * const checkpointer = new GradientCheckpointer({ maxStoredActivations: 1 });
 * const hidden = checkpointer.checkpoint(x => x.map(value => 2 * value), [1, 2]);
 * checkpointer.checkpoint(x => x.map(value => value + 1), hidden);
 * console.log(checkpointer.recompute(1).output); // [ 3, 5 ]
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
    checkCount('GradientCheckpointer', 'checkpointSegments', this.config.checkpointSegments);
    const { maxStoredActivations } = this.config;
    checkNumber('GradientCheckpointer', 'maxStoredActivations', maxStoredActivations, {
      integer: true,
      min: 0,
      infinity: true,
    });
  }

  /**
   * Runs a function and remembers the call. The input is copied first, one level deep, so that the function may write
   * to its own; it is kept once.
   *
   * @returns What the function returns. Where it throws, nothing is remembered.
   */
  checkpoint<Input, Output>(forwardFn: (input: Input) => Output, input: Input): Output {
    checkFunction('checkpoint', 'forwardFn', forwardFn);
    if (!this.config.enabled) return forwardFn(input);
    const call = { fn: forwardFn, input: this._shallowCopy(input) };
    this.forwardFns.push(call);
    let output: Output;
    try {
      output = forwardFn(input);
    } catch (error) {
      this.forwardFns.splice(this.forwardFns.indexOf(call), 1);
      throw error;
    }
    this.stats.checkpoints++;
    if (this.checkpoints.length < this.config.maxStoredActivations) {
      this.checkpoints.push({ input: call.input, output: this._shallowCopy(output) });
    }
    return output;
  }

  /**
   * Input and output of a call, recomputed where the output was not kept.
   *
   * @param segmentIdx Number of the call, from 0.
   * @throws Error for a number of no call.
   */
  recompute(segmentIdx: number): Activation {
    const call = Number.isInteger(segmentIdx) ? this.forwardFns[segmentIdx] : undefined;
    if (!call) throw new RangeError(`Cannot recompute segment ${String(segmentIdx)}`);
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
  }

  /** A copy of an array, a typed array or a plain object, one level deep; anything else as it is. */
  _shallowCopy<T>(obj: T): T {
    if (Array.isArray(obj)) return [...obj] as T;
    if (ArrayBuffer.isView(obj) && !(obj instanceof DataView)) return (obj as unknown as Float32Array).slice() as T;
    const prototype: unknown = typeof obj === 'object' && obj !== null ? Object.getPrototypeOf(obj) : undefined;
    return prototype === Object.prototype || prototype === null ? { ...obj } : obj;
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
