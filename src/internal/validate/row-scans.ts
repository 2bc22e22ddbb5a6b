import { kernels } from '../../kernels/index.js';
import { bufferOf } from '../../kernels/matrix.js';
import { specialize } from '../../kernels/specialize.js';
import type { Rows, Vector } from '../../types.js';
import { inWords, wrongType, wrongValue } from './messages.js';
import { checkArray } from './option-checks.js';

/** Whether a value is a row of numbers. The entries of a typed array or an array are not looked at. */
export function isVector(value: unknown): value is Vector {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
}

/** Checks a row of at least one number. {@link throwNonFinite} finds the numbers that are not finite. */
export function checkVector(call: string, name: string, value: unknown): asserts value is Vector {
  if (!isVector(value)) throw wrongType(call, name, 'a Float32Array, Float64Array or number[]', value);
  if (value.length === 0) throw new RangeError(`${call}: ${name} is empty`);
  if (holdsNumbers(value) || !Number.isNaN(sumOfNumbers(value)(value))) return;
  const index = Array.from(value as ArrayLike<unknown>).findIndex(entry => typeof entry !== 'number');
  if (index >= 0) throw wrongType(call, `${name}[${index}]`, 'a number', value[index]);
}

/**
 * Checks a matrix: at least one row, and at least one number in each row. {@link throwNonFinite} finds the numbers that
 * are not finite.
 */
export function checkRows(call: string, name: string, rows: unknown): asserts rows is Rows {
  sumOfRows(call, name, rows);
}

/** Checks a matrix as {@link checkRows} does, without its entries. Use it where the caller's loop reads them. */
export function checkRowShapes(call: string, name: string, rows: unknown): asserts rows is Rows {
  checkArray(call, name, rows);
  if (bufferOf(rows as Rows)) return;
  if (rows.length === 0) throw new RangeError(`${call}: ${name} has no rows`);
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i];
    if (!isVector(row) || row.length === 0) checkVector(call, `${name}[${i}]`, row);
  }
}

/** Checks a matrix as {@link checkRows} does, and that every entry is finite. */
export function checkFiniteRows(call: string, name: string, rows: unknown): asserts rows is Rows {
  let sum = sumOfRows(call, name, rows);
  if (bufferOf(rows as Rows)) sum = kernels().sumOfSquares(rows as Rows);
  else for (const row of rows as Rows) if (!Array.isArray(row)) sum += sumOfNumbers(row)(row);
  if (Number.isFinite(sum)) return;
  (rows as Rows).forEach((row, i) => {
    checkFinite(call, `${name}[${i}]`, row);
  });
}

/** Checks a matrix of `height` rows of `width` entries. */
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

/** The first row of another width, or -1. The rows of a matrix that the kernels made have one width. */
export function indexOfOtherWidth(rows: Rows, width: number): number {
  if (bufferOf(rows)) return rows[0]!.length === width ? -1 : 0;
  for (let i = 0; i < rows.length; i++) if (rows[i]!.length !== width) return i;
  return -1;
}

/** Checks that two matrices have equally many rows. */
export function checkSameCount(call: string, name: string, count: number, otherName: string, otherCount: number): void {
  if (count !== otherCount)
    throw new RangeError(`${call}: ${name} has ${inWords(count, 'row')}, ${otherName} has ${otherCount}`);
}

/** Checks a row of `count` finite numbers of at least 0. */
export function checkWeights(call: string, name: string, weights: unknown, count: number, otherName: string): void {
  checkVector(call, name, weights);
  checkSameCount(call, name, weights.length, otherName, count);
  checkFinite(call, name, weights);
  const negative = Array.from(weights).findIndex(weight => weight < 0);
  if (negative >= 0)
    throw new RangeError(`${call}: ${name}[${negative}] must not be negative, got ${weights[negative]}`);
}

/** Throws at the first entry of a row of numbers that is not finite. */
export function checkFinite(call: string, name: string, row: Vector): void {
  if (isFiniteRow(row)) return;
  for (let j = 0; j < row.length; j++) {
    const value = row[j]!;
    if (!Number.isFinite(value)) throw wrongValue(call, `${name}[${j}]`, 'finite', value);
  }
}

/** Whether all numbers of a row are finite. Also false where their sum overflows. Takes 0.3 ns per entry. */
export function isFiniteRow(row: Vector): boolean {
  return Number.isFinite(sumOfRow(row)(row));
}

const sumOfRow = specialize(() => (row: Vector): number => {
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
 * Names the entry behind a result that is not finite. Every entry takes part in the result, so a bad one shows there.
 * Because the search runs only after a bad result, good input is checked at no cost.
 *
 * @param cause What the message blames where all entries are finite. By default, numbers that are too large.
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

/** Checks the rows of a matrix. Returns the sum of the rows that are plain arrays, which must be read anyway. */
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
 * The sum of rows that are all plain arrays of numbers, and NaN for other rows. One loop covers all rows, because a call
 * per row costs more where rows are short.
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

/** Whether a value is a typed array of numbers. The two kinds of bigints are not. */
function holdsNumbers(row: unknown): boolean {
  return !Array.isArray(row) && isVector(row) && typeof row[0] === 'number';
}

/**
 * The sum of a row, and NaN where an entry is no number. In a plain sum a null would count as 0 and a string as the
 * number it spells, so that no result would show them. Takes 0.3 ns per entry.
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
