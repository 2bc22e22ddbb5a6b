import type { Rows } from '../../types.js';
import { float64Matrix } from '../matrix.js';

export function product(a: Rows, b: Rows, isTransposed: boolean): readonly Float64Array[] {
  const height = isTransposed ? a[0]!.length : a.length;
  const width = b[0]!.length;
  const result = float64Matrix(height, width);
  for (let i = 0; i < height; i++) {
    const sums = result[i]!;
    for (let k = 0; k < b.length; k++) {
      const factor = isTransposed ? a[k]![i]! : a[i]![k]!;
      const row = b[k]!;
      for (let j = 0; j < width; j++) sums[j]! += factor * row[j]!;
    }
  }
  return result;
}
