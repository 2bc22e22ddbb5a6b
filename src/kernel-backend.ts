import { checkOneOf } from './internal/validate.js';
import { chooseKernels, kernels, releaseMemory } from './kernels/index.js';
import type { Kernels } from './kernels/kernels.js';

/** `'simd'`: WebAssembly SIMD. `'scalar'`: plain JavaScript. */
export type KernelBackend = Kernels['name'];

/** Which kernels compute: `'simd'` where WebAssembly SIMD is there, else `'scalar'`, unless chosen otherwise. */
export function kernelBackend(): KernelBackend {
  return kernels().name;
}

/**
 * Chooses the kernels that compute from now on, in this thread. `'scalar'` computes in float64. `'simd'` computes
 * similarities, logits and adapters in float32: results agree to 1e-5 and mostly to 1e-6, at low temperatures to about
 * 1e-7 / temperature.
 *
 * @throws TypeError or RangeError for another name, Error when `'simd'` is asked for where WebAssembly SIMD is missing.
 */
export function useKernelBackend(backend: KernelBackend): void {
  checkOneOf('useKernelBackend', 'backend', backend, ['simd', 'scalar']);
  if (!chooseKernels(backend)) throw new Error("useKernelBackend: WebAssembly SIMD is missing here; use 'scalar'");
}

/**
 * Gives back the memory that the SIMD kernels work in. They keep as much as their largest call needed; the next call
 * takes what it needs anew. Safe at any time, between `forward` and `backward` too; the memory goes at the next garbage
 * collection.
 */
export function releaseKernelMemory(): void {
  releaseMemory();
}
