import type { Kernels } from './kernels.js';
import { scalarKernels } from './scalar/index.js';

/** The kernels of the active backend. */
export function kernels(): Kernels {
  return scalarKernels;
}

export type * from './kernels.js';
