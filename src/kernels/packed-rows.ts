import type { Float32Row, Rows, Vector } from '../types.js';
import { specialize } from './specialize.js';
import { dot } from './vector.js';

/** Candidates per panel: as many columns as `gemm` reads at a time. */
export const PANEL = 16;

/** Candidates scaled to length 1, packed for products with blocks of queries. A zero row stays zero. */
export interface PackedRows {
  readonly count: number;
  readonly width: number;
  /** Entry k of row j is at `(⌊j / 16⌋ · width + k) · 16 + j % 16`; rows up to the next multiple of 16 are zero. */
  readonly panels: Float32Row;
}

/** Queries scaled to length 1, one after the other. A zero row stays zero. */
export interface UnitRows {
  readonly count: number;
  readonly width: number;
  readonly data: Float32Row;
}

/** Outside of this range, a sum of squares or a product of two may leave float64. */
const SMALLEST_SQUARES = 1e-150;
const LARGEST_SQUARES = 1e150;

export function packRows(rows: Rows): PackedRows {
  const { length: count } = rows;
  const width = rows[0]!.length;
  const panels = new Float32Array(Math.ceil(count / PANEL) * PANEL * width);
  for (let j = 0; j < count; j++) writeUnit(rows[j]!, panels, placeOf(j, width), PANEL);
  return { count, width, panels };
}

/** Rows `first` … `end - 1`. */
export function unitRows(rows: Rows, first: number, end: number): UnitRows {
  const count = end - first;
  const width = rows[0]!.length;
  const data = new Float32Array(count * width);
  for (let i = 0; i < count; i++) writeUnit(rows[first + i]!, data, i * width, 1);
  return { count, width, data };
}

/** A copy of the rows with these indices. */
export function pickRows({ width, data }: UnitRows, picked: readonly number[]): UnitRows {
  const copy = new Float32Array(picked.length * width);
  picked.forEach((row, i) => {
    copy.set(data.subarray(row * width, (row + 1) * width), i * width);
  });
  return { count: picked.length, width, data: copy };
}

/**
 * Cosine of query i and candidate j. It is summed in float64 and rounded to float32, so it is the same on every
 * backend.
 */
export function cosineOf(queries: UnitRows, i: number, candidates: PackedRows, j: number): number {
  return Math.fround(Math.max(-1, Math.min(1, dotOf(queries, i, candidates, j))));
}

/** Dot product of query i and candidate j in float64. */
export function dotOf({ width, data }: UnitRows, i: number, { panels }: PackedRows, j: number): number {
  let s0 = 0;
  let s1 = 0;
  let at = i * width;
  let place = placeOf(j, width);
  const end = at + width;
  for (; at + 1 < end; at += 2, place += 2 * PANEL) {
    s0 += data[at]! * panels[place]!;
    s1 += data[at + 1]! * panels[place + PANEL]!;
  }
  if (at < end) s0 += data[at]! * panels[place]!;
  return s0 + s1;
}

/** Largest relative difference of an entry between two parallel float32 rows, after scaling to length 1. */
const ROUNDING = 2 ** -22;

/** Whether two candidates have the same direction: their rows scaled to length 1 are equal up to rounding. */
export function areParallel({ width, panels }: PackedRows, i: number, j: number): boolean {
  let a = placeOf(i, width);
  let b = placeOf(j, width);
  for (let k = 0; k < width; k++, a += PANEL, b += PANEL) {
    if (Math.abs(panels[a]! - panels[b]!) > ROUNDING * Math.abs(panels[a]!)) return false;
  }
  return true;
}

/** Whether row i is zero. */
export function isZeroRow({ width, data }: UnitRows, i: number): boolean {
  for (let at = i * width; at < (i + 1) * width; at++) if (data[at] !== 0) return false;
  return true;
}

/** The row and its sum of squares, 0 for a zero row. A row whose squares would overflow or vanish is scaled first. */
export function withSquares(row: Vector): { row: Vector; squares: number } {
  const squares = dot(row, row, row.length);
  if (squares > SMALLEST_SQUARES && squares < LARGEST_SQUARES) return { row, squares };
  let largest = 0;
  for (let k = 0; k < row.length; k++) largest = Math.max(largest, Math.abs(row[k]!));
  if (largest === 0) return { row, squares: 0 };
  const scaled = Float64Array.from(row, value => value / largest);
  return { row: scaled, squares: dot(scaled, scaled, scaled.length) };
}

const writeLoop = specialize(
  () =>
    (row: Vector, scale: number, target: Float32Row, place: number, step: number): void => {
      for (let k = 0; k < row.length; k++, place += step) target[place] = row[k]! * scale;
    },
);

function writeUnit(original: Vector, target: Float32Row, place: number, step: number): void {
  const { row, squares } = withSquares(original);
  if (squares > 0) writeLoop(row)(row, 1 / Math.sqrt(squares), target, place, step);
}

function placeOf(j: number, width: number): number {
  const lane = j % PANEL;
  return (j - lane) * width + lane;
}
