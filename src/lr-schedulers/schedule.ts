import { checkNumber, wrongValue } from '../internal/validate.js';

/** A learning rate as a function of the step. */
export type Schedule<Options = object> = (baseLR: number, step: number, totalSteps: number, opts?: Options) => number;

export function checkRate(call: string, name: string, rate: unknown): number {
  return checkNumber(call, name, rate, { min: 0 });
}

/** A rate that the schedule falls to, so no higher than where it starts. */
export function checkFloor(call: string, name: string, floor: unknown, baseLR: number): void {
  if (checkRate(call, name, floor) > baseLR) throw wrongValue(call, name, `at most baseLR (${baseLR})`, floor);
}

/** The step, one before the first counting as the first. */
export function checkStep(call: string, step: unknown): number {
  return Math.max(0, checkNumber(call, 'step', step));
}

export function checkTotal(call: string, totalSteps: unknown): number {
  return checkNumber(call, 'totalSteps', totalSteps, { min: 0 });
}

/** Share of the steps done, from 0 to 1; all of none is done. */
export function progressOf(call: string, step: number, totalSteps: number): number {
  const total = checkTotal(call, totalSteps);
  const current = checkStep(call, step);
  return current >= total ? 1 : current / total;
}

/** From 1 at 0 to 0 at 1. */
export function halfCosine(progress: number): number {
  return 0.5 * (1 + Math.cos(Math.PI * progress));
}

/** From `low` at 0 to `high` at 1. */
export function between(low: number, high: number, share: number): number {
  return low + (high - low) * share;
}
