import { checkArray, checkFunction, checkNumber, checkObject, checkOptions } from '../internal/validate.js';
import { checkRate, checkStep, type Schedule } from './schedule.js';

/** One schedule of a sequence. */
export interface SequencePart<Part extends Schedule = Schedule> {
  /** A schedule: one of `LRSchedulers`, another sequence, or your function. */
  schedule: Part;
  /** Number of steps that it runs, at least 0. */
  steps: number;
  /** Options of the schedule. */
  opts?: Parameters<Part>[3];
}

/**
 * Joins schedules into one, which runs them one after the other. Each schedule is called with the same `baseLR`, with a
 * step counted from its start, and with its length as `totalSteps`. After the last schedule, its final rate stays. The
 * `totalSteps` that the sequence is called with is not read.
 *
 * @param parts The schedules, at least one.
 * @throws TypeError or RangeError that names the part and the value. The schedule that is returned throws for a rate of a
 *   part that is not a finite number of at least 0.
 *
 * @example
 * ```js
 * import { LRSchedulers, sequence } from 'microlora-training-utils';
 *
 * const schedule = sequence([
 *   { schedule: LRSchedulers.warmupLinear, steps: 10, opts: { warmupSteps: 10 } },
 *   { schedule: LRSchedulers.polynomial, steps: 90, opts: { power: 2 } },
 * ]);
 * console.log(schedule(0.01, 5), schedule(0.01, 10), schedule(0.01, 55), schedule(0.01, 100)); // 0.005 0.01 0.0025 0
 * ```
 */
export function sequence<const Parts extends readonly Schedule[]>(
  parts: { readonly [I in keyof Parts]: SequencePart<Parts[I]> },
): (baseLR: number, step: number, totalSteps?: number) => number {
  const call = 'sequence';
  checkArray(call, 'parts', parts);
  if (parts.length === 0) throw new RangeError(`${call}: parts is empty`);
  const runs = parts.map((part, i) => checkPart(call, `parts[${i}]`, part));
  return (baseLR, step) => {
    checkRate(call, 'baseLR', baseLR);
    let local = checkStep(call, step);
    let index = 0;
    while (index < runs.length - 1 && local >= runs[index]!.steps) local -= runs[index++]!.steps;
    const { schedule, steps, opts } = runs[index]!;
    return checkRate(call, `rate of parts[${index}]`, schedule(baseLR, Math.min(local, steps), steps, opts));
  };
}

function checkPart(call: string, name: string, part: unknown): Readonly<SequencePart> {
  checkObject(call, name, part);
  checkOptions(call, part, name, 'sequence');
  const { schedule, steps, opts } = part as unknown as SequencePart;
  checkFunction(call, `${name}.schedule`, schedule);
  checkNumber(call, `${name}.steps`, steps, { min: 0 });
  return { schedule, steps, ...(opts !== undefined && { opts }) };
}
