import { withDefaults } from '../internal/options.js';
import { checkNumber } from '../internal/validate.js';
import { between, checkFloor, checkRate, halfCosine, progressOf } from './schedule.js';

export interface CosineOptions {
  /** The rate at the end, from 0 to `baseLR`. Default 0. */
  minLR?: number;
}

export interface PolynomialOptions {
  /** Exponent of the share of steps that are left, above 0. Default 1: a straight line. */
  power?: number;
  /** The rate at the end, from 0 to `baseLR`. Default 0. */
  minLR?: number;
}

export function constant(baseLR: number, _step?: number, _totalSteps?: number, opts?: object): number {
  withDefaults('constant', {}, opts);
  return checkRate('constant', 'baseLR', baseLR);
}

export function linear(baseLR: number, step: number, totalSteps: number, opts?: object): number {
  withDefaults('linear', {}, opts);
  checkRate('linear', 'baseLR', baseLR);
  return baseLR * (1 - progressOf('linear', step, totalSteps));
}

export function cosine(baseLR: number, step: number, totalSteps: number, opts: CosineOptions = {}): number {
  const call = 'cosine';
  const { minLR } = withDefaults(call, { minLR: 0 }, opts);
  checkRate(call, 'baseLR', baseLR);
  checkFloor(call, 'minLR', minLR, baseLR);
  return between(minLR, baseLR, halfCosine(progressOf(call, step, totalSteps)));
}

export function polynomial(baseLR: number, step: number, totalSteps: number, opts: PolynomialOptions = {}): number {
  const call = 'polynomial';
  const { power, minLR } = withDefaults(call, { power: 1, minLR: 0 }, opts);
  checkRate(call, 'baseLR', baseLR);
  checkNumber(call, 'power', power, { above: 0 });
  checkFloor(call, 'minLR', minLR, baseLR);
  return between(minLR, baseLR, (1 - progressOf(call, step, totalSteps)) ** power);
}
