import { withDefaults } from '../internal/options.js';
import { checkArray, checkNumber } from '../internal/validate.js';
import { checkRate, checkStep, checkTotal } from './schedule.js';

export interface ExponentialOptions {
  /**
   * Factor on the rate every `stepSize` steps, at least 0.
   *
   * @default 0.95
   */
  gamma?: number;
  /**
   * Number of steps from one factor to the next, above 0.
   *
   * @default 100
   */
  stepSize?: number;
}

export interface StepOptions {
  /**
   * Factor on the rate every `stepSize` steps, at least 0.
   *
   * @default 0.1
   */
  gamma?: number;
  /**
   * Number of steps from one factor to the next, above 0.
   *
   * @default 100
   */
  stepSize?: number;
}

export interface MultiStepOptions {
  /**
   * Factor on the rate at each milestone, at least 0.
   *
   * @default 0.1
   */
  gamma?: number;
  /** Steps at which the factor applies, each at least 0. By default, a half and three quarters of `totalSteps`. */
  milestones?: readonly number[];
}

export function exponential(baseLR: number, step: number, _totalSteps?: number, opts: ExponentialOptions = {}): number {
  const call = 'LRSchedulers.exponential';
  return everyStepSize(call, baseLR, step, withDefaults(call, { gamma: 0.95, stepSize: 100 }, opts));
}

export function stepDecay(baseLR: number, step: number, _totalSteps?: number, opts: StepOptions = {}): number {
  const call = 'LRSchedulers.step';
  return everyStepSize(call, baseLR, step, withDefaults(call, { gamma: 0.1, stepSize: 100 }, opts));
}

export function multiStepDecay(baseLR: number, step: number, totalSteps: number, opts: MultiStepOptions = {}): number {
  const call = 'LRSchedulers.multiStep';
  const { gamma, milestones } = withDefaults(call, { gamma: 0.1 }, opts);
  checkRate(call, 'baseLR', baseLR);
  checkNumber(call, 'gamma', gamma, { min: 0 });
  const current = checkStep(call, step);
  const due = milestones ?? [checkTotal(call, totalSteps) / 2, 0.75 * totalSteps];
  checkArray(call, 'milestones', due);
  let reached = 0;
  for (let i = 0; i < due.length; i++) {
    if (checkNumber(call, `milestones[${i}]`, due[i], { min: 0 }) <= current) reached++;
  }
  return afterFactors(baseLR, gamma, reached);
}

function everyStepSize(call: string, baseLR: number, step: number, opts: Required<ExponentialOptions>): number {
  checkRate(call, 'baseLR', baseLR);
  checkNumber(call, 'gamma', opts.gamma, { min: 0 });
  checkNumber(call, 'stepSize', opts.stepSize, { above: 0 });
  return afterFactors(baseLR, opts.gamma, Math.floor(checkStep(call, step) / opts.stepSize));
}

/** `rate · factor^times`, at most the largest number. Without that limit, 1^Infinity and 0 · Infinity would give NaN. */
export function afterFactors(rate: number, factor: number, times: number): number {
  return rate === 0 ? 0 : Math.min(rate * factor ** Math.min(times, Number.MAX_VALUE), Number.MAX_VALUE);
}
