import { kernels } from '../kernels/index.js';
import { bufferOf, type FloatMatrix, zerosLike } from '../kernels/matrix.js';
import type { Adapter, AdapterGradients, Rows } from '../types.js';
import { rowsOfJson } from './json-rows.js';
import {
  checkFinite,
  checkMap,
  checkMatrix,
  checkNumber,
  checkObject,
  checkRows,
  describe,
  indexOfOtherWidth,
  inWords,
  throwNonFinite,
  wrongType,
  wrongValue,
} from './validate.js';

/** Checks the shapes of all adapters of a Map. With `checkFiniteRows`, it also checks that every entry is finite. */
export function checkAdapters(
  call: string,
  adapters: ReadonlyMap<string, Adapter>,
  check: typeof checkRows = checkRows,
): void {
  checkMap(call, 'adapters', adapters);
  for (const [name, adapter] of adapters) {
    if (typeof name !== 'string') throw wrongType(call, 'the name of an adapter', 'a string', name);
    checkAdapter(call, describeAdapter(name), adapter, check);
  }
}

/** Checks that `loraA` is dim × rank and `loraB` is rank × outDim. A missing `scaling` is refused where it is used. */
export function checkAdapter(
  call: string,
  label: string,
  adapter: unknown,
  check: typeof checkRows = checkRows,
): asserts adapter is Adapter {
  checkObject(call, label, adapter);
  const { loraA, loraB, scaling } = adapter;
  check(call, `${label}.loraA`, loraA);
  check(call, `${label}.loraB`, loraB);
  if (scaling !== undefined) checkNumber(call, `${label}.scaling`, scaling);
  const rank = loraB.length;
  const outDim = loraB[0]!.length;
  for (const [matrix, rows, width] of [
    ['loraA', loraA, rank],
    ['loraB', loraB, outDim],
  ] as const) {
    const index = indexOfOtherWidth(rows, width);
    if (index < 0) continue;
    const reason =
      matrix === 'loraA' ? `loraB has ${inWords(rank, 'row')}` : `loraB[0] has ${inWords(outDim, 'entry')}`;
    throw new RangeError(
      `${call}: ${label}.${matrix}[${index}] has ${inWords(rows[index]!.length, 'entry')}, ${reason}`,
    );
  }
}

/** The rank of two matrices. Undefined if they do not agree on it. */
function rankOf(loraA: unknown, loraB: unknown): number | undefined {
  const [a, b] = [rowsOfJson(loraA), rowsOfJson(loraB)];
  if (!Array.isArray(a) || !Array.isArray(b)) return undefined;
  const [row]: { length?: unknown }[] = a;
  return row?.length === b.length ? b.length : undefined;
}

/** Checks the rank before the shapes: with another rank, every matrix has another shape. */
export function checkSameRank(call: string, name: string, loraA: unknown, loraB: unknown, rank: number): void {
  const theirs = rankOf(loraA, loraB);
  if (theirs !== undefined && theirs !== rank)
    throw new RangeError(`${call}: ${name} is of rank ${theirs}, the adapter of rank ${rank}`);
}

/** Checks that a matrix of a state or of gradients has the shape of the adapter's matrix. */
export function checkSameShape(call: string, name: string, rows: unknown, like: Rows): asserts rows is Rows {
  checkMatrix(call, name, rows, like.length, like[0]!.length);
}

/**
 * A copy of rows that may come from JSON, with the shape and precision of `like`. Every entry is finite in that precision,
 * and not below `min`.
 */
export function checkedCopy(call: string, name: string, saved: unknown, like: Rows, min = -Infinity): FloatMatrix {
  const rows = rowsOfJson(saved);
  checkSameShape(call, name, rows, like);
  const copy = zerosLike(like);
  rows.forEach((row, i) => {
    copy[i]!.set(row);
    // The copy is checked, because numbers beyond float32 become infinite in it.
    checkFinite(call, `${name}[${i}]`, copy[i]!);
    const negative = copy[i]!.findIndex(value => value < min);
    if (negative >= 0) throw wrongValue(call, `${name}[${i}][${negative}]`, `at least ${min}`, row[negative]);
  });
  return copy;
}

/**
 * Checks that every row can be written to. It must not hold integers, which would round, and must not be frozen. The check
 * takes 10 ns per row.
 */
export function checkTrainable(call: string, name: string, rows: Rows): void {
  if (bufferOf(rows)) return;
  for (let i = 0; i < rows.length; i++) {
    const row: object = rows[i]!;
    if (!Array.isArray(row)) {
      // Arrays of floats that are not empty cannot be frozen.
      if (row instanceof Float32Array || row instanceof Float64Array) continue;
      if (/^Float(?:32|64)Array$/.test((row as Float32Array)[Symbol.toStringTag])) continue;
      throw wrongType(call, `${name}[${i}]`, 'a Float32Array, Float64Array or number[]', row);
    }
    if (Object.isFrozen(row)) throw new TypeError(`${call}: ${name}[${i}] is frozen, and would have to be written to`);
  }
}

/** dim, rank and outDim of an adapter. */
export function shapeOf({ loraA, loraB }: Pick<Adapter, 'loraA' | 'loraB'>): readonly [number, number, number] {
  return [loraA.length, loraB.length, loraB[0]!.length];
}

/** Checks that gradients have the names and shapes of the adapters. */
export function checkGradients(
  call: string,
  gradients: ReadonlyMap<string, AdapterGradients>,
  adapters: ReadonlyMap<string, Adapter>,
  label = 'grads',
): void {
  checkMap(call, label, gradients);
  for (const [name, gradient] of gradients) {
    const adapter = adapters.get(name);
    if (adapter === undefined) throw new RangeError(`${call}: ${label} has ${describe(name)}, which is no adapter`);
    const entry = `${label}.get(${describe(name)})`;
    checkObject(call, entry, gradient);
    checkSameShape(call, `${entry}.gradA`, gradient.gradA, adapter.loraA);
    checkSameShape(call, `${entry}.gradB`, gradient.gradB, adapter.loraB);
  }
}

/** Checks the entries of gradients. Returns the sum of their squares. */
export function checkFiniteGradients(call: string, gradients: ReadonlyMap<string, AdapterGradients>): number {
  let squares = 0;
  for (const [name, { gradA, gradB }] of gradients) {
    const ofAdapter = kernels().sumOfSquares(gradA) + kernels().sumOfSquares(gradB);
    const label = `grads.get(${describe(name)})`;
    if (!Number.isFinite(ofAdapter)) throwNonFinite(call, { [`${label}.gradA`]: gradA, [`${label}.gradB`]: gradB });
    squares += ofAdapter;
  }
  return squares;
}

/** Names the entry of an adapter that makes a result not finite, or the other values that take part. */
export function throwNonFiniteAdapter(
  call: string,
  name: string,
  { loraA, loraB }: Adapter,
  ...others: string[]
): never {
  // Types come first: kernels return NaN for an entry that is no number.
  checkAdapter(call, describeAdapter(name), { loraA, loraB });
  throwNonFinite(call, {
    [`${describeAdapter(name)}.loraA`]: loraA,
    [`${describeAdapter(name)}.loraB`]: loraB,
    ...Object.fromEntries(others.map(other => [other, []])),
  });
}

export function describeAdapter(name: string): string {
  return `adapters.get(${describe(name)})`;
}
