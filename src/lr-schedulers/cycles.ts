import { withDefaults } from '../internal/options.js';
import { checkCount, checkNumber, checkOneOf } from '../internal/validate.js';
import { afterFactors } from './factors.js';
import { between, checkFloor, checkRate, checkStep, halfCosine, progressOf } from './schedule.js';

export interface CosineWarmRestartsOptions {
  /**
   * Number of steps in the first cycle, above 0.
   *
   * @default 100
   */
  restartPeriod?: number;
  /**
   * Factor from the length of one cycle to the next, an integer of at least 1. With 1, all cycles are equally long.
   *
   * @default 1
   */
  restartMultiplier?: number;
  /**
   * Factor from the peak of one cycle to the next, from 0 to 1. With 1, all peaks are equal. No peak is below `minLR`.
   *
   * @default 1
   */
  peakDecay?: number;
  /**
   * The rate that each cycle falls to, from 0 to `baseLR`.
   *
   * @default 0
   */
  minLR?: number;
}

export interface OneCycleOptions {
  /** The peak, at least 0, which is reached at `pctStart · totalSteps`. By default, 10 × `baseLR`. */
  maxLR?: number;
  /**
   * The share of the steps that the rise takes, from 0 to 1.
   *
   * @default 0.5
   */
  pctStart?: number;
  /** The cycle starts at `maxLR / divFactor`, with a factor of at least 1. By default, it starts at `baseLR`. */
  divFactor?: number;
  /**
   * The cycle ends at the rate that it starts at, divided by this number of at least 1.
   *
   * @default 10_000
   */
  finalDiv?: number;
  /**
   * Whether the rise and the fall are straight lines or half cosines.
   *
   * @default 'linear'
   */
  anneal?: Anneal;
}

export type Anneal = 'linear' | 'cosine';

/** Share of the way to the next rate, by the share of the steps to it. */
const ANNEALS: Record<Anneal, (progress: number) => number> = {
  linear: progress => progress,
  cosine: progress => 1 - halfCosine(progress),
};

export function cosineWarmRestarts(
  baseLR: number,
  step: number,
  _totalSteps?: number,
  opts: CosineWarmRestartsOptions = {},
): number {
  const call = 'LRSchedulers.cosineWarmRestarts';
  const defaults = { restartPeriod: 100, restartMultiplier: 1, peakDecay: 1, minLR: 0 };
  const { restartPeriod, restartMultiplier, peakDecay, minLR } = withDefaults(call, defaults, opts);
  checkRate(call, 'baseLR', baseLR);
  checkNumber(call, 'restartPeriod', restartPeriod, { above: 0 });
  checkCount(call, 'restartMultiplier', restartMultiplier);
  checkNumber(call, 'peakDecay', peakDecay, { min: 0, max: 1 });
  checkFloor(call, 'minLR', minLR, baseLR);
  const { cycle, progress } = cycleAt(checkStep(call, step), restartPeriod, restartMultiplier);
  const peak = Math.max(minLR, afterFactors(baseLR, peakDecay, cycle));
  return between(minLR, peak, halfCosine(progress));
}

export function oneCycle(baseLR: number, step: number, totalSteps: number, opts: OneCycleOptions = {}): number {
  const call = 'LRSchedulers.oneCycle';
  checkRate(call, 'baseLR', baseLR);
  const defaults = {
    maxLR: Math.min(baseLR * 10, Number.MAX_VALUE),
    pctStart: 0.5,
    finalDiv: 10_000,
    anneal: 'linear' as const,
  };
  const { maxLR, pctStart, divFactor, finalDiv, anneal } = withDefaults(call, defaults, opts);
  checkRate(call, 'maxLR', maxLR);
  checkNumber(call, 'pctStart', pctStart, { min: 0, max: 1 });
  if (divFactor !== undefined) checkNumber(call, 'divFactor', divFactor, { min: 1 });
  checkNumber(call, 'finalDiv', finalDiv, { min: 1 });
  checkOneOf(call, 'anneal', anneal, Object.keys(ANNEALS) as Anneal[]);
  const progress = progressOf(call, step, totalSteps);
  const startLR = divFactor === undefined ? baseLR : maxLR / divFactor;
  if (progress < pctStart) {
    return between(startLR, maxLR, ANNEALS[anneal](progress / pctStart));
  }
  const fallen = pctStart < 1 ? (progress - pctStart) / (1 - pctStart) : 0;
  return between(maxLR, startLR / finalDiv, ANNEALS[anneal](fallen));
}

/**
 * The number of a step's cycle, from 0, and the share of the cycle that is done. Cycles are counted one by one, because
 * logarithms miss the first step of some.
 */
function cycleAt(step: number, firstPeriod: number, multiplier: number): { cycle: number; progress: number } {
  if (multiplier === 1) {
    const left = step % firstPeriod;
    return { cycle: Math.round((step - left) / firstPeriod), progress: left / firstPeriod };
  }
  let cycle = 0;
  let left = step;
  let period = firstPeriod;
  while (left >= period) {
    left -= period;
    period *= multiplier;
    cycle++;
  }
  return { cycle, progress: left / period };
}
