import { checkNumber, checkObject, checkOneOf, wrongType } from './internal/validate.js';
import {
  checkModule,
  chooseKernels,
  countThreads,
  kernels,
  releaseMemory,
  setThreads,
  useModule,
} from './kernels/index.js';
import { whyNoHelpers } from './kernels/simd/helper.js';

/** `'simd'`: WebAssembly SIMD. `'scalar'`: plain JavaScript. */
export type KernelBackend = 'simd' | 'scalar';

/** The kernels that compute. By default, `'simd'` if WebAssembly SIMD is available, and otherwise `'scalar'`. */
export function kernelBackend(): KernelBackend {
  return kernels().name;
}

/**
 * Chooses the kernels that compute in this thread from now on. `'scalar'` computes in float64. `'simd'` computes
 * similarities, logits and adapters in float32. Results agree to 1e-5, and mostly to 1e-6. At low temperatures they
 * agree to about 1e-7 / temperature.
 *
 * @throws TypeError or RangeError for another name. Error for `'simd'` where WebAssembly SIMD is missing.
 */
export function useKernelBackend(backend: KernelBackend): void {
  checkOneOf('useKernelBackend', 'backend', backend, ['simd', 'scalar']);
  if (!chooseKernels(backend)) throw new Error("useKernelBackend: WebAssembly SIMD is missing here; use 'scalar'");
}

/**
 * Lets the SIMD kernels compute with a module that is compiled already. It is needed where code may not be made at run
 * time: in workerd, or in a page whose Content-Security-Policy lacks `'wasm-unsafe-eval'`. The module's file is
 * `microlora-training-utils/kernels.wasm`. It belongs to this version of the package.
 *
 * @param module A `WebAssembly.Module` of that file.
 * @throws TypeError for anything but a module; RangeError for another module; Error where there is no memory for it.
 */
export function useKernelModule(module: object): void {
  const call = 'useKernelModule';
  checkObject(call, 'module', module);
  const found = checkModule(module);
  if (found === 'no module') throw wrongType(call, 'module', 'a WebAssembly.Module', module);
  if (found !== 'right')
    throw new RangeError(`${call}: module is not the kernels.wasm of this version of microlora-training-utils`);
  if (!useModule(module)) throw new Error(`${call}: there is no memory for the kernels`);
}

/** The greatest number of threads. */
const MOST_THREADS = 256;

/**
 * Chooses the number of threads that the SIMD kernels compute on from now on, including the calling thread. Default 1.
 * Calls stay synchronous, and results are the same to the bit for any number of threads. Threads share large losses,
 * their gradients and searches. Small calls stay on the calling thread. More threads than free cores gain nothing.
 *
 * Helper threads start with the first large call, which does not wait for them, and sleep between calls. They do not
 * keep the process alive. `useKernelThreads(1)` and `releaseKernelMemory()` end them. After the latter, the next large
 * call starts new ones. If a helper fails, the calling thread does its work. Threads share memory of their own, in
 * addition to the memory of small calls. The scalar kernels always compute on one thread.
 *
 * @param count An integer from 1 to 256. With 1, there are no helpers.
 * @throws TypeError or RangeError for another number. Error where memory cannot be shared, as in a page that is not
 *   cross-origin isolated.
 */
export function useKernelThreads(count: number): void {
  checkNumber('useKernelThreads', 'count', count, { integer: true, min: 1, max: MOST_THREADS });
  const reason = count > 1 ? whyNoHelpers() : undefined;
  if (reason !== undefined) throw new Error(`useKernelThreads: ${reason}`);
  setThreads(count);
}

/** The number of threads that the SIMD kernels compute on, as chosen by {@link useKernelThreads}. */
export function kernelThreads(): number {
  return countThreads();
}

/**
 * Releases the memory that the SIMD kernels work in, and ends their helper threads. Without it, they keep as much
 * memory as their largest call needed. The next call allocates its memory again. This is safe at any time, also
 * between `forward` and `backward`. The next garbage collection frees the memory.
 */
export function releaseKernelMemory(): void {
  releaseMemory();
}
