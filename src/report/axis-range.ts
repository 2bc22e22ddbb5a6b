/** The ends of an axis and the distance of its ticks. */
export interface AxisRange {
  min: number;
  max: number;
  interval: number;
}

/** The least length of an axis, as a share of its greatest number, so that four digits tell its ticks apart. */
const LEAST_LENGTH = 4e-3;
/** Numbers below this count as 0. */
const TINY = 1e-290;

/**
 * An axis with round ends and round ticks around numbers. At least one number.
 *
 * @param from A number that the axis must reach too.
 */
export function rangeOf(values: readonly number[], from?: number): AxisRange {
  let [low, high] = extentOf(from === undefined ? values : [from, ...values]);
  const least = LEAST_LENGTH * Math.max(Math.abs(low), Math.abs(high));
  if (least < TINY) return { min: 0, max: 1, interval: 0.5 };
  if (high - low < least) {
    low -= least / 2;
    high += least / 2;
  }
  const interval = roundInterval((high - low) / 5);
  return { min: interval * Math.floor(low / interval), max: interval * Math.ceil(high / interval), interval };
}

/** The least and the greatest of at least one number. */
export function extentOf(values: readonly number[]): [least: number, greatest: number] {
  return values.reduce<[number, number]>(
    ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
    [Infinity, -Infinity],
  );
}

/**
 * The smallest of 1, 2, 5, 10, 20, … and of their tenths, hundredths, … that is not smaller than a number, except by a
 * rounding error. It is 0 for a number that is not above 0.
 */
export function roundInterval(least: number): number {
  if (!(least > 0)) return 0;
  const exponent = exponentOf(least);
  const rounds = [`1e${exponent}`, `2e${exponent}`, `5e${exponent}`].map(Number);
  return rounds.find(each => each >= least * (1 - 1e-9)) ?? Number(`1e${exponent + 1}`);
}

/** A power of ten. In units of it, the numbers of an axis are neither huge nor tiny. */
export function unitOf({ min, max }: AxisRange): number {
  const greatest = Math.max(Math.abs(min), Math.abs(max));
  return greatest > 1e-6 && greatest < 1e9 ? 1 : Number(`1e${exponentOf(greatest)}`);
}

/** The decimal exponent of a number, from its digits: runtimes round powers and logarithms in ways of their own. */
function exponentOf(value: number): number {
  return Number(value.toExponential().split('e')[1]);
}
