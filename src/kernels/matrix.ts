import type { Float32Row, MutableVector, Rows, Vector } from '../types.js';

/**
 * Key of the buffer behind the rows of a matrix of this module. Its array of rows is frozen, so the buffer stays right.
 */
const BUFFER = Symbol('buffer');
/** Buffers of matrices whose rows may be replaced, with the rows that are views of the buffer. */
const editable = new WeakMap<object, { flat: Flat; views: FloatMatrix }>();

/** The entries of a matrix in row order. */
export type Flat = Float32Array | Float64Array;

/** Rows that are views of one buffer. */
export type FloatMatrix = readonly (Float32Array | Float64Array)[];

/** `height` rows of float32 zeros, views of one buffer that kernels read as a whole. */
export function float32Matrix(height: number, width: number): readonly Float32Row[] {
  return asMatrix(new Float32Array(height * width), height, width);
}

/** `height` rows of float64 zeros, views of one buffer that kernels read as a whole. */
export function float64Matrix(height: number, width: number): readonly Float64Array[] {
  const flat = new Float64Array(height * width);
  const rows = new Array<Float64Array>(height);
  for (let i = 0; i < height; i++) rows[i] = new Float64Array(flat.buffer, 8 * i * width, width);
  keepBuffer(rows, flat);
  return Object.freeze(withJson(rows));
}

/**
 * A matrix that works like the original's plain nested arrays: its rows may be replaced, and `flat` returns numbers.
 * Kernels read it as a whole until a row is replaced.
 */
export function editableRows(rows: readonly MutableVector[]): MutableVector[] {
  const flat = bufferOf(rows);
  const copy = withJson([...rows]);
  Object.defineProperty(copy, 'flat', { value: flatRows, configurable: true, writable: true });
  if (flat) editable.set(copy, { flat, views: [...rows] as (Float32Array | Float64Array)[] });
  return copy;
}

function flatRows(this: Rows, depth?: number): unknown[] {
  return toNestedArrays(this).flat(depth);
}

/**
 * Makes `JSON.stringify` write rows as nested arrays, in place. Otherwise it would write typed arrays as objects. The
 * method is not enumerable, so the array copies and compares like any other.
 */
export function withJson<T extends Rows>(rows: T): T {
  return Object.defineProperty(rows, 'toJSON', JSON_METHOD);
}

const JSON_METHOD: PropertyDescriptor = {
  value: function toJSON(this: Rows): number[][] {
    return toNestedArrays(this);
  },
  configurable: true,
  writable: true,
};

/** The rows of a buffer as a matrix that kernels read as a whole. */
export function asMatrix(flat: Float32Row, height: number, width: number): readonly Float32Row[] {
  const rows = viewRows(flat, height, width);
  keepBuffer(rows, flat);
  return Object.freeze(rows);
}

/** Rows, and perhaps the buffer behind them. */
type Buffered = Rows & { [BUFFER]?: Flat };

/**
 * Not enumerable, so the array copies and compares like any other. Reading a property takes a third of a WeakMap's
 * time.
 */
function keepBuffer(rows: Rows, flat: Flat): void {
  Object.defineProperty(rows, BUFFER, { value: flat });
}

/** The buffer behind a matrix of this module. */
export function bufferOf(rows: Rows): Flat | undefined {
  return (rows as Buffered)[BUFFER] ?? editedBufferOf(rows);
}

function editedBufferOf(rows: Rows): Flat | undefined {
  const known = editable.get(rows);
  if (!known || rows.length !== known.views.length) return undefined;
  for (let i = 0; i < rows.length; i++) if (rows[i] !== known.views[i]) return undefined;
  return known.flat;
}

/**
 * All entries in row order. For a matrix of this module, or one with a single row, this is the buffer itself, and
 * writing to it changes the matrix. Otherwise it is a copy.
 */
export function flatten(rows: Rows): Flat {
  const known = bufferOf(rows);
  if (known) return known;
  const first = rows[0]!;
  if (rows.length === 1 && (first instanceof Float32Array || first instanceof Float64Array)) return first;
  const width = first.length;
  const flat = new Float64Array(rows.length * width);
  for (let i = 0, k = 0; i < rows.length; i++) {
    const row = rows[i]!;
    for (let j = 0; j < width; j++) flat[k++] = row[j]!;
  }
  return flat;
}

/** A copy of all entries in row order: float32 where one float32 buffer holds them, else float64. */
export function flatCopy(rows: Rows): Flat {
  const flat = flatten(rows);
  return bufferOf(rows) || rows.length === 1 ? flat.slice() : flat;
}

/** Writes entries in row order back into the rows. */
export function storeFlat(rows: readonly MutableVector[], entries: Flat): void {
  const buffer = bufferOf(rows);
  if (buffer) {
    buffer.set(entries);
    return;
  }
  for (let i = 0, k = 0; i < rows.length; i++) {
    const row = rows[i]!;
    for (let j = 0; j < row.length; j++) row[j] = entries[k++]!;
  }
}

/** The rows to loop over: one long row for a matrix of this module, else the rows themselves. */
export function longRows(rows: readonly MutableVector[]): readonly MutableVector[];
export function longRows(rows: Rows): Rows;
export function longRows(rows: Rows): Rows {
  const known = bufferOf(rows);
  return known ? [known] : rows;
}

/** The rows of a flat matrix, as views. `subarray` would take 1.7 times as long. */
export function viewRows(flat: Float32Row, height: number, width: number): Float32Row[] {
  const { buffer, byteOffset } = flat;
  const rows = new Array<Float32Row>(height);
  for (let i = 0; i < height; i++) rows[i] = new Float32Array(buffer, byteOffset + 4 * i * width, width);
  return withJson(rows);
}

/** The rows in float32. */
export function toFloat32Rows(rows: Rows): Float32Row[] {
  return withJson(rows.map(row => Float32Array.from(row)));
}

/** An exact copy: float32 rows stay float32, and all others become float64. */
export function copyRows(rows: Rows): FloatMatrix {
  const copy = zerosLike(rows);
  for (let i = 0; i < rows.length; i++) copyRow(rows[i]!, copy[i]!);
  return copy;
}

/** Copies with a loop, because it takes a third of the time of `set` for the short rows of adapters. */
function copyRow(from: Vector, to: Float32Array | Float64Array): void {
  for (let j = 0; j < to.length; j++) to[j] = from[j]!;
}

/** Zeros with the shape and precision of `rows`. */
export function zerosLike(rows: Rows): FloatMatrix {
  const make = rows.every(isFloat32) ? float32Matrix : float64Matrix;
  return make(rows.length, rows[0]?.length ?? 0);
}

/** Plain nested arrays, for JSON. */
export function toNestedArrays(rows: Rows): number[][] {
  return rows.map(row => Array.from(row));
}

export function isFloat32(row: Vector): row is Float32Array {
  return row instanceof Float32Array;
}

/** The length of all rows of all matrices, or 0 where lengths differ. */
export function commonWidth(...matrices: Rows[]): number {
  const width = matrices[0]![0]?.length ?? 0;
  for (const rows of matrices) {
    for (let i = 0; i < rows.length; i++) if (rows[i]!.length !== width) return 0;
  }
  return width;
}
