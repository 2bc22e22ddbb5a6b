import { wrongType } from '../internal/validate/messages.js';
import { checkNumber, checkObject } from '../internal/validate/option-checks.js';

/** The call that the errors of a report name. */
export const CALL = 'trainingReport';

/** The greatest number that a chart can show. Its axis ends above. */
export const MOST = 1e300;

/** Checks a text. */
export function checkText(name: string, value: unknown): string {
  if (typeof value !== 'string') throw wrongType(CALL, name, 'a string', value);
  return value;
}

/** Checks an array or a typed array. Holes count as entries of `undefined`. */
export function checkList(name: string, value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return Array.from(value);
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) return Array.from(value as Float64Array);
  throw wrongType(CALL, name, 'an array', value);
}

/** Checks a list of finite numbers. */
export function checkNumbers(
  name: string,
  value: unknown,
  rule: { min?: number; max?: number } = {},
): readonly number[] {
  return checkList(name, value).map((entry, i) => checkNumber(CALL, `${name}[${i}]`, entry, rule));
}

/** A text, or a list of texts, as a list. */
export function checkTexts(name: string, value: unknown): readonly string[] {
  if (typeof value === 'string') return [value];
  if (!Array.isArray(value)) throw wrongType(CALL, name, 'a string or an array of strings', value);
  return Array.from(value, (entry, i) => checkText(`${name}[${i}]`, entry));
}

/** The entries of an object whose values are not `undefined`. */
export function checkEntries(name: string, value: unknown): readonly (readonly [key: string, value: unknown])[] {
  checkObject(CALL, name, value);
  return Object.entries(value).filter(([, entry]) => entry !== undefined);
}

/** Checks positions on a horizontal axis: each is at least 0 and greater than the one before. */
export function checkRising(
  name: string,
  field: string,
  positions: readonly unknown[],
  rule: { integer?: boolean; max: number },
): readonly number[] {
  return positions.map((position, i) => {
    const label = `${name}[${i}].${field}`;
    checkNumber(CALL, label, position, { ...rule, min: 0 });
    return i === 0 ? (position as number) : checkNumber(CALL, label, position, { above: positions[i - 1] as number });
  });
}
