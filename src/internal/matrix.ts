import type { Float32Row, Rows, Vector } from '../types.js';

/** `height` rows of zeros, views of one buffer in row order. */
export function float32Rows(height: number, width: number): Float32Row[] {
  return viewRows(new Float32Array(height * width), height, width);
}

/** The rows of a flat matrix, as views. */
export function viewRows(flat: Float32Row, height: number, width: number): Float32Row[] {
  const rows = new Array<Float32Row>(height);
  for (let i = 0; i < height; i++) rows[i] = flat.subarray(i * width, (i + 1) * width);
  return rows;
}

/** `height` rows of float64 zeros, views of one buffer in row order. */
export function float64Rows(height: number, width: number): Float64Array[] {
  const flat = new Float64Array(height * width);
  const rows = new Array<Float64Array>(height);
  for (let i = 0; i < height; i++) rows[i] = flat.subarray(i * width, (i + 1) * width);
  return rows;
}

/** The rows in float32. */
export function toFloat32Rows(rows: Rows): Float32Row[] {
  return rows.map(row => Float32Array.from(row));
}

/** A copy that loses nothing: float32 rows stay float32, all others become float64. Views of one buffer. */
export function copyRows(rows: Rows): (Float32Array | Float64Array)[] {
  const make = rows.every(isFloat32) ? float32Rows : float64Rows;
  const copy = make(rows.length, rows[0]?.length ?? 0);
  for (let i = 0; i < rows.length; i++) copyRow(rows[i]!, copy[i]!);
  return copy;
}

/** For the short rows of adapters a loop takes a third of the time of `set`. */
function copyRow(from: Vector, to: Float32Array | Float64Array): void {
  for (let j = 0; j < to.length; j++) to[j] = from[j]!;
}

/** Zero rows with the shape and precision of `rows`, for state that belongs to them. */
export function zerosLike(rows: Rows): (Float32Array | Float64Array)[] {
  const make = rows.every(isFloat32) ? float32Rows : float64Rows;
  return make(rows.length, rows[0]?.length ?? 0);
}

/** Plain nested arrays, as JSON wants them. */
export function toNestedArrays(rows: Rows): number[][] {
  return rows.map(row => Array.from(row));
}

function isFloat32(row: Vector): boolean {
  return row instanceof Float32Array;
}
