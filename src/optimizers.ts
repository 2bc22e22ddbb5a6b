import { checkAdapters, checkFiniteGradients, checkGradients } from './internal/adapters.js';
import { withDefaults } from './internal/options.js';
import { checkArray, checkNumber, describe } from './internal/validate.js';
import { kernels } from './kernels/index.js';
import { zerosLike } from './kernels/matrix.js';
import type { Adapter, AdapterGradients, MutableVector, Rows } from './types.js';

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
  /** Added to the root of the second moment, above 0. Default 1e-8. */
  eps?: number;
  /** Decoupled weight decay. Default 0.01. */
  weightDecay?: number;
  /** Gradients are scaled down together to at most this global norm. Default: no limit. */
  maxGradNorm?: number;
}

/** AdamW's second moment holds squares, in float32 for a LoRAAdapter. */
const LARGEST_NORM = 1e19;

/** Moments of one matrix, and how many steps they have seen: as in PyTorch, adapters without gradients do not age. */
interface AdamWState {
  first: readonly MutableVector[];
  second: readonly MutableVector[];
  steps: number;
}

/** One parameter matrix, its gradient and the optimizer's state for it. */
interface Parameter<State> {
  values: readonly MutableVector[];
  gradients: Rows;
  state: State;
}

/** What all optimizers share: the state of each matrix, checks and clipping. */
abstract class Optimizer<State> {
  readonly #call: string;
  readonly #adapters: ReadonlyMap<string, Adapter>;
  readonly #matrices: Map<string, Record<'loraA' | 'loraB', { values: readonly MutableVector[]; state: State }>>;

  protected constructor(call: string, adapters: ReadonlyMap<string, Adapter>, stateFor: (values: Rows) => State) {
    checkAdapters(call, adapters);
    this.#call = `${call}.step`;
    this.#adapters = adapters;
    this.#matrices = new Map(
      Array.from(adapters, ([name, { loraA, loraB }]) => [
        name,
        { loraA: { values: loraA, state: stateFor(loraA) }, loraB: { values: loraB, state: stateFor(loraB) } },
      ]),
    );
  }

  /** Checks everything before anything changes; returns the matrices to update and the factor from clipping. */
  protected prepare(
    grads: ReadonlyMap<string, AdapterGradients>,
    lr: number,
    maxGradNorm: number | undefined,
    largestNorm = Infinity,
  ): { parameters: Parameter<State>[]; gradientScale: number } {
    const call = this.#call;
    checkGradients(call, grads, this.#adapters);
    checkNumber(call, 'lr', lr, { min: 0 });
    const norm = Math.sqrt(checkFiniteGradients(call, grads));
    const gradientScale = maxGradNorm !== undefined && norm > maxGradNorm ? maxGradNorm / norm : 1;
    if (norm * gradientScale > largestNorm) {
      throw new RangeError(`${call}: grads have norm ${norm}, whose square float32 cannot hold; pass maxGradNorm`);
    }
    const parameters: Parameter<State>[] = [];
    for (const [name, { gradA, gradB }] of grads) {
      const adapter = this.#adapters.get(name)!;
      const known = this.#matrices.get(name);
      if (known?.loraA.values !== adapter.loraA || known.loraB.values !== adapter.loraB) {
        throw new RangeError(`${call}: adapter ${describe(name)} was added or replaced after the optimizer was made`);
      }
      parameters.push({ ...known.loraA, gradients: gradA }, { ...known.loraB, gradients: gradB });
    }
    return { parameters, gradientScale };
  }
}

/**
 * AdamW (Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization"), in place on the adapters it was made for,
 * with PyTorch's arithmetic.
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
export class AdamW extends Optimizer<AdamWState> {
  /** The learning rate of a `step` without one. */
  lr: number;
  readonly #options: Required<Omit<AdamWOptions, 'lr' | 'maxGradNorm'>> & Pick<AdamWOptions, 'maxGradNorm'>;

  /**
   * @param adapters Adapters by name; `number[][]` matrices work too. Their rows are updated in place.
   * @throws TypeError or RangeError that names the option or the adapter and the value.
   */
  constructor(adapters: ReadonlyMap<string, Adapter>, options: AdamWOptions = {}) {
    const call = 'AdamW';
    const defaults = { lr: 1e-3, betas: [0.9, 0.999] as const, eps: 1e-8, weightDecay: 0.01 };
    const { lr, ...rest } = withDefaults(call, defaults, options);
    checkNumber(call, 'lr', lr, { min: 0 });
    checkArray(call, 'betas', rest.betas);
    checkNumber(call, 'betas[0]', rest.betas[0], { min: 0, below: 1 });
    checkNumber(call, 'betas[1]', rest.betas[1], { min: 0, below: 1 });
    checkNumber(call, 'eps', rest.eps, { above: 0 });
    checkNumber(call, 'weightDecay', rest.weightDecay, { min: 0 });
    if (rest.maxGradNorm !== undefined) checkNumber(call, 'maxGradNorm', rest.maxGradNorm, { above: 0 });
    super(call, adapters, values => ({ first: zerosLike(values), second: zerosLike(values), steps: 0 }));
    this.lr = lr;
    this.#options = rest;
  }

  /**
   * One step. Adapters without an entry in `grads` stay as they are.
   *
   * @param grads Gradients by adapter name.
   * @param lr Learning rate of this step. Default: `this.lr`.
   * @throws TypeError or RangeError, with nothing changed, for an unknown name, a shape that is not the adapter's, an
   *   entry that is not finite, gradients whose norm exceeds 1e19 after clipping, or a bad rate.
   */
  step(grads: ReadonlyMap<string, AdapterGradients>, lr: number = this.lr): void {
    const { betas, eps, weightDecay, maxGradNorm } = this.#options;
    const { parameters, gradientScale } = this.prepare(grads, lr, maxGradNorm, LARGEST_NORM);
    const [beta1, beta2] = betas;
    for (const { values, gradients, state } of parameters) {
      state.steps++;
      const [correction1, correction2] = [1 - beta1 ** state.steps, 1 - beta2 ** state.steps];
      const step = { lr, beta1, beta2, eps, weightDecay, correction1, correction2, gradientScale };
      kernels().adamw(values, gradients, state, step);
    }
  }
}

/** Stochastic gradient descent with momentum (PyTorch's form), in place on the adapters it was made for. */
export class SGD extends Optimizer<{ velocity: readonly MutableVector[] | null }> {
  /** The learning rate of a `step` without one. */
  lr: number;
  readonly #options: Required<Omit<SGDOptions, 'lr' | 'maxGradNorm'>> & Pick<SGDOptions, 'maxGradNorm'>;

  /**
   * @param adapters Adapters by name; `number[][]` matrices work too. Their rows are updated in place.
   * @throws TypeError or RangeError that names the option or the adapter and the value.
   */
  constructor(adapters: ReadonlyMap<string, Adapter>, options: SGDOptions = {}) {
    const call = 'SGD';
    const { lr, ...rest } = withDefaults(call, { lr: 0.01, momentum: 0, weightDecay: 0 }, options);
    checkNumber(call, 'lr', lr, { min: 0 });
    checkNumber(call, 'momentum', rest.momentum, { min: 0, below: 1 });
    checkNumber(call, 'weightDecay', rest.weightDecay, { min: 0 });
    if (rest.maxGradNorm !== undefined) checkNumber(call, 'maxGradNorm', rest.maxGradNorm, { above: 0 });
    super(call, adapters, values => ({ velocity: rest.momentum > 0 ? zerosLike(values) : null }));
    this.lr = lr;
    this.#options = rest;
  }

  /**
   * One step. Adapters without an entry in `grads` stay as they are.
   *
   * @param grads Gradients by adapter name.
   * @param lr Learning rate of this step. Default: `this.lr`.
   * @throws TypeError or RangeError, with nothing changed, as `AdamW.step` does.
   */
  step(grads: ReadonlyMap<string, AdapterGradients>, lr: number = this.lr): void {
    const { momentum, weightDecay, maxGradNorm } = this.#options;
    const { parameters, gradientScale } = this.prepare(grads, lr, maxGradNorm);
    for (const { values, gradients, state } of parameters) {
      kernels().sgd(values, gradients, state.velocity, { lr, momentum, weightDecay, gradientScale });
    }
  }
}
