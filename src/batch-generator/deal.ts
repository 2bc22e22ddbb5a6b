import type { Labels } from './labels.js';

/** No batch, position, label or edge. */
export const NONE = -1;

/** The labels of an order, position by position, and how the positions are to be dealt to batches. */
export interface Deal extends Labels {
  /** Number of batches. */
  batches: number;
  /** Most examples in a batch. */
  capacity: number;
  /** Whether the sizes of batches may differ by at most one. */
  isEven: boolean;
}

/** The label at each position. */
export function labelsAt(order: readonly number[], labels: Int32Array): Int32Array {
  const at = new Int32Array(order.length);
  for (let i = 0; i < order.length; i++) at[i] = labels[order[i]!]!;
  return at;
}

/** The number of times that each label occurs. */
export function countsOf(labels: Int32Array): Int32Array {
  const counts = new Int32Array(largest(labels) + 1);
  for (let at = 0; at < labels.length; at++) counts[labels[at]!]!++;
  return counts;
}

/** The largest of numbers, at least 0. */
export function largest(values: Int32Array): number {
  let most = 0;
  for (let i = 0; i < values.length; i++) if (values[i]! > most) most = values[i]!;
  return most;
}
