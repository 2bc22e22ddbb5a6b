import { withDefaults } from '../internal/options.js';
import { checkCount, checkNumber, checkOneOf } from '../internal/validate.js';
import { afterFactors } from './factors.js';
import { between, checkFloor, checkRate, checkStep, halfCosine, progressOf } from './schedule.js';

export interface CosineWarmRestartsOptions {
  /** Steps of the first cycle, above 0. Default 100. */
  restartPeriod?: number;
  /** Factor from each cycle's length to the next, an integer of 1 or more. Default 1: all cycles are equally long. */
  restartMultiplier?: number;
  /**
   * Factor from each cycle's peak to the next, from 0 to 1; no peak is below `minLR`. Default 1: all peaks are equal.
   */
  peakDecay?: number;
  /** The rate that each cycle falls to, from 0 to `baseLR`. Default 0. */
  minLR?: number;
}

export interface OneCycleOptions {
  /** The peak, reached at `pctStart · totalSteps`. Default 10 × baseLR. */
  maxLR?: number;
  /** The share of the steps that the rise takes, from 0 to 1. Default 0.5. */
  pctStart?: number;
  /** 1 or more: when given, the cycle starts at maxLR / divFactor. Default: it starts at baseLR. */
  divFactor?: number;
  /** 1 or more: the cycle ends at the rate that it starts at, divided by this. Default 10,000. */
  finalDiv?: number;
  /** Whether rise and fall are straight lines or half cosines. Default `'linear'`. */
  anneal?: Anneal;
}

type Anneal = 'linear' | 'cosine';

/** Share of the way to the next rate at a share of the steps to it. */
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
  const call = 'cosineWarmRestarts';
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
  const call = 'oneCycle';
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
 * The cycle of a step, from 0, and the share of it that is done. Cycles are counted, as logarithms miss the first step
 * of some.
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
