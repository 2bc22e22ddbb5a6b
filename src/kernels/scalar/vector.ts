import type { Vector } from '../../types.js';

/** Added to the product of two norms, as the original does: a zero row has cosine 0. */
export const COSINE_EPSILON = 1e-8;

/** Dot product of the first `length` entries. */
export function dot(a: Vector, b: Vector, length: number): number {
  let even = 0;
  let odd = 0;
  let i = 0;
  for (; i + 1 < length; i += 2) {
    even += a[i]! * b[i]!;
    odd += a[i + 1]! * b[i + 1]!;
  }
  if (i < length) even += a[i]! * b[i]!;
  return even + odd;
}

/** Euclidean norm of the first `length` entries; entries whose squares overflow are scaled first. */
export function norm(a: Vector, length: number): number {
  const squares = dot(a, a, length);
  if (squares !== Infinity) return Math.sqrt(squares);
  let largest = 0;
  for (let i = 0; i < length; i++) largest = Math.max(largest, Math.abs(a[i]!));
  let sum = 0;
  for (let i = 0; i < length; i++) sum += (a[i]! / largest) ** 2;
  return largest * Math.sqrt(sum);
}

/** Cosine similarity over the shorter of two rows; 0 for a zero row. */
export function cosine(a: Vector, b: Vector): number {
  const length = Math.min(a.length, b.length);
  return dot(a, b, length) / (norm(a, length) * norm(b, length) + COSINE_EPSILON);
}

/** Euclidean distance over the shorter of two rows. */
export function euclidean(a: Vector, b: Vector): number {
  const length = Math.min(a.length, b.length);
  let sum = 0;
  for (let i = 0; i < length; i++) {
    const difference = a[i]! - b[i]!;
    sum += difference * difference;
  }
  return Math.sqrt(sum);
}
