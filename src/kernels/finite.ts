import type { Rows } from '../types.js';
import { kernels } from './index.js';

/** Whether all entries are finite. */
export function areFinite(...matrices: readonly (Rows | null | undefined)[]): boolean {
  return matrices.every(rows => !rows || rows.length === 0 || Number.isFinite(kernels().sumOfSquares(rows)));
}
