import { withDefaults } from '../internal/options.js';
import { checkNumber } from '../internal/validate.js';
import { between, checkFloor, checkRate, halfCosine, progressOf } from './schedule.js';

export interface CosineOptions {
  /**
   * The rate at the end, from 0 to `baseLR`.
   *
   * @default 0
   */
  minLR?: number;
}

export interface PolynomialOptions {
  /**
   * Exponent of the share of steps that are left, above 0. 1 gives a straight line.
   *
   * @default 1
   */
  power?: number;
  /**
   * The rate at the end, from 0 to `baseLR`.
   *
   * @default 0
   */
  minLR?: number;
}

export function constant(baseLR: number, _step?: number, _totalSteps?: number, opts?: object): number {
  withDefaults('LRSchedulers.constant', {}, opts);
  return checkRate('LRSchedulers.constant', 'baseLR', baseLR);
}

export function linear(baseLR: number, step: number, totalSteps: number, opts?: object): number {
  withDefaults('LRSchedulers.linear', {}, opts);
  checkRate('LRSchedulers.linear', 'baseLR', baseLR);
  return baseLR * (1 - progressOf('LRSchedulers.linear', step, totalSteps));
}

export function cosine(baseLR: number, step: number, totalSteps: number, opts: CosineOptions = {}): number {
  const call = 'LRSchedulers.cosine';
  const { minLR } = withDefaults(call, { minLR: 0 }, opts);
  checkRate(call, 'baseLR', baseLR);
  checkFloor(call, 'minLR', minLR, baseLR);
  return between(minLR, baseLR, halfCosine(progressOf(call, step, totalSteps)));
}

export function polynomial(baseLR: number, step: number, totalSteps: number, opts: PolynomialOptions = {}): number {
  const call = 'LRSchedulers.polynomial';
  const { power, minLR } = withDefaults(call, { power: 1, minLR: 0 }, opts);
  checkRate(call, 'baseLR', baseLR);
  checkNumber(call, 'power', power, { above: 0 });
  checkFloor(call, 'minLR', minLR, baseLR);
  return between(minLR, baseLR, (1 - progressOf(call, step, totalSteps)) ** power);
}
