import { withDefaults } from './internal/options.js';
import { checkArray, checkNumber } from './internal/validate.js';
import { kernels } from './kernels/index.js';
import {
  type AdamWMoments,
  type AdamWState,
  adamWMoments,
  type SGDMoments,
  type SGDState,
  sgdMoments,
} from './optimizers/moments.js';
import { checkRate, OptimizerMemory } from './optimizers/optimizer-memory.js';
import type { Adapter, AdapterGradients, Stateful } from './types.js';

export interface AdamWOptions {
  /**
   * Learning rate, from 0 to 3.4e38.
   *
   * @default 0.001
   */
  lr?: number;
  /**
   * Decay of the mean of the gradients and of the mean of their squares, each from 0 to below 1.
   *
   * @default [0.9, 0.999]
   */
  betas?: readonly [number, number];
  /**
   * Number added to the root of the second moment, at least 1.2e-38.
   *
   * @default 1e-8
   */
  eps?: number;
  /**
   * Decoupled weight decay, 0 or more.
   *
   * @default 0.01
   */
  weightDecay?: number;
  /**
   * Greatest norm of all gradients together, above 0. Gradients above it are scaled down to it. By default, no limit.
   */
  maxGradNorm?: number;
}

export interface SGDOptions {
  /**
   * Learning rate, from 0 to 3.4e38.
   *
   * @default 0.01
   */
  lr?: number;
  /**
   * Factor on the velocity, from 0 to below 1.
   *
   * @default 0
   */
  momentum?: number;
  /**
   * L2 penalty, 0 or more. It is added to the gradient.
   *
   * @default 0
   */
  weightDecay?: number;
  /**
   * Greatest norm of all gradients together, above 0. Gradients above it are scaled down to it. By default, no limit.
   */
  maxGradNorm?: number;
}

/** AdamW's second moment holds squares, in float32 for a LoRAAdapter. */
const LARGEST_NORM = 1e19;
/** The smallest `eps` that is not 0 in float32. */
const SMALLEST_EPS = 1.2e-38;
/** SGD's velocity and step must stay within float32 too. */
const LARGEST_STEP = 1e38;

/**
 * AdamW (Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization") with PyTorch's arithmetic. It updates its
 * adapters in place.
 *
 * @example
 * ```js
 * import { AdamW, LoRAAdapter } from 'microlora-training-utils';
 *
 * const adapter = new LoRAAdapter({ dim: 2, rank: 1, seed: 1 });
 * const optimizer = new AdamW(new Map([['query', adapter]]), { lr: 0.1 });
 * optimizer.step(new Map([['query', { gradA: [[0], [0]], gradB: [[1, -1]] }]]));
 * console.log(Array.from(adapter.loraB[0], weight => weight.toFixed(3))); // [ '-0.100', '0.100' ]
 * ```
 */
export class AdamW implements Stateful<AdamWState> {
  /** The learning rate of a `step` without one. */
  lr: number;
  readonly #memory: OptimizerMemory<AdamWState, AdamWMoments>;

  /**
   * @param adapters Adapters by name. Their matrices may be `number[][]`. Their rows are updated in place.
   * @throws TypeError or RangeError that names the option or the adapter, and the value. Rows of integers, frozen rows,
   *   and an adapter, matrix or row that is there twice are refused too.
   */
  constructor(adapters: ReadonlyMap<string, Adapter>, options: AdamWOptions = {}) {
    const call = 'AdamW';
    const defaults = { lr: 1e-3, betas: [0.9, 0.999] as const, eps: 1e-8, weightDecay: 0.01 };
    const { lr, betas, eps, weightDecay, maxGradNorm } = withDefaults(call, defaults, options);
    checkRate(call, lr);
    checkArray(call, 'betas', betas);
    const beta1 = checkNumber(call, 'betas[0]', betas[0], { min: 0, below: 1 });
    const beta2 = checkNumber(call, 'betas[1]', betas[1], { min: 0, below: 1 });
    checkNumber(call, 'eps', eps, { min: SMALLEST_EPS });
    checkNumber(call, 'weightDecay', weightDecay, { min: 0 });
    const parsed: AdamWState['options'] = { betas: [beta1, beta2], eps, weightDecay, ...clippingOf(call, maxGradNorm) };
    this.lr = lr;
    this.#memory = new OptimizerMemory(call, adapters, parsed, adamWMoments);
  }

  /**
   * One step. Adapters without an entry in `grads` stay as they are.
   *
   * @param grads Gradients by adapter name.
   * @param lr Learning rate of this step, from 0 to 3.4e38. Default: `this.lr`.
   * @throws TypeError or RangeError for an unknown name, a shape that is not the adapter's, an entry that is not
   *   finite, gradients whose norm exceeds 1e19 after clipping, a bad rate, or an adapter that was replaced, reshaped
   *   or frozen after the optimizer was made. Nothing has changed then.
   */
  step(grads: ReadonlyMap<string, AdapterGradients>, lr: number = this.lr): void {
    const { betas, eps, weightDecay } = this.#memory.options;
    const { parameters, gradientScale } = this.#memory.prepare(grads, lr, LARGEST_NORM);
    const [beta1, beta2] = betas;
    for (const { values, gradients, moments } of parameters) {
      moments.steps++;
      const [correction1, correction2] = [1 - beta1 ** moments.steps, 1 - beta2 ** moments.steps];
      const step = { lr, beta1, beta2, eps, weightDecay, correction1, correction2, gradientScale };
      kernels().adamw(values, gradients, moments, step);
    }
  }

  /**
   * Everything that a later run needs to continue, as plain data for JSON: moments, step counts, the rate and the
   * options. Every number survives JSON exactly, except the sign of a zero.
   */
  stateDict(): AdamWState {
    return this.#memory.stateDict(this.lr);
  }

  /**
   * Takes over a state. The steps that follow are then those of the optimizer that gave it, bit by bit. Load the
   * adapters first: a state belongs to the weights that it was taken with. Their fingerprints are compared in float32.
   * Delete `state.fingerprints` to continue with other weights.
   *
   * @param state What {@link stateDict} returned, also after a round trip through JSON.
   * @throws TypeError or RangeError when the state belongs to another optimizer, has other options, adapters, ranks,
   *   shapes or weights, or holds a number that is not finite, a negative square or a bad count. Nothing has changed
   *   then.
   */
  loadStateDict(state: AdamWState): void {
    this.lr = this.#memory.loadStateDict(state);
  }
}

/** Stochastic gradient descent with momentum, in PyTorch's form. It updates its adapters in place. */
export class SGD implements Stateful<SGDState> {
  /** The learning rate of a `step` without one. */
  lr: number;
  readonly #memory: OptimizerMemory<SGDState, SGDMoments>;

  /**
   * @param adapters Adapters by name. Their matrices may be `number[][]`. Their rows are updated in place.
   * @throws TypeError or RangeError that names the option or the adapter, and the value. Rows of integers, frozen rows,
   *   and an adapter, matrix or row that is there twice are refused too.
   */
  constructor(adapters: ReadonlyMap<string, Adapter>, options: SGDOptions = {}) {
    const call = 'SGD';
    const defaults = { lr: 0.01, momentum: 0, weightDecay: 0 };
    const { lr, momentum, weightDecay, maxGradNorm } = withDefaults(call, defaults, options);
    checkRate(call, lr);
    checkNumber(call, 'momentum', momentum, { min: 0, below: 1 });
    checkNumber(call, 'weightDecay', weightDecay, { min: 0 });
    const parsed: SGDState['options'] = { momentum, weightDecay, ...clippingOf(call, maxGradNorm) };
    this.lr = lr;
    this.#memory = new OptimizerMemory(call, adapters, parsed, sgdMoments(momentum));
  }

  /**
   * One step. Adapters without an entry in `grads` stay as they are.
   *
   * @param grads Gradients by adapter name.
   * @param lr Learning rate of this step, from 0 to 3.4e38. Default: `this.lr`.
   * @throws TypeError or RangeError as `AdamW.step` does. The greatest norm after clipping is 1e38, divided by the
   *   rate if that is above 1. Nothing has changed then.
   */
  step(grads: ReadonlyMap<string, AdapterGradients>, lr: number = this.lr): void {
    const { momentum, weightDecay } = this.#memory.options;
    const { parameters, gradientScale } = this.#memory.prepare(grads, lr, LARGEST_STEP / Math.max(1, lr));
    for (const { values, gradients, moments } of parameters) {
      kernels().sgd(values, gradients, moments.velocity, { lr, momentum, weightDecay, gradientScale });
    }
  }

  /**
   * Everything that a later run needs to continue, as `AdamW.stateDict` gives it: velocities, the rate and the options.
   */
  stateDict(): SGDState {
    return this.#memory.stateDict(this.lr);
  }

  /**
   * Takes over a state, as `AdamW.loadStateDict` does.
   *
   * @param state What {@link stateDict} returned, also after a round trip through JSON.
   * @throws TypeError or RangeError as `AdamW.loadStateDict` does. Nothing has changed then.
   */
  loadStateDict(state: SGDState): void {
    this.lr = this.#memory.loadStateDict(state);
  }
}

function clippingOf(call: string, maxGradNorm: number | undefined): { maxGradNorm?: number } {
  return maxGradNorm === undefined ? {} : { maxGradNorm: checkNumber(call, 'maxGradNorm', maxGradNorm, { above: 0 }) };
}
