import type { Kernels } from './kernels.js';
import { scalarKernels } from './scalar/index.js';
import { simdKernels } from './simd/index.js';

export { countThreads, releaseMemory, setThreads } from './simd/index.js';

let active: Kernels | undefined;

/** The kernels of the active backend. The first call chooses SIMD where it is available. */
export function kernels(): Kernels {
  active ??= simdKernels() ?? scalarKernels;
  return active;
}

/** Makes a backend active. Returns false where the backend is missing. */
export function chooseKernels(name: Kernels['name']): boolean {
  const chosen = name === 'scalar' ? scalarKernels : simdKernels();
  active = chosen ?? active;
  return chosen !== undefined;
}
