import type { Adapter, Rows } from '../../types.js';
import { float64Matrix, isFloat32 } from '../matrix.js';
import * as scalar from '../scalar/fisher.js';
import { type KernelMemory, roundUp, strideOf } from './memory.js';

/** Examples per block, a multiple of 4, so that their rows stay in the L2 cache. */
const BLOCK = 32;
/** Within these magnitudes, squares and products of squares are normal float32 numbers. */
const SMALLEST = 1e-9;
const LARGEST = 1e9;

/**
 * The scalar kernel has the formulas. The gradients of one example have rank one, so the mean of their squares is a
 * product of squares, F_A = (X∘X)ᵀ(H'∘H'). No single gradient is formed. Hidden values, outputs and the errors times B
 * may cancel, so they are summed in float64. Squares and their products do not cancel, so they are float32.
 */
export function mseFisher(
  memory: KernelMemory,
  adapter: Adapter,
  inputs: Rows,
  targets: Rows,
): { fisherA: readonly Float64Array[]; fisherB: readonly Float64Array[] } {
  // Float64 rows may differ from their targets by less than float32 can hold.
  if (!inputs.every(isFloat32) || !targets.every(isFloat32)) return scalar.mseFisher(adapter, inputs, targets);
  const { loraA, loraB, scaling } = adapter;
  const dim = loraA.length;
  const rank = loraB.length;
  const outDim = loraB[0]!.length;
  // Dot products take ranks in groups of 4.
  const fours = roundUp(rank, 4);
  const [inWidth, outWidth] = [strideOf(dim), strideOf(outDim)];
  const [inBytes, outBytes] = [4 * inWidth, 4 * outWidth];

  memory.begin();
  const wide = (count: number): number => memory.take(8 * count);
  const narrow = (count: number): number => memory.take(4 * count);
  const [a, b, sumsA, sumsB] = [
    wide(fours * inWidth),
    wide(fours * outWidth),
    wide(rank * inWidth),
    wide(rank * outWidth),
  ];
  const [rows, targetRows, errors] = [narrow(BLOCK * inWidth), narrow(BLOCK * outWidth), narrow(BLOCK * outWidth)];
  const endOfCleared = memory.take(0);
  const [blockA, blockB] = [narrow(rank * inWidth), narrow(rank * outWidth)];
  const errors64 = wide(BLOCK * outWidth);
  const [hidden64, hidden, gradHidden] = [wide(BLOCK * fours), narrow(BLOCK * fours), narrow(BLOCK * fours)];
  memory.commit();

  const { call, f32, f64 } = memory;
  f64.fill(0, a / 8, endOfCleared / 8);
  for (let i = 0; i < dim; i++) {
    const row = loraA[i]!;
    for (let k = 0, at = a / 8 + i; k < rank; k++, at += inWidth) f64[at] = row[k]!;
  }
  for (let k = 0; k < rank; k++) {
    f64.set(loraB[k]!, b / 8 + k * outWidth);
  }

  const scale = (2 * scaling) / outDim;
  for (let first = 0; first < inputs.length; first += BLOCK) {
    const count = Math.min(BLOCK, inputs.length - first);
    memory.writeRows(fitted(inputs, first, count, dim), rows, inWidth);
    memory.writeRows(fitted(targets, first, count, outDim), targetRows, outWidth);
    const residual = dim === outDim ? rows : 0;
    call.dotRows(roundUp(count, 2), fours, inWidth, rows, inBytes, a, 2 * inBytes, hidden64);
    call.outputErrors(
      roundUp(count, 4),
      fours,
      outWidth,
      residual,
      targetRows,
      outBytes,
      hidden64,
      b,
      2 * outBytes,
      scaling,
      errors64,
      errors,
    );
    for (let k = 0, from = hidden64 / 8, to = hidden / 4; k < count * fours; k++) f32[to + k] = f64[from + k]!;
    call.dotWideRows(roundUp(count, 2), fours, outWidth, errors64, b, 2 * outBytes, hidden64);
    for (let k = 0, from = hidden64 / 8, to = gradHidden / 4; k < count * fours; k++) f32[to + k] = f64[from + k]!;
    const magnitudes = [
      call.squareAll(count * inWidth, rows),
      call.squareAll(count * outWidth, errors),
      call.squareAll(count * fours, hidden),
      call.squareAll(count * fours, gradHidden),
    ];
    const isOrdinary = magnitudes.every(most => most === 0 || (most > SMALLEST && most < LARGEST));
    if (!isOrdinary) return scalar.mseFisher(adapter, inputs, targets);
    call.gemm(rank, inWidth, count, gradHidden, 4, 4 * fours, rows, inBytes, 64, blockA, inBytes, 0);
    call.gemm(rank, outWidth, count, hidden, 4, 4 * fours, errors, outBytes, 64, blockB, outBytes, 0);
    call.addScaled(rank * inWidth, blockA, scale ** 2 / inputs.length, sumsA);
    call.addScaled(rank * outWidth, blockB, scale ** 2 / inputs.length, sumsB);
  }

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

/** Some of the rows, cut to the width or padded with zeros. */
function fitted(rows: Rows, first: number, count: number, width: number): Rows {
  return rows.slice(first, first + count).map(row => {
    if (row.length === width) return row;
    const fit = new Float32Array(width);
    fit.set((row as Float32Array).subarray(0, width));
    return fit;
  });
}
