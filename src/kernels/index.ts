import { checkOneOf } from '../internal/validate.js';
import type { Kernels } from './kernels.js';
import { scalarKernels } from './scalar/index.js';
import { releaseMemory, simdKernels } from './simd/index.js';

/** `'simd'`: WebAssembly SIMD. `'scalar'`: plain JavaScript. */
export type KernelBackend = Kernels['name'];

let active: Kernels | undefined;

/** The kernels of the active backend; SIMD where it is there, chosen at the first call. */
export function kernels(): Kernels {
  active ??= simdKernels() ?? scalarKernels;
  return active;
}

/** Which kernels compute: `'simd'` where WebAssembly SIMD is there, else `'scalar'`, unless chosen otherwise. */
export function kernelBackend(): KernelBackend {
  return kernels().name;
}

/**
 * Chooses the kernels that compute from now on, in the whole process. Results agree to about 1e-6; `'scalar'` computes
 * in float64.
 *
 * @throws TypeError or RangeError for another name, Error when `'simd'` is asked for where WebAssembly SIMD is missing.
 */
export function useKernelBackend(backend: KernelBackend): void {
  checkOneOf('useKernelBackend', 'backend', backend, ['simd', 'scalar']);
  const chosen = backend === 'scalar' ? scalarKernels : simdKernels();
  if (!chosen) throw new Error("useKernelBackend: WebAssembly SIMD is missing here; use 'scalar'");
  active = chosen;
}

/**
 * Gives back the memory that the SIMD kernels work in. They keep as much as their largest call needed; the next call
 * takes what it needs anew.
 */
export function releaseKernelMemory(): void {
  releaseMemory();
}

export type * from './kernels.js';
