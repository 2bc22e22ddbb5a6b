import { withDefaults } from '../internal/options.js';
import { checkCount, checkNumber, checkObject, checkOneOf } from '../internal/validate.js';
import type { Stateful } from '../types.js';
import { checkRate } from './schedule.js';

export interface ReduceLROnPlateauOptions {
  /** The rate at the start, at least 0. */
  lr: number;
  /**
   * Whether a better metric is smaller (`'min'`, for a loss) or greater (`'max'`, for an accuracy).
   *
   * @default 'min'
   */
  mode?: 'min' | 'max';
  /**
   * Factor on the rate at a plateau, at least 0 and below 1.
   *
   * @default 0.1
   */
  factor?: number;
  /**
   * Number of metrics in a row without improvement that do not reduce the rate yet, at least 0.
   *
   * @default 10
   */
  patience?: number;
  /**
   * A metric is an improvement if it is better than the best one by more than this threshold, at least 0.
   *
   * @default 1e-4
   */
  threshold?: number;
  /**
   * Whether `threshold` is a share of the best metric's size (`'rel'`), or is in the metric's unit (`'abs'`).
   *
   * @default 'rel'
   */
  thresholdMode?: 'rel' | 'abs';
  /**
   * Number of metrics after a reduction that do not count towards the next one, at least 0.
   *
   * @default 0
   */
  cooldown?: number;
  /**
   * Lowest rate, from 0 to `lr`. The rate is never reduced below it.
   *
   * @default 0
   */
  minLR?: number;
}

/** Where a `ReduceLROnPlateau` stands, as plain values for JSON. */
export interface ReduceLROnPlateauState {
  /** The direction of `best`. It must be that of the instance that loads the state. */
  mode: 'min' | 'max';
  /** The current rate. */
  lr: number;
  /** The best metric so far, or null before the first one. */
  best: number | null;
  /** Number of metrics in a row without improvement. */
  badMetrics: number;
  /** Number of metrics left in the cooldown. */
  cooldownLeft: number;
}

const MODES = ['min', 'max'] as const;
const THRESHOLD_MODES = ['rel', 'abs'] as const;

/**
 * Reduces the rate when a metric has stopped improving, such as the loss on held-out data after each epoch. Counts as
 * PyTorch's `ReduceLROnPlateau` does, with one difference: a relative improvement is measured against the size of the
 * best metric, `|best|`. So it also works on negative metrics.
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
   * @returns The rate for the training that follows.
   * @throws TypeError or RangeError for a metric that is not a finite number. Nothing has changed then.
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
      // A loaded rate may be below the lowest rate. It must not rise.
      state.lr = Math.min(state.lr, Math.max(state.lr * factor, minLR));
      state.cooldownLeft = cooldown;
      state.badMetrics = 0;
    }
    return state.lr;
  }

  /** The state, as plain values for JSON. */
  stateDict(): ReduceLROnPlateauState {
    return { ...this.#state };
  }

  /**
   * Continues from a state, with the options of this instance.
   *
   * @param state What {@link stateDict} returned, also after a round trip through JSON.
   * @throws TypeError or RangeError for a state of another `mode`, and for one that `stateDict` cannot have returned.
   *   Nothing has changed then.
   */
  loadStateDict(state: ReduceLROnPlateauState): void {
    const call = 'ReduceLROnPlateau.loadStateDict';
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
    // The bound is computed as in PyTorch. The difference to the best metric would be rounded differently.
    const isAway = (mode === 'max') === best >= 0;
    const relative = best * (isAway ? 1 + threshold : 1 - threshold);
    const absolute = mode === 'max' ? best + threshold : best - threshold;
    const bound = thresholdMode === 'rel' ? relative : absolute;
    return mode === 'max' ? metric > bound : metric < bound;
  }
}
