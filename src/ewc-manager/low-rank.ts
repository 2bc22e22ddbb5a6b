import { kernels } from '../kernels/index.js';
import { flatten, float64Matrix } from '../kernels/matrix.js';
import { dotInOrder } from '../kernels/vector.js';
import type { Rows } from '../types.js';

export type Product = readonly (Float32Array | Float64Array)[];

/** The matrices of an adapter: W = scaling · loraA · loraB. */
export type Weights = { readonly loraA: Rows; readonly loraB: Rows; readonly scaling: number };

/** A low-rank matrix `left · right`. */
export interface Factors {
  left: Rows;
  right: Rows;
}

export function product({ left, right }: Factors): Product {
  return kernels().product(left, right, false);
}

/**
 * W - W_0 as factors: `s·A·B - s₀·A₀·B₀ = s(A - A₀)·B + A₀·(s·B - s₀·B₀)`. So a small change is not the difference of
 * two large products, and no change is exactly 0.
 */
export function differenceOf({ loraA, loraB, scaling }: Weights, reference: Weights): Factors {
  const changeA = float64Matrix(loraA.length, loraB.length);
  const changeB = float64Matrix(loraB.length, loraB[0]!.length);
  changeA.forEach((row, i) => {
    for (let k = 0; k < row.length; k++) row[k] = loraA[i]![k]! - reference.loraA[i]![k]!;
  });
  changeB.forEach((row, k) => {
    for (let j = 0; j < row.length; j++) row[j] = scaling * loraB[k]![j]! - reference.scaling * reference.loraB[k]![j]!;
  });
  return stacked(changeA, scaling, reference.loraA, loraB, 1, changeB);
}

/** `scale · a · b + scale₀ · a₀ · b₀` as one product. */
export function stacked(a: Rows, scale: number, a0: Rows, b: Rows, scale0: number, b0: Rows): Factors {
  const rank = b.length;
  const left = float64Matrix(a.length, rank + b0.length);
  left.forEach((row, i) => {
    for (let k = 0; k < rank; k++) row[k] = scale * a[i]![k]!;
    for (let k = 0; k < b0.length; k++) row[rank + k] = scale0 * a0[i]![k]!;
  });
  const right = float64Matrix(rank + b0.length, b[0]!.length);
  right.forEach((row, k) => {
    row.set(k < rank ? b[k]! : b0[k - rank]!);
  });
  return { left, right };
}

export function transposed(rows: Rows): Rows {
  const result = float64Matrix(rows[0]!.length, rows.length);
  for (let i = 0; i < rows.length; i++) for (let j = 0; j < result.length; j++) result[j]![i] = rows[i]![j]!;
  return result;
}

/** `Σ a[i][j] · b[i][j]`. */
export function sumOfProducts(a: Rows, b: Rows): number {
  return dotInOrder(flatten(a), flatten(b), a.length * a[0]!.length);
}
