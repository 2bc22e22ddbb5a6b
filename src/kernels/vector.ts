import type { Vector } from '../types.js';
import { specialize } from './specialize.js';

/**
 * Loops over two rows, in float64. They keep two to four sums, because a single sum waits for each addition to end.
 */

/** Added to the product of two norms, as in the original. A zero row then has cosine 0. */
export const COSINE_EPSILON = 1e-8;

const dotLoop = specialize(() => (a: Vector, b: Vector, length: number): number => {
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let i = 0;
  for (; i + 3 < length; i += 4) {
    s0 += a[i]! * b[i]!;
    s1 += a[i + 1]! * b[i + 1]!;
    s2 += a[i + 2]! * b[i + 2]!;
    s3 += a[i + 3]! * b[i + 3]!;
  }
  for (; i < length; i++) s0 += a[i]! * b[i]!;
  return s0 + s1 + (s2 + s3);
});

/** Dot product of the first `length` entries. */
export function dot(a: Vector, b: Vector, length: number): number {
  return dotLoop(a)(a, b, length);
}

/** Euclidean norm of the first `length` entries. Entries whose squares overflow are scaled first. */
export function norm(a: Vector, length: number): number {
  const squares = dot(a, a, length);
  if (squares !== Infinity) return Math.sqrt(squares);
  let largest = 0;
  for (let i = 0; i < length; i++) largest = Math.max(largest, Math.abs(a[i]!));
  let sum = 0;
  for (let i = 0; i < length; i++) sum += (a[i]! / largest) ** 2;
  return largest * Math.sqrt(sum);
}

const cosineLoop = specialize(() => (a: Vector, b: Vector, length: number): number => {
  let dot0 = 0;
  let dot1 = 0;
  let a0 = 0;
  let a1 = 0;
  let b0 = 0;
  let b1 = 0;
  let i = 0;
  for (; i + 1 < length; i += 2) {
    const x0 = a[i]!;
    const y0 = b[i]!;
    const x1 = a[i + 1]!;
    const y1 = b[i + 1]!;
    dot0 += x0 * y0;
    dot1 += x1 * y1;
    a0 += x0 * x0;
    a1 += x1 * x1;
    b0 += y0 * y0;
    b1 += y1 * y1;
  }
  if (i < length) {
    dot0 += a[i]! * b[i]!;
    a0 += a[i]! * a[i]!;
    b0 += b[i]! * b[i]!;
  }
  const norms = Math.sqrt(a0 + a1) * Math.sqrt(b0 + b1);
  if (norms !== Infinity) return (dot0 + dot1) / (norms + COSINE_EPSILON);
  return dot(a, b, length) / (norm(a, length) * norm(b, length));
});

/** Cosine similarity over the shorter of two rows; 0 for a zero row. */
export function cosineOf(a: Vector, b: Vector): number {
  return cosineLoop(a)(a, b, Math.min(a.length, b.length));
}

const squaredDistanceLoop = specialize(() => (a: Vector, b: Vector, length: number): number => {
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let i = 0;
  for (; i + 3 < length; i += 4) {
    const d0 = a[i]! - b[i]!;
    const d1 = a[i + 1]! - b[i + 1]!;
    const d2 = a[i + 2]! - b[i + 2]!;
    const d3 = a[i + 3]! - b[i + 3]!;
    s0 += d0 * d0;
    s1 += d1 * d1;
    s2 += d2 * d2;
    s3 += d3 * d3;
  }
  for (; i < length; i++) s0 += (a[i]! - b[i]!) ** 2;
  return s0 + s1 + (s2 + s3);
});

/** Squared Euclidean distance over the first `length` entries. */
export function squaredDistance(a: Vector, b: Vector, length: number): number {
  return squaredDistanceLoop(a)(a, b, length);
}

/** Euclidean distance over the shorter of two rows. */
export function euclidean(a: Vector, b: Vector): number {
  return Math.sqrt(squaredDistance(a, b, Math.min(a.length, b.length)));
}

const dotInOrderLoop = specialize(() => (a: Vector, b: Vector, length: number): number => {
  let sum = 0;
  for (let i = 0; i < length; i++) sum += a[i]! * b[i]!;
  return sum;
});

/** Dot product with one sum, in the order of the entries. */
export function dotInOrder(a: Vector, b: Vector, length: number): number {
  return dotInOrderLoop(a)(a, b, length);
}

/**
 * Cosine similarity over the shorter of two rows, summed in the order of the entries: equal to the original's to the
 * last bit.
 */
export function cosineInOrder(a: Vector, b: Vector): number {
  const length = Math.min(a.length, b.length);
  const norms = Math.sqrt(dotInOrder(a, a, length)) * Math.sqrt(dotInOrder(b, b, length));
  return dotInOrder(a, b, length) / (norms + COSINE_EPSILON);
}

/**
 * Adds `scale · ∂cos/∂a` to `gradient`. With cos = a·b / (|a||b| + ε) the derivative is
 * ∂cos/∂a = (b - cos · |b|/|a| · a) / (|a||b| + ε). The gradient at a zero row is 0.
 */
export function addCosineGradient(gradient: Float64Array | Float32Array, a: Vector, b: Vector, scale: number): void {
  const length = Math.min(a.length, b.length);
  const [normA, normB] = [norm(a, length), norm(b, length)];
  if (normA === 0 || normB === 0 || scale === 0) return;
  const cross = scale / (normA * normB + COSINE_EPSILON);
  const radial = (cross * cosineOf(a, b) * normB) / normA;
  for (let k = 0; k < length; k++) gradient[k]! += cross * b[k]! - radial * a[k]!;
}

/** Whether two rows hold the same numbers. */
export function areEqual(a: Vector, b: Vector): boolean {
  if (a === b) return true;
  let k = 0;
  while (k < a.length && a[k] === b[k]) k++;
  return k === a.length && a.length === b.length;
}

/** One minus the cosine similarity. */
export function cosineDistance(a: Vector, b: Vector): number {
  return 1 - cosineOf(a, b);
}

/** The index with the highest similarity. The first wins a tie. */
export function firstHighest(indices: ArrayLike<number>, similarity: (index: number) => number): number {
  let hardest = indices[0]!;
  if (indices.length === 1) return hardest;
  let highest = -Infinity;
  for (let i = 0; i < indices.length; i++) {
    const value = similarity(indices[i]!);
    if (value > highest) {
      highest = value;
      hardest = indices[i]!;
    }
  }
  return hardest;
}
