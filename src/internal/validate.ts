import { kernels } from '../kernels/index.js';
import { bufferOf } from '../kernels/matrix.js';
import { specialize } from '../kernels/specialize.js';
import type { Rows, Vector } from '../types.js';
import { type OptionsOwner, optionNames } from './option-names.js';
import { unknownOption } from './unknown-option.js';

/**
 * Checks for the public boundary. Every message reads `<call>: <argument> <what is wrong>, got <value>`;
 * a wrong type is a `TypeError`, a wrong value a `RangeError`.
 */

interface NumberRule {
  /** Least value allowed. */
  min?: number;
  /** Greatest value allowed. */
  max?: number;
  /** The value must be greater than this. */
  above?: number;
  /** The value must be less than this. */
  below?: number;
  /** Whole numbers only. */
  integer?: boolean;
  /** Whether `Infinity` is allowed. */
  infinity?: boolean;
}

export function checkNumber(call: string, name: string, value: unknown, rule: NumberRule = {}): number {
  if (typeof value !== 'number') throw wrongType(call, name, expectation(rule), value);
  const { min = -Infinity, max = Infinity, above = -Infinity, below = Infinity, integer, infinity } = rule;
  const isAllowedInfinity = infinity === true && value === Infinity;
  const isInRange =
    value >= min && value <= max && (value > above || above === -Infinity) && (value < below || below === Infinity);
  const isRightKind = isAllowedInfinity || (Number.isFinite(value) && (!integer || Number.isInteger(value)));
  if (!isRightKind || !isInRange) throw wrongValue(call, name, expectation(rule), value);
  return value;
}

/** A count: an integer of at least `min`. */
export function checkCount(call: string, name: string, value: unknown, min = 1): number {
  return checkNumber(call, name, value, { integer: true, min });
}

/** The seed of a private generator: an unsigned 32-bit integer, or nothing. */
export function checkSeed(call: string, seed: unknown, name = 'seed'): number | undefined {
  if (seed === undefined || seed === null) return undefined;
  return checkNumber(call, name, seed, { integer: true, min: 0, max: 0xffffffff });
}

/**
 * The options of a call, or of an option of its: an object, maybe of a class, of known names; flags are true or false.
 *
 * @param owner Whose options they are. Default: the call's own.
 */
export function checkOptions(call: OptionsOwner, options: unknown): void;
export function checkOptions(call: string, options: unknown, label: string, owner: OptionsOwner): void;
export function checkOptions(call: string, options: unknown, label = 'options', owner = call as OptionsOwner): void {
  checkObject(call, label, options);
  const names = optionNames(owner);
  for (const name in options) {
    const isFlag = names.get(name);
    if (isFlag === undefined) {
      if (Object.hasOwn(options, name)) unknownOption(owner, call, label, name);
    } else if (isFlag && options[name] !== undefined) {
      checkBoolean(call, label === 'options' ? name : `${label}.${name}`, options[name]);
    }
  }
}

export function checkBoolean(call: string, name: string, value: unknown): void {
  if (typeof value !== 'boolean') throw wrongType(call, name, 'a boolean', value);
}

export function checkFunction(call: string, name: string, value: unknown): void {
  if (typeof value !== 'function') throw wrongType(call, name, 'a function', value);
}

export function checkObject(call: string, name: string, value: unknown): asserts value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw wrongType(call, name, 'an object', value);
}

export function checkArray(call: string, name: string, value: unknown): asserts value is readonly unknown[] {
  if (!Array.isArray(value)) throw wrongType(call, name, 'an array', value);
}

export function checkMap(call: string, name: string, value: unknown): void {
  const isMap =
    typeof value === 'object' && value !== null && 'get' in value && 'size' in value && Symbol.iterator in value;
  if (!isMap) throw wrongType(call, name, 'a Map by adapter name', value);
}

export function checkOneOf<T extends string>(call: string, name: string, value: unknown, allowed: readonly T[]): T {
  if ((allowed as readonly unknown[]).includes(value)) return value as T;
  const list = allowed.map(each => `'${each}'`).join(' | ');
  throw typeof value === 'string' ? wrongValue(call, name, list, value) : wrongType(call, name, list, value);
}

/** Whether a value is a row of numbers; its entries are looked at only when a result is not finite. */
export function isVector(value: unknown): value is Vector {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
}

export function checkVector(call: string, name: string, value: unknown): asserts value is Vector {
  if (!isVector(value)) throw wrongType(call, name, 'a Float32Array, Float64Array or number[]', value);
  if (value.length === 0) throw new RangeError(`${call}: ${name} is empty`);
  if (holdsNumbers(value) || !Number.isNaN(sumOfNumbers(value)(value))) return;
  const index = Array.from(value as ArrayLike<unknown>).findIndex(entry => typeof entry !== 'number');
  if (index >= 0) throw wrongType(call, `${name}[${index}]`, 'a number', value[index]);
}

/**
 * A matrix of at least one row of numbers, no row empty. Whether they are finite shows later: {@link throwNonFinite}.
 */
export function checkRows(call: string, name: string, rows: unknown): asserts rows is Rows {
  sumOfRows(call, name, rows);
}

/** As {@link checkRows}, except the entries, which the caller's own loop looks at. */
export function checkRowShapes(call: string, name: string, rows: unknown): asserts rows is Rows {
  checkArray(call, name, rows);
  if (bufferOf(rows as Rows)) return;
  if (rows.length === 0) throw new RangeError(`${call}: ${name} has no rows`);
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i];
    if (!isVector(row) || row.length === 0) checkVector(call, `${name}[${i}]`, row);
  }
}

/** As {@link checkRows}, and every entry finite. */
export function checkFiniteRows(call: string, name: string, rows: unknown): asserts rows is Rows {
  let sum = sumOfRows(call, name, rows);
  if (bufferOf(rows as Rows)) sum = kernels().sumOfSquares(rows as Rows);
  else for (const row of rows as Rows) if (!Array.isArray(row)) sum += sumOfNumbers(row)(row);
  if (Number.isFinite(sum)) return;
  (rows as Rows).forEach((row, i) => {
    checkFinite(call, `${name}[${i}]`, row);
  });
}

/** Checks the rows; the sum of those that are plain arrays, which must be read anyway. */
function sumOfRows(call: string, name: string, rows: unknown): number {
  checkArray(call, name, rows);
  if (bufferOf(rows as Rows)) return 0;
  if (rows.length === 0) throw new RangeError(`${call}: ${name} has no rows`);
  let sum = sumOfArrays(rows);
  if (!Number.isNaN(sum)) return sum;
  sum = 0;
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i];
    const ofRow = Array.isArray(row) && row.length > 0 ? sumOfNumbers(row)(row) : holdsNumbers(row) ? 0 : Number.NaN;
    if (Number.isNaN(ofRow)) checkVector(call, `${name}[${i}]`, row);
    sum += ofRow;
  }
  return sum;
}

/**
 * The sum of rows that are all plain arrays of numbers, else NaN: one loop for short rows, where calls would cost more.
 */
function sumOfArrays(rows: readonly unknown[]): number {
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i];
    if (!Array.isArray(row) || row.length === 0) return Number.NaN;
    const { length } = row;
    let j = 0;
    for (; j + 3 < length; j += 4) {
      const x0: unknown = row[j];
      const x1: unknown = row[j + 1];
      const x2: unknown = row[j + 2];
      const x3: unknown = row[j + 3];
      if (typeof x0 !== 'number' || typeof x1 !== 'number') return Number.NaN;
      if (typeof x2 !== 'number' || typeof x3 !== 'number') return Number.NaN;
      s0 += x0;
      s1 += x1;
      s2 += x2;
      s3 += x3;
    }
    for (; j < length; j++) {
      const x: unknown = row[j];
      if (typeof x !== 'number') return Number.NaN;
      s0 += x;
    }
  }
  return s0 + s1 + (s2 + s3);
}

/** Typed arrays hold numbers, except the two kinds that hold bigints. */
function holdsNumbers(row: unknown): boolean {
  return !Array.isArray(row) && isVector(row) && typeof row[0] === 'number';
}

/**
 * The sum of a row, NaN where an entry is no number: a null would count as 0, a string as the number it spells, so that
 * no result would show them. 0.3 ns an entry.
 */
const sumOfNumbers = specialize(() => (row: Vector): number => {
  let even = 0;
  let odd = 0;
  let j = 0;
  for (; j + 1 < row.length; j += 2) {
    const first = row[j]!;
    const second = row[j + 1]!;
    if (typeof first !== 'number' || typeof second !== 'number') return Number.NaN;
    even += first;
    odd += second;
  }
  if (j < row.length) even += typeof row[j] === 'number' ? row[j]! : Number.NaN;
  return even + odd;
});

/** A matrix of `height` rows of `width` entries. */
export function checkMatrix(
  call: string,
  name: string,
  rows: unknown,
  height: number,
  width: number,
): asserts rows is Rows {
  checkRows(call, name, rows);
  checkSameCount(call, name, rows.length, 'the adapter', height);
  checkWidth(call, name, rows, width);
}

/** Checks that every row has `width` entries. */
export function checkWidth(call: string, name: string, rows: Rows, width: number): void {
  const index = indexOfOtherWidth(rows, width);
  if (index >= 0)
    throw new RangeError(`${call}: ${name}[${index}] has ${inWords(rows[index]!.length, 'entry')}, expected ${width}`);
}

/** The first row of another width, or -1. All rows of a matrix made by the kernels are alike. */
export function indexOfOtherWidth(rows: Rows, width: number): number {
  if (bufferOf(rows)) return rows[0]!.length === width ? -1 : 0;
  for (let i = 0; i < rows.length; i++) if (rows[i]!.length !== width) return i;
  return -1;
}

export function checkIterable(call: string, name: string, value: unknown): void {
  const isObject = typeof value === 'object' && value !== null;
  if (isObject && Symbol.iterator in value) return;
  const error = wrongType(call, name, 'an array or another iterable', value);
  // A Promise or a stream of what would do.
  if (isObject && 'then' in value) error.message += '; await it first';
  else if (isObject && Symbol.asyncIterator in value) error.message += '; collect what it gives in an array first';
  throw error;
}

export function checkSameCount(call: string, name: string, count: number, otherName: string, otherCount: number): void {
  if (count !== otherCount)
    throw new RangeError(`${call}: ${name} has ${inWords(count, 'row')}, ${otherName} has ${otherCount}`);
}

/** A row of finite numbers of 0 or more. */
export function checkWeights(call: string, name: string, weights: unknown, count: number, otherName: string): void {
  checkVector(call, name, weights);
  checkSameCount(call, name, weights.length, otherName, count);
  checkFinite(call, name, weights);
  const negative = Array.from(weights).findIndex(weight => weight < 0);
  if (negative >= 0)
    throw new RangeError(`${call}: ${name}[${negative}] must not be negative, got ${weights[negative]}`);
}

/** Throws at the first entry that is not finite; the row holds numbers. */
export function checkFinite(call: string, name: string, row: Vector): void {
  if (isFiniteRow(row)) return;
  for (let j = 0; j < row.length; j++) {
    const value = row[j]!;
    if (!Number.isFinite(value)) throw wrongValue(call, `${name}[${j}]`, 'finite', value);
  }
}

/** Whether all numbers of a row are finite; false also where their sum overflows. 0.3 ns an entry. */
export function isFiniteRow(row: Vector): boolean {
  return Number.isFinite(sumLoop(row)(row));
}

const sumLoop = specialize(() => (row: Vector): number => {
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let j = 0;
  for (; j + 3 < row.length; j += 4) {
    s0 += row[j]!;
    s1 += row[j + 1]!;
    s2 += row[j + 2]!;
    s3 += row[j + 3]!;
  }
  for (; j < row.length; j++) s0 += row[j]!;
  return s0 + s1 + (s2 + s3);
});

/**
 * Names the entry behind a result that is not finite. Looking for it only now makes the check of finite input free:
 * every entry takes part in the result, so a bad one shows there.
 *
 * @param cause What is to blame where all entries are finite. Default: numbers that are too large.
 */
export function throwNonFinite(call: string, matrices: Record<string, Rows | null | undefined>, cause?: string): never {
  const given = Object.entries(matrices).flatMap(([name, rows]) => (rows ? [{ name, rows }] : []));
  for (const { name, rows } of given) {
    rows.forEach((row, i) => {
      checkFinite(call, `${name}[${i}]`, row);
    });
  }
  const names = given.map(({ name }) => name).join(', ');
  throw new RangeError(`${call}: the result overflows; ${cause ?? `${names} hold numbers that are too large`}`);
}

export function wrongType(call: string, name: string, expected: string, value: unknown): TypeError {
  return new TypeError(`${call}: ${name} must be ${expected}, got ${describe(value)}`);
}

export function wrongValue(call: string, name: string, expected: string, value: unknown): RangeError {
  return new RangeError(`${call}: ${name} must be ${expected}, got ${describe(value)}`);
}

/** A count and its noun for a message: "1 row", "2 entries". */
export function inWords(count: number, noun: 'row' | 'entry'): string {
  const plural = noun === 'entry' ? 'entries' : 'rows';
  return `${count} ${count === 1 ? noun : plural}`;
}

/** A value in a few words for a message. */
export function describe(value: unknown): string {
  if (typeof value === 'string') return value.length > 40 ? `"${value.slice(0, 40)}…"` : `"${value}"`;
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value !== 'object' || value === null) return String(value);
  if (Array.isArray(value)) return `an array of ${value.length}`;
  const name = (Object.getPrototypeOf(value) as object | null)?.constructor?.name;
  if (!name || name === 'Object') return 'an object';
  return `${/^[AEIOU]/.test(name) ? 'an' : 'a'} ${name}`;
}

function expectation({ min, max, above, below, integer, infinity }: NumberRule): string {
  const noun = integer ? 'an integer' : 'a finite number';
  const bounds: string[] = [];
  if (min !== undefined && max !== undefined) bounds.push(`from ${min} to ${max}`);
  else if (min !== undefined) bounds.push(`of at least ${min}`);
  else if (max !== undefined) bounds.push(`of at most ${max}`);
  if (above !== undefined) bounds.push(`above ${above}`);
  if (below !== undefined) bounds.push(`below ${below}`);
  return [noun, bounds.join(' and ')].filter(Boolean).join(' ') + (infinity ? ' or Infinity' : '');
}
