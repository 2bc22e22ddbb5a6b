import type { Adapter, MutableVector, Rows } from '../../types.js';
import { type Flat, flatten, float64Matrix, longRows } from '../matrix.js';
import { specialize } from '../specialize.js';
import { sumOfSquares } from './parameters.js';

/** Fisher values and sums of penalties. Both backends use these loops, because they run only once per task. */

/**
 * For one pair, h = x·A and y = [x +] s·h·B. The gradients of the loss mean((y - target)²) are ∂B = s·h ⊗ g and
 * ∂A = x ⊗ (s·B·g), where g = 2(y - target)/d. A target shorter than the output counts as 0 beyond its end, as in the
 * original.
 */
export function mseFisher(
  adapter: Adapter,
  inputs: Rows,
  targets: Rows,
): { fisherA: readonly Float64Array[]; fisherB: readonly Float64Array[] } {
  const { loraA, loraB, scaling } = adapter;
  const dim = loraA.length;
  const rank = loraB.length;
  const outDim = loraB[0]!.length;
  const fisherA = float64Matrix(dim, rank);
  const fisherB = float64Matrix(rank, outDim);
  const hidden = new Float64Array(rank);
  const gradOutput = new Float64Array(outDim);

  for (let n = 0; n < inputs.length; n++) {
    const input = inputs[n]!;
    const target = targets[n]!;
    hidden.fill(0);
    for (let i = 0; i < dim; i++) {
      const row = loraA[i]!;
      for (let k = 0; k < rank; k++) hidden[k]! += input[i]! * row[k]!;
    }
    for (let j = 0; j < outDim; j++)
      gradOutput[j] = (dim === outDim ? input[j]! : 0) - (j < target.length ? target[j]! : 0);
    for (let k = 0; k < rank; k++) {
      const row = loraB[k]!;
      for (let j = 0; j < outDim; j++) gradOutput[j]! += scaling * hidden[k]! * row[j]!;
    }
    for (let k = 0; k < rank; k++) {
      const row = loraB[k]!;
      const rowFisher = fisherB[k]!;
      const scaledHidden = (2 / outDim) * scaling * hidden[k]!;
      let gradHidden = 0;
      for (let j = 0; j < outDim; j++) {
        gradHidden += gradOutput[j]! * row[j]!;
        rowFisher[j]! += (scaledHidden * gradOutput[j]!) ** 2;
      }
      const scaledGradient = (2 / outDim) * scaling * gradHidden;
      for (let i = 0; i < dim; i++) fisherA[i]![k]! += (input[i]! * scaledGradient) ** 2;
    }
  }
  for (const row of [...fisherA, ...fisherB]) {
    for (let j = 0; j < row.length; j++) row[j]! /= inputs.length;
  }
  return { fisherA, fisherB };
}

/** For one input: h = x·A, `E[∂A[i][k]²] = 2/d · s² · x_i² · Σ_j B[k][j]²` and `E[∂B[k][j]²] = 2/d · s² · h_k²`. */
export function exactFisher(
  { loraA, loraB, scaling }: Adapter,
  inputs: Rows,
): { fisherA: readonly Float64Array[]; fisherB: readonly Float64Array[] } {
  const [dim, rank, outDim] = [loraA.length, loraB.length, loraB[0]!.length];
  const inputSquares = new Float64Array(dim);
  const hiddenSquares = new Float64Array(rank);
  const hidden = new Float64Array(rank);
  for (const row of inputs) {
    hidden.fill(0);
    for (let i = 0; i < dim; i++) {
      const input = row[i]!;
      const weights = loraA[i]!;
      inputSquares[i]! += (input * input) / inputs.length;
      for (let k = 0; k < rank; k++) hidden[k]! += input * weights[k]!;
    }
    for (let k = 0; k < rank; k++) hiddenSquares[k]! += (hidden[k]! * hidden[k]!) / inputs.length;
  }
  const factor = (2 / outDim) * scaling * scaling;
  const outputSquares = loraB.map(row => sumOfSquares([row]));
  const fisherA = float64Matrix(dim, rank);
  const fisherB = float64Matrix(rank, outDim);
  for (let i = 0; i < dim; i++) {
    for (let k = 0; k < rank; k++) fisherA[i]![k] = factor * inputSquares[i]! * outputSquares[k]!;
  }
  for (let k = 0; k < rank; k++) fisherB[k]!.fill(factor * hiddenSquares[k]!);
  return { fisherA, fisherB };
}

const squaresLoop = specialize(() => (target: readonly MutableVector[], added: Flat, scale: number): number => {
  let sum = 0;
  for (let i = 0, k = 0; i < target.length; i++) {
    const row = target[i]!;
    for (let j = 0; j < row.length; j++, k++) sum += row[j]! += scale * added[k]! * added[k]!;
  }
  return sum;
});

export function addSquares(target: readonly MutableVector[], rows: Rows, scale: number): boolean {
  return Number.isFinite(squaresLoop(target[0]!)(longRows(target), flatten(rows), scale));
}

/** For each entry, `a(θ-u)² + b(θ-v)² = h(θ-w)² + ab/h·(u-v)²` with h = a + b and w = v + a/h·(u-v). */
export function mergeQuadratics(
  importance: readonly MutableVector[],
  anchor: readonly MutableVector[],
  weight: number,
  otherImportance: Rows,
  otherAnchor: Rows,
  otherWeight: number,
): number {
  let least = 0;
  for (let i = 0; i < importance.length; i++) {
    const [ours, theirs, us, vs] = [importance[i]!, otherImportance[i]!, anchor[i]!, otherAnchor[i]!];
    for (let k = 0; k < ours.length; k++) {
      const a = weight * ours[k]!;
      const b = otherWeight * theirs[k]!;
      ours[k] = a + b;
      if (a + b === 0) continue;
      const difference = us[k]! - vs[k]!;
      least += ((a * b) / (a + b)) * difference * difference;
      us[k] = vs[k]! + (a / (a + b)) * difference;
    }
  }
  return least;
}

const blendLoop = specialize(() => (target: readonly MutableVector[], a: number, added: Flat, b: number): void => {
  for (let i = 0, k = 0; i < target.length; i++) {
    const row = target[i]!;
    for (let j = 0; j < row.length; j++, k++) row[j] = a * row[j]! + b * added[k]!;
  }
});

export function blend(target: readonly MutableVector[], a: number, rows: Rows, b: number): void {
  blendLoop(target[0]!)(longRows(target), a, flatten(rows), b);
}

export function divideByLargest(matrices: readonly (readonly MutableVector[])[]): void {
  let largest = 0;
  for (const rows of matrices) {
    for (const row of rows) for (let j = 0; j < row.length; j++) largest = Math.max(largest, row[j]!);
  }
  if (largest === 0) return;
  for (const rows of matrices) for (const row of rows) for (let j = 0; j < row.length; j++) row[j]! /= largest;
}
