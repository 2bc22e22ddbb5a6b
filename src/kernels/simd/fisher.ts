import type { Adapter, Rows } from '../../types.js';
import { float64Matrix } from '../matrix.js';
import * as scalar from '../scalar/lora.js';
import { type KernelMemory, roundUp, strideOf } from './memory.js';

/** Examples handled at a time, so that their rows stay in the L2 cache. */
const BLOCK = 32;

/**
 * See the scalar kernel for the formulas. The gradients of one example are of rank one, so the mean of their squares is a
 * product of squares, F_A = (X∘X)ᵀ(H'∘H'), and none of them is formed. Hidden values and outputs are float64, as outputs
 * cancel against targets; squares are float32, each block scaled by its greatest magnitude so that none overflows.
 */
export function mseFisher(
  memory: KernelMemory,
  adapter: Adapter,
  inputs: Rows,
  targets: Rows,
): { fisherA: readonly Float64Array[]; fisherB: readonly Float64Array[] } {
  // Rows of float64 may differ from their targets by less than float32 shows.
  if (!inputs.every(isFloat32) || !targets.every(isFloat32)) return scalar.mseFisher(adapter, inputs, targets);
  const { loraA, loraB, scaling } = adapter;
  const dim = loraA.length;
  const rank = loraB.length;
  const outDim = loraB[0]!.length;
  const isSquare = dim === outDim;
  // Columns of a product come by 16, dot products by 4.
  const [ranks, products] = [roundUp(rank, 16), roundUp(rank, 4)];
  const [inWidth, outWidth] = [strideOf(dim), strideOf(outDim)];

  memory.begin();
  const wide = (count: number): number => memory.take(8 * count);
  const narrow = (count: number): number => memory.take(4 * count);
  const [a, b, sumsA, sumsB] = [
    wide(ranks * inWidth),
    wide(ranks * outWidth),
    wide(rank * inWidth),
    wide(rank * outWidth),
  ];
  const endOfSums = memory.take(0);
  const bTransposed = narrow(outWidth * ranks);
  const endOfCleared = memory.take(0);
  const [blockA, blockB] = [narrow(rank * inWidth), narrow(rank * outWidth)];
  const [rows, targetRows, gradients] = [narrow(BLOCK * inWidth), narrow(BLOCK * outWidth), narrow(BLOCK * outWidth)];
  const [rows64, gradients64, hidden64] = [wide(BLOCK * inWidth), wide(BLOCK * outWidth), wide(BLOCK * ranks)];
  const [hidden, gradHidden] = [narrow(BLOCK * ranks), narrow(BLOCK * ranks)];
  memory.commit();

  const { call, f32, f64 } = memory;
  f64.fill(0, a / 8, endOfCleared / 8);
  for (let i = 0; i < dim; i++) {
    const row = loraA[i]!;
    for (let k = 0, at = a / 8 + i; k < rank; k++, at += inWidth) f64[at] = row[k]!;
  }
  for (let k = 0; k < rank; k++) {
    const row = loraB[k]!;
    f64.set(row, b / 8 + k * outWidth);
    for (let j = 0, at = bTransposed / 4 + k; j < outDim; j++, at += ranks) f32[at] = row[j]!;
  }

  for (let first = 0; first < inputs.length; first += BLOCK) {
    const count = Math.min(BLOCK, inputs.length - first);
    memory.writeRows(fitted(inputs, first, count, dim), rows, inWidth);
    memory.writeRows(fitted(targets, first, count, outDim), targetRows, outWidth);
    call.promoteRows(count, inWidth, rows, 4 * inWidth, rows64, 8 * inWidth);
    call.dotRows(count, products, inWidth, rows64, 8 * inWidth, a, 8 * inWidth, hidden64);
    if (isSquare) call.promoteRows(count, outWidth, rows, 4 * inWidth, gradients64, 8 * outWidth);
    else f64.fill(0, gradients64 / 8, gradients64 / 8 + count * outWidth);
    call.subtractRows(count, outWidth, targetRows, 4 * outWidth, gradients64, 8 * outWidth);
    call.addCombination(count, products, outWidth, hidden64, b, 8 * outWidth, scaling, gradients64, 8 * outWidth);

    const rowScale = call.scaledSquares(count * inWidth, rows);
    const gradientScale = call.demoteRows(count, outWidth, gradients64, 8 * outWidth, gradients, 4 * outWidth);
    const hiddenScale = call.demoteRows(1, count * products, hidden64, 0, hidden, 0);
    call.gemm(count, ranks, outDim, gradients, 4 * outWidth, 4, bTransposed, 4 * ranks, 64, gradHidden, 4 * ranks, 0);
    call.squareAll(count * outWidth, gradients);
    call.squareAll(count * products, hidden);
    call.squareAll(count * ranks, gradHidden);
    call.gemm(rank, inWidth, count, gradHidden, 4, 4 * ranks, rows, 4 * inWidth, 64, blockA, 4 * inWidth, 0);
    call.gemm(rank, outWidth, count, hidden, 4, 4 * products, gradients, 4 * outWidth, 64, blockB, 4 * outWidth, 0);
    const scale = (2 * scaling * gradientScale) / outDim;
    call.addScaled(rank * inWidth, blockA, (scale * rowScale) ** 2 / inputs.length, sumsA);
    call.addScaled(rank * outWidth, blockB, (scale * hiddenScale) ** 2 / inputs.length, sumsB);
  }

  // Parameters beyond 1e19 overflow when squared in float32; the scalar kernel takes them.
  const sums = f64.subarray(sumsA / 8, endOfSums / 8);
  if (!Number.isFinite(sumOf(sums))) return scalar.mseFisher(adapter, inputs, targets);

  const fisherA = float64Matrix(dim, rank);
  const fisherB = float64Matrix(rank, outDim);
  for (let i = 0; i < dim; i++) {
    const row = fisherA[i]!;
    for (let k = 0, at = sumsA / 8 + i; k < rank; k++, at += inWidth) row[k] = f64[at]!;
  }
  for (let k = 0; k < rank; k++) {
    const at = sumsB / 8 + k * outWidth;
    fisherB[k]!.set(f64.subarray(at, at + outDim));
  }
  return { fisherA, fisherB };
}

/** Some of the rows, cut to the width or filled up with zeros. */
function fitted(rows: Rows, first: number, count: number, width: number): Rows {
  return rows.slice(first, first + count).map(row => {
    if (row.length === width) return row;
    const fit = new Float32Array(width);
    fit.set((row as Float32Array).subarray(0, width));
    return fit;
  });
}

function isFloat32(row: Rows[number]): boolean {
  return row instanceof Float32Array;
}

function sumOf(values: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return sum;
}
