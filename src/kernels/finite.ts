import type { Rows } from '../types.js';
import { kernels } from './index.js';
import type { Kernels } from './kernels.js';
import { scalarKernels } from './scalar/index.js';

/** Whether all entries are finite. */
export function areFinite(...matrices: readonly (Rows | null | undefined)[]): boolean {
  return matrices.every(rows => !rows || rows.length === 0 || Number.isFinite(kernels().sumOfSquares(rows)));
}

/**
 * A result near the limits of float32. It is computed by the active kernels. If it is not finite there, it is computed
 * again by the scalar kernels: factors, norms and products that float32 cannot hold may still give a result that it can.
 *
 * @param compute Returns undefined for a result that is not finite.
 * @returns Undefined if no result is finite.
 */
export function firstFinite<Result>(compute: (backend: Kernels) => Result | undefined): Result | undefined {
  return compute(kernels()) ?? compute(scalarKernels);
}
