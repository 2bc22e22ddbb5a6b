import { checkNumber, wrongValue } from '../internal/validate.js';

/** A learning rate as a function of the step. */
export type Schedule<Options = object> = (baseLR: number, step: number, totalSteps: number, opts?: Options) => number;

/** Checks a learning rate: a finite number of at least 0. */
export function checkRate(call: string, name: string, rate: unknown): number {
  return checkNumber(call, name, rate, { min: 0 });
}

/** Checks a rate that a schedule falls to. It must not exceed the base rate. */
export function checkFloor(call: string, name: string, floor: unknown, baseLR: number): void {
  if (checkRate(call, name, floor) > baseLR) throw wrongValue(call, name, `at most baseLR (${baseLR})`, floor);
}

/** Checks a step. A step below 0 counts as 0. */
export function checkStep(call: string, step: unknown): number {
  return Math.max(0, checkNumber(call, 'step', step));
}

/** Checks the number of steps: a finite number of at least 0. */
export function checkTotal(call: string, totalSteps: unknown): number {
  return checkNumber(call, 'totalSteps', totalSteps, { min: 0 });
}

/** Share of the steps that is done, from 0 to 1. It is 1 if there are no steps. */
export function progressOf(call: string, step: number, totalSteps: number): number {
  const total = checkTotal(call, totalSteps);
  const current = checkStep(call, step);
  return current >= total ? 1 : current / total;
}

/** Half a cosine, from 1 at progress 0 to 0 at progress 1. */
export function halfCosine(progress: number): number {
  return 0.5 * (1 + Math.cos(Math.PI * progress));
}

/** Linear interpolation, from `low` at share 0 to `high` at share 1. */
export function between(low: number, high: number, share: number): number {
  return low + (high - low) * share;
}
