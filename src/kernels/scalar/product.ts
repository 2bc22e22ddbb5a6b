import type { Float32Row, Rows } from '../../types.js';
import { float32Matrix } from '../matrix.js';

export function product(a: Rows, b: Rows, isTransposed: boolean): readonly Float32Row[] {
  const height = isTransposed ? a[0]!.length : a.length;
  const width = b[0]!.length;
  const result = float32Matrix(height, width);
  const sums = new Float64Array(width);
  for (let i = 0; i < height; i++) {
    sums.fill(0);
    for (let k = 0; k < b.length; k++) {
      const factor = isTransposed ? a[k]![i]! : a[i]![k]!;
      const row = b[k]!;
      for (let j = 0; j < width; j++) sums[j]! += factor * row[j]!;
    }
    result[i]!.set(sums);
  }
  return result;
}
