import { warn } from '#platform/warn';
import type { Kernels } from './kernels.js';
import { scalarKernels } from './scalar/index.js';
import { setModule, simdKernels, whyNoSimd } from './simd/index.js';

export { countThreads, releaseMemory, setThreads } from './simd/index.js';
export { checkModule } from './simd/memory.js';

let active: Kernels | undefined;

/** The kernels of the active backend. The first call chooses SIMD where it is available. */
export function kernels(): Kernels {
  active ??= simdKernels() ?? slowKernels();
  return active;
}

/** The scalar kernels, with a warning where WebAssembly is there but refused: a way round it may be open. */
function slowKernels(): Kernels {
  const reason = whyNoSimd();
  if (reason !== undefined)
    warn(
      `WebAssembly SIMD cannot be compiled here (${reason}). Plain JavaScript computes, at a tenth of the speed or less. Where compiled modules are allowed, pass one to useKernelModule.`,
      'SlowKernelsWarning',
    );
  return scalarKernels;
}

/** Makes the SIMD backend with a compiled module the active one; false where it gets no memory. */
export function useModule(module: object): boolean {
  setModule(module);
  return chooseKernels('simd');
}

/** Makes a backend active. Returns false where the backend is missing. */
export function chooseKernels(name: Kernels['name']): boolean {
  const chosen = name === 'scalar' ? scalarKernels : simdKernels();
  active = chosen ?? active;
  return chosen !== undefined;
}
