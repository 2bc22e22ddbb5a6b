import type { Float32Row, Rows } from '../../types.js';
import { asMatrix } from '../matrix.js';
import { type KernelMemory, strideOf } from './memory.js';

/** Multiply-adds that threads share. */
export function productWork(a: Rows, b: Rows): number {
  return a.length * a[0]!.length * b[0]!.length;
}

export function product(memory: KernelMemory, a: Rows, b: Rows, isTransposed: boolean): readonly Float32Row[] {
  const height = isTransposed ? a[0]!.length : a.length;
  const width = b[0]!.length;
  const [aStride, bStride] = [strideOf(a[0]!.length), strideOf(width)];
  memory.begin();
  const left = memory.take(4 * a.length * aStride);
  const right = a === b ? left : memory.take(4 * b.length * bStride);
  const target = memory.take(4 * height * bStride);
  memory.commit();

  memory.writeRows(a, left, aStride);
  if (a !== b) memory.writeRows(b, right, bStride);
  const [aRow, aStep] = isTransposed ? [4, 4 * aStride] : [4 * aStride, 4];
  memory.gemm(height, bStride, b.length, left, aRow, aStep, right, 4 * bStride, 64, target, 4 * bStride, 0);
  const flat = new Float32Array(height * width);
  memory.readRows(target, bStride, flat, 0, height, width);
  return asMatrix(flat, height, width);
}
