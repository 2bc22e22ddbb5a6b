import { withDefaults } from '../internal/options.js';
import { checkCount, checkNumber, checkObject, checkOneOf } from '../internal/validate.js';
import type { Stateful } from '../types.js';
import { checkRate } from './schedule.js';

export interface ReduceLROnPlateauOptions {
  /** The rate to start from, 0 or more. */
  lr: number;
  /** Whether the metric is to fall (a loss) or to rise (an accuracy). Default `'min'`. */
  mode?: 'min' | 'max';
  /** Factor on the rate at a plateau, from 0 to below 1. Default 0.1. */
  factor?: number;
  /** Metrics in a row without improvement that are put up with, 0 or more. Default 10. */
  patience?: number;
  /** An improvement is a change by more than this, 0 or more; by exactly this is none. Default 1e-4. */
  threshold?: number;
  /** Whether `threshold` is a share of the best metric's size (`'rel'`) or in its unit (`'abs'`). Default `'rel'`. */
  thresholdMode?: 'rel' | 'abs';
  /** Metrics after a reduction that do not count towards the next one, 0 or more. Default 0. */
  cooldown?: number;
  /** The rate is never reduced below this, from 0 to `lr`. Default 0. */
  minLR?: number;
}

/** Where a `ReduceLROnPlateau` stands: plain values, ready for JSON. */
export interface ReduceLROnPlateauState {
  /** The direction of `best`, which must be that of the instance that loads the state. */
  mode: 'min' | 'max';
  /** The rate. */
  lr: number;
  /** The best metric so far, null before the first. */
  best: number | null;
  /** Metrics in a row without improvement. */
  badMetrics: number;
  /** Metrics of the cooldown that are still to come. */
  cooldownLeft: number;
}

const MODES = ['min', 'max'] as const;
const THRESHOLD_MODES = ['rel', 'abs'] as const;

/**
 * Lowers the rate when a metric, such as the loss on held-out data after each epoch, has stopped improving. Counts as
 * PyTorch's `ReduceLROnPlateau` does, but a relative improvement is measured against the size of the best metric,
 * `|best|`, so that it is one on negative metrics too.
 *
 * @example
 * ```js
 * import { ReduceLROnPlateau } from 'microlora-training-utils';
 *
 * const plateau = new ReduceLROnPlateau({ lr: 0.01, factor: 0.5, patience: 1 });
 * for (const loss of [0.9, 0.7, 0.7, 0.7]) plateau.step(loss);
 * console.log(plateau.lr); // 0.005
 * ```
 */
export class ReduceLROnPlateau implements Stateful<ReduceLROnPlateauState> {
  readonly #options: Required<ReduceLROnPlateauOptions>;
  #state: ReduceLROnPlateauState;

  /** @throws TypeError or RangeError that names the option and the value. */
  constructor(options: ReduceLROnPlateauOptions) {
    const call = 'ReduceLROnPlateau';
    const defaults = {
      mode: 'min' as const,
      factor: 0.1,
      patience: 10,
      threshold: 1e-4,
      thresholdMode: 'rel' as const,
      cooldown: 0,
      minLR: 0,
    };
    const given = withDefaults(call, defaults, options);
    const { lr, mode, factor, patience, threshold, thresholdMode, cooldown, minLR } = given;
    checkRate(call, 'lr', lr);
    checkOneOf(call, 'mode', mode, MODES);
    checkNumber(call, 'factor', factor, { min: 0, below: 1 });
    checkCount(call, 'patience', patience, 0);
    checkNumber(call, 'threshold', threshold, { min: 0 });
    checkOneOf(call, 'thresholdMode', thresholdMode, THRESHOLD_MODES);
    checkCount(call, 'cooldown', cooldown, 0);
    checkNumber(call, 'minLR', minLR, { min: 0, max: lr });
    this.#options = { lr, mode, factor, patience, threshold, thresholdMode, cooldown, minLR };
    this.#state = { mode, lr, best: null, badMetrics: 0, cooldownLeft: 0 };
  }

  /** The rate to train with now. */
  get lr(): number {
    return this.#state.lr;
  }

  /**
   * Takes the next metric.
   *
   * @returns The rate to go on with.
   * @throws TypeError or RangeError, with nothing changed, for a metric that is not a finite number.
   */
  step(metric: number): number {
    checkNumber('ReduceLROnPlateau.step', 'metric', metric);
    const { factor, patience, cooldown, minLR } = this.#options;
    const state = this.#state;
    if (this.#isImprovement(metric)) {
      state.best = metric;
      state.badMetrics = 0;
    } else {
      state.badMetrics++;
    }
    if (state.cooldownLeft > 0) {
      state.cooldownLeft--;
      state.badMetrics = 0;
    }
    if (state.badMetrics > patience) {
      // A loaded rate may lie below the floor, and is not to rise.
      state.lr = Math.min(state.lr, Math.max(state.lr * factor, minLR));
      state.cooldownLeft = cooldown;
      state.badMetrics = 0;
    }
    return state.lr;
  }

  /** Where it stands, ready for JSON. */
  stateDict(): ReduceLROnPlateauState {
    return { ...this.#state };
  }

  /**
   * Goes on where the state was taken, with this instance's own options.
   *
   * @throws TypeError or RangeError, with nothing changed, for what `stateDict` cannot have given, or another `mode`.
   */
  loadStateDict(state: ReduceLROnPlateauState): void {
    const call = 'loadStateDict';
    checkObject(call, 'state', state);
    const { mode, lr, best, badMetrics, cooldownLeft } = state as ReduceLROnPlateauState;
    checkOneOf(call, 'state.mode', mode, [this.#options.mode]);
    checkRate(call, 'state.lr', lr);
    if (best !== null) checkNumber(call, 'state.best', best);
    checkCount(call, 'state.badMetrics', badMetrics, 0);
    checkCount(call, 'state.cooldownLeft', cooldownLeft, 0);
    this.#state = { mode, lr, best, badMetrics, cooldownLeft };
  }

  #isImprovement(metric: number): boolean {
    const { best } = this.#state;
    if (best === null) return true;
    const { mode, threshold, thresholdMode } = this.#options;
    // The bound as PyTorch computes it: the difference to the best would round otherwise at the threshold itself.
    const isAway = (mode === 'max') === best >= 0;
    const relative = best * (isAway ? 1 + threshold : 1 - threshold);
    const absolute = mode === 'max' ? best + threshold : best - threshold;
    const bound = thresholdMode === 'rel' ? relative : absolute;
    return mode === 'max' ? metric > bound : metric < bound;
  }
}
