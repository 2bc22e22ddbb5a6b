import type { Adapter, Float32Row, Rows } from '../../types.js';
import type { LoraBackwardResult } from '../kernels.js';
import { asMatrix, viewRows } from '../matrix.js';
import { type KernelMemory, roundUp, strideOf } from './memory.js';

/** Sizes of one problem. Strides are in floats. */
interface Shape {
  count: number;
  dim: number;
  outDim: number;
  rank: number;
  /** `rank` rounded up to a multiple of 8, because `gemm` takes columns in groups of 8. */
  ranks: number;
  inStride: number;
  outStride: number;
  isSquare: boolean;
}

export function loraForward(
  memory: KernelMemory,
  adapter: Adapter,
  inputs: Rows,
): { outputs: Float32Row[]; hidden: Rows } {
  const { count, dim, outDim, rank, ranks, inStride, outStride, isSquare } = shapeOf(adapter, inputs.length);
  memory.begin();
  const x = memory.take(4 * count * inStride);
  const a = memory.take(4 * dim * ranks);
  const b = memory.take(4 * rank * outStride);
  const h = memory.take(4 * count * ranks);
  const y = isSquare ? x : memory.take(4 * count * outStride);
  memory.commit();

  memory.writeRows(inputs, x, inStride);
  memory.writeRows(adapter.loraA, a, ranks);
  memory.writeRows(adapter.loraB, b, outStride);
  memory.gemm(count, ranks, dim, x, 4 * inStride, 4, a, 4 * ranks, 64, h, 4 * ranks, 0);
  const hidden = readFlat(memory, h, ranks, count, rank);
  scale(memory.f32, h, count * ranks, adapter.scaling);
  // Where the map is square, the outputs are added to the inputs in place.
  memory.gemm(count, outStride, rank, h, 4 * ranks, 4, b, 4 * outStride, 64, y, 4 * outStride, isSquare ? 1 : 0);
  const outputs = readFlat(memory, y, outStride, count, outDim);
  return { outputs: viewRows(outputs, count, outDim), hidden: asMatrix(hidden, count, rank) };
}

export function loraBackward(
  memory: KernelMemory,
  adapter: Adapter,
  inputs: Rows,
  hidden: Rows,
  gradOutputs: Rows,
  wantsInputs: boolean,
): LoraBackwardResult {
  const { count, dim, outDim, rank, ranks, inStride, outStride, isSquare } = shapeOf(adapter, inputs.length);
  memory.begin();
  const x = memory.take(4 * count * inStride);
  const g = memory.take(4 * count * outStride);
  const h = memory.take(4 * count * ranks);
  const aTransposed = memory.take(4 * rank * inStride);
  const bTransposed = memory.take(4 * outDim * ranks);
  const gradHidden = memory.take(4 * count * ranks);
  const gradA = memory.take(4 * dim * ranks);
  const gradB = memory.take(4 * rank * outStride);
  const gradX = isSquare || !wantsInputs ? g : memory.take(4 * count * inStride);
  memory.commit();

  const { f32 } = memory;
  memory.writeRows(inputs, x, inStride);
  memory.writeRows(gradOutputs, g, outStride);
  memory.writeRows(hidden, h, ranks);
  writeTransposed(f32, adapter.loraA, aTransposed, inStride, rank);
  writeTransposed(f32, adapter.loraB, bTransposed, ranks, outDim);
  scale(f32, h, count * ranks, adapter.scaling);
  memory.gemm(count, ranks, outDim, g, 4 * outStride, 4, bTransposed, 4 * ranks, 64, gradHidden, 4 * ranks, 0);
  scale(f32, gradHidden, count * ranks, adapter.scaling);
  memory.gemm(dim, ranks, count, x, 4, 4 * inStride, gradHidden, 4 * ranks, 64, gradA, 4 * ranks, 0);
  memory.gemm(rank, outStride, count, h, 4, 4 * ranks, g, 4 * outStride, 64, gradB, 4 * outStride, 0);
  const gradients = {
    gradA: asMatrix(readFlat(memory, gradA, ranks, dim, rank), dim, rank),
    gradB: asMatrix(readFlat(memory, gradB, outStride, rank, outDim), rank, outDim),
  };
  if (!wantsInputs) return { ...gradients, gradInputs: [] };
  // This comes last: where the map is square, it is added to the gradients of the outputs in place.
  memory.gemm(
    count,
    inStride,
    rank,
    gradHidden,
    4 * ranks,
    4,
    aTransposed,
    4 * inStride,
    64,
    gradX,
    4 * inStride,
    isSquare ? 1 : 0,
  );
  return { ...gradients, gradInputs: viewRows(readFlat(memory, gradX, inStride, count, dim), count, dim) };
}

function shapeOf({ loraA, loraB }: Adapter, count: number): Shape {
  const dim = loraA.length;
  const outDim = loraB[0]!.length;
  const rank = loraB.length;
  return {
    count,
    dim,
    outDim,
    rank,
    ranks: roundUp(rank, 8),
    inStride: strideOf(dim),
    outStride: strideOf(outDim),
    isSquare: dim === outDim,
  };
}

function readFlat(memory: KernelMemory, pointer: number, stride: number, height: number, width: number): Float32Row {
  const flat = new Float32Array(height * width);
  memory.readRows(pointer, stride, flat, 0, height, width);
  return flat;
}

/** Transposes: row k of the target is column k of the rows, with zeros up to the stride. */
function writeTransposed(f32: Float32Array, rows: Rows, pointer: number, stride: number, height: number): void {
  const start = pointer / 4;
  f32.fill(0, start, start + height * stride);
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!;
    for (let k = 0, at = start + i; k < height; k++, at += stride) f32[at] = row[k]!;
  }
}

function scale(f32: Float32Array, pointer: number, count: number, factor: number): void {
  for (let i = pointer / 4, end = i + count; i < end; i++) f32[i]! *= factor;
}
