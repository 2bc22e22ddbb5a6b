import type { Kernels } from './kernels.js';
import { scalarKernels } from './scalar/index.js';
import { simdKernels } from './simd/index.js';

export { countThreads, releaseMemory, setThreads } from './simd/index.js';

let active: Kernels | undefined;

/** The kernels of the active backend; SIMD where it is there, chosen at the first call. */
export function kernels(): Kernels {
  active ??= simdKernels() ?? scalarKernels;
  return active;
}

/** Makes a backend the active one; false where it is missing. */
export function chooseKernels(name: Kernels['name']): boolean {
  const chosen = name === 'scalar' ? scalarKernels : simdKernels();
  active = chosen ?? active;
  return chosen !== undefined;
}
