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
import { checkRate, Optimizer } from './optimizers/optimizer.js';
import type { Adapter, AdapterGradients } from './types.js';

export interface SGDOptions {
  /** Learning rate, 0 or more. Default 0.01. */
  lr?: number;
  /** Factor on the velocity, from 0 to below 1. Default 0. */
  momentum?: number;
  /** L2 penalty, added to the gradient. Default 0. */
  weightDecay?: number;
  /** Gradients are scaled down together to at most this global norm. Default: no limit. */
  maxGradNorm?: number;
}

export interface AdamWOptions {
  /** Learning rate, 0 or more. Default 0.001. */
  lr?: number;
  /** Decay of the mean of gradients and of their squares, each from 0 to below 1. Default [0.9, 0.999]. */
  betas?: readonly [number, number];
  /** Added to the root of the second moment, at least 1.2e-38. Default 1e-8. */
  eps?: number;
  /** Decoupled weight decay. Default 0.01. */
  weightDecay?: number;
  /** Gradients are scaled down together to at most this global norm. Default: no limit. */
  maxGradNorm?: number;
}

/** AdamW's second moment holds squares, in float32 for a LoRAAdapter. */
const LARGEST_NORM = 1e19;
/** What AdamW adds to a root must not be 0 there. */
const SMALLEST_EPS = 1.2e-38;
/** SGD's velocity and step must stay within float32 too. */
const LARGEST_STEP = 1e38;

/**
 * AdamW (Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization"), in place on the adapters it was made
 * for, with PyTorch's arithmetic.
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
export class AdamW extends Optimizer<AdamWState, AdamWMoments> {
  /**
   * @param adapters Adapters by name; `number[][]` matrices work too. Their rows are updated in place.
   * @throws TypeError or RangeError that names the option or the adapter and the value; rows of integers, frozen rows,
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
    const clipping = clippingOf(call, maxGradNorm);
    super(call, adapters, lr, { betas: [beta1, beta2], eps, weightDecay, ...clipping }, adamWMoments);
  }

  /**
   * One step. Adapters without an entry in `grads` stay as they are.
   *
   * @param grads Gradients by adapter name.
   * @param lr Learning rate of this step. Default: `this.lr`.
   * @throws TypeError or RangeError, with nothing changed, for an unknown name, a shape that is not the adapter's, an
   *   entry that is not finite, gradients whose norm exceeds 1e19 after clipping, a bad rate, or an adapter that was
   *   replaced, reshaped or frozen after the optimizer was made.
   */
  step(grads: ReadonlyMap<string, AdapterGradients>, lr: number = this.lr): void {
    const { betas, eps, weightDecay } = this.options;
    const { parameters, gradientScale } = this.prepare(grads, lr, LARGEST_NORM);
    const [beta1, beta2] = betas;
    for (const { values, gradients, moments } of parameters) {
      moments.steps++;
      const [correction1, correction2] = [1 - beta1 ** moments.steps, 1 - beta2 ** moments.steps];
      const step = { lr, beta1, beta2, eps, weightDecay, correction1, correction2, gradientScale };
      kernels().adamw(values, gradients, moments, step);
    }
  }
}

/** Stochastic gradient descent with momentum (PyTorch's form), in place on the adapters it was made for. */
export class SGD extends Optimizer<SGDState, SGDMoments> {
  /**
   * @param adapters Adapters by name; `number[][]` matrices work too. Their rows are updated in place.
   * @throws TypeError or RangeError that names the option or the adapter and the value; rows of integers, frozen rows,
   *   and an adapter, matrix or row that is there twice are refused too.
   */
  constructor(adapters: ReadonlyMap<string, Adapter>, options: SGDOptions = {}) {
    const call = 'SGD';
    const defaults = { lr: 0.01, momentum: 0, weightDecay: 0 };
    const { lr, momentum, weightDecay, maxGradNorm } = withDefaults(call, defaults, options);
    checkRate(call, lr);
    checkNumber(call, 'momentum', momentum, { min: 0, below: 1 });
    checkNumber(call, 'weightDecay', weightDecay, { min: 0 });
    super(call, adapters, lr, { momentum, weightDecay, ...clippingOf(call, maxGradNorm) }, sgdMoments(momentum));
  }

  /**
   * One step. Adapters without an entry in `grads` stay as they are.
   *
   * @param grads Gradients by adapter name.
   * @param lr Learning rate of this step. Default: `this.lr`.
   * @throws TypeError or RangeError, with nothing changed, as `AdamW.step` does.
   */
  step(grads: ReadonlyMap<string, AdapterGradients>, lr: number = this.lr): void {
    const { momentum, weightDecay } = this.options;
    const { parameters, gradientScale } = this.prepare(grads, lr, LARGEST_STEP / Math.max(1, lr));
    for (const { values, gradients, moments } of parameters) {
      kernels().sgd(values, gradients, moments.velocity, { lr, momentum, weightDecay, gradientScale });
    }
  }
}

function clippingOf(call: string, maxGradNorm: number | undefined): { maxGradNorm?: number } {
  return maxGradNorm === undefined ? {} : { maxGradNorm: checkNumber(call, 'maxGradNorm', maxGradNorm, { above: 0 }) };
}
