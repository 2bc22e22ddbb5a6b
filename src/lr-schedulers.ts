import { withDefaults } from './internal/options.js';
import { checkCount, checkNumber } from './internal/validate.js';

export interface CosineWarmRestartsOptions {
  /** Steps of the first cycle. Default 100. */
  restartPeriod?: number;
  /** Factor from each cycle's length to the next, an integer of 1 or more. Default 1: all cycles are equally long. */
  restartMultiplier?: number;
}

export interface ExponentialOptions {
  /** Factor on the rate every `stepSize` steps, 0 or more. Default 0.95. */
  gamma?: number;
  /** Steps between two factors. Default 100. */
  stepSize?: number;
}

export interface WarmupCosineOptions {
  /** Steps of the linear rise from 0. Default 100. */
  warmupSteps?: number;
}

export interface OneCycleOptions {
  /** The peak, reached half-way. Default 10 × baseLR. */
  maxLR?: number;
  /** 1 or more: when given, the cycle starts at maxLR / divFactor. Default: it starts at baseLR. */
  divFactor?: number;
  /** 1 or more: the cycle ends at baseLR / finalDiv. Default 10,000. */
  finalDiv?: number;
}

/** A learning rate as a function of the step. */
export type Schedule<Options = object> = (baseLR: number, step: number, totalSteps: number, opts?: Options) => number;

/**
 * Learning-rate schedules: pure functions `(baseLR, step, totalSteps, opts)` of a step from 0. Schedules that end at
 * `totalSteps` keep their last value after it; none is ever negative.
 *
 * All throw a `TypeError` or `RangeError` for a rate or `totalSteps` that is not a finite number of 0 or more, a step that
 * is not finite, or an option out of range, where they read it. A step below 0 counts as 0.
 *
 * @example
 * ```js
 * import { LRSchedulers } from 'microlora-training-utils';
 *
 * console.log(LRSchedulers.warmupCosine(0.01, 5, 100, { warmupSteps: 10 })); // 0.005
 * ```
 */
export const LRSchedulers = {
  /** `baseLR` throughout. `totalSteps` is not read. */
  constant: (baseLR: number, _step?: number, _totalSteps?: number, _opts?: object): number =>
    checkRate('constant', 'baseLR', baseLR),

  /** A straight line from `baseLR` to 0. */
  linear: (baseLR: number, step: number, totalSteps: number, _opts?: object): number => {
    checkRate('linear', 'baseLR', baseLR);
    return baseLR * (1 - progressOf('linear', step, totalSteps));
  },

  /** Half a cosine from `baseLR` to 0 (Loshchilov and Hutter 2017, "SGDR"). */
  cosine: (baseLR: number, step: number, totalSteps: number, _opts?: object): number => {
    checkRate('cosine', 'baseLR', baseLR);
    return baseLR * halfCosine(progressOf('cosine', step, totalSteps));
  },

  /** The cosine again and again, each time from `baseLR` (SGDR). Goes on without end; `totalSteps` is not read. */
  cosineWarmRestarts: (
    baseLR: number,
    step: number,
    _totalSteps?: number,
    opts: CosineWarmRestartsOptions = {},
  ): number => {
    const call = 'cosineWarmRestarts';
    const { restartPeriod, restartMultiplier } = withDefaults(call, { restartPeriod: 100, restartMultiplier: 1 }, opts);
    checkRate(call, 'baseLR', baseLR);
    checkNumber(call, 'restartPeriod', restartPeriod, { above: 0 });
    checkCount(call, 'restartMultiplier', restartMultiplier);
    let cycleStep = checkStep(call, step);
    let period = restartPeriod;
    if (restartMultiplier === 1) cycleStep %= period;
    while (cycleStep >= period) {
      cycleStep -= period;
      period *= restartMultiplier;
    }
    return baseLR * halfCosine(cycleStep / period);
  },

  /** `baseLR` times `gamma` to the number of whole `stepSize`s passed. Goes on without end; `totalSteps` is not read. */
  exponential: (baseLR: number, step: number, _totalSteps?: number, opts: ExponentialOptions = {}): number => {
    const call = 'exponential';
    const { gamma, stepSize } = withDefaults(call, { gamma: 0.95, stepSize: 100 }, opts);
    checkRate(call, 'baseLR', baseLR);
    checkNumber(call, 'gamma', gamma, { min: 0 });
    checkNumber(call, 'stepSize', stepSize, { above: 0 });
    const factors = Math.floor(checkStep(call, step) / stepSize);
    return baseLR === 0 ? 0 : Math.min(baseLR * gamma ** factors, Number.MAX_VALUE);
  },

  /** A straight line from 0 to `baseLR` over `warmupSteps`, then half a cosine to 0 at `totalSteps`. */
  warmupCosine: (baseLR: number, step: number, totalSteps: number, opts: WarmupCosineOptions = {}): number => {
    const call = 'warmupCosine';
    const { warmupSteps } = withDefaults(call, { warmupSteps: 100 }, opts);
    checkRate(call, 'baseLR', baseLR);
    checkNumber(call, 'warmupSteps', warmupSteps, { min: 0 });
    const current = Math.min(checkStep(call, step), checkTotal(call, totalSteps));
    if (current < warmupSteps) return baseLR * (current / warmupSteps);
    const decaySteps = totalSteps - warmupSteps;
    return decaySteps > 0 ? baseLR * halfCosine((current - warmupSteps) / decaySteps) : baseLR;
  },

  /** A straight line from `baseLR` up to `maxLR` half-way, then down to `baseLR / finalDiv` (Smith and Topin 2018). */
  oneCycle: (baseLR: number, step: number, totalSteps: number, opts: OneCycleOptions = {}): number => {
    const call = 'oneCycle';
    checkRate(call, 'baseLR', baseLR);
    const { maxLR, finalDiv, divFactor } = withDefaults(
      call,
      { maxLR: Math.min(baseLR * 10, Number.MAX_VALUE), finalDiv: 10_000 },
      opts,
    );
    checkRate(call, 'maxLR', maxLR);
    checkNumber(call, 'finalDiv', finalDiv, { min: 1 });
    if (divFactor !== undefined) checkNumber(call, 'divFactor', divFactor, { min: 1 });
    const startLR = divFactor === undefined ? baseLR : maxLR / divFactor;
    const cycles = 2 * progressOf(call, step, totalSteps);
    return cycles < 1 ? startLR + cycles * (maxLR - startLR) : maxLR - (cycles - 1) * (maxLR - baseLR / finalDiv);
  },
};

/** Share of the steps done, from 0 to 1; all of none is done. */
function progressOf(call: string, step: number, totalSteps: number): number {
  const total = checkTotal(call, totalSteps);
  const current = checkStep(call, step);
  return current >= total ? 1 : current / total;
}

/** From 1 at 0 to 0 at 1. */
function halfCosine(progress: number): number {
  return 0.5 * (1 + Math.cos(Math.PI * progress));
}

function checkRate(call: string, name: string, rate: number): number {
  return checkNumber(call, name, rate, { min: 0 });
}

function checkStep(call: string, step: number): number {
  return Math.max(0, checkNumber(call, 'step', step));
}

function checkTotal(call: string, totalSteps: number): number {
  return checkNumber(call, 'totalSteps', totalSteps, { min: 0 });
}
