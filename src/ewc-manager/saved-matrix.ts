import { rowsOfJson } from '../internal/json-rows.js';
import { checkFiniteRows, inWords } from '../internal/validate.js';
import { float64Matrix } from '../kernels/matrix.js';
import type { Rows } from '../types.js';

/**
 * A matrix of an exported state, which may come from anywhere.
 *
 * @throws TypeError or RangeError where rows are missing or of unequal lengths, or an entry is not finite or below `min`.
 */
export function parseMatrix(call: string, label: string, saved: unknown, min = -Infinity): readonly Float64Array[] {
  const rows = rowsOfJson(saved);
  checkFiniteRows(call, label, rows);
  const width = rows[0]!.length;
  const matrix = float64Matrix(rows.length, width);
  rows.forEach((row, i) => {
    if (row.length !== width)
      throw new RangeError(`${call}: ${label}[${i}] has ${inWords(row.length, 'entry')}, ${label}[0] has ${width}`);
    const negative = row.findIndex(value => value < min);
    if (negative >= 0)
      throw new RangeError(`${call}: ${label}[${i}][${negative}] must not be negative, got ${row[negative]}`);
    matrix[i]!.set(row);
  });
  return matrix;
}

export function checkShape(call: string, label: string, rows: Rows, height: number, width: number): void {
  if (rows.length === height && rows[0]!.length === width) return;
  throw new RangeError(`${call}: ${label} is ${rows.length} × ${rows[0]!.length}, expected ${height} × ${width}`);
}
