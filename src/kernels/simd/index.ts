import type { Kernels } from '../kernels.js';
import { scalarKernels } from '../scalar/index.js';
import { adamw } from './adamw.js';
import { contrastive } from './contrastive.js';
import { cosineRows } from './cosine-rows.js';
import { crossEntropy } from './cross-entropy.js';
import { mseFisher } from './fisher.js';
import { hardestNegatives } from './hardest-negatives.js';
import { loraBackward, loraForward } from './lora.js';
import { loraContrastive } from './lora-contrastive.js';
import { compileKernels, KernelMemory, OutOfKernelMemory } from './memory.js';
import { addPenaltyGradient, pullTowards, quadraticPenalty, sumOfSquares } from './penalty.js';
import { product } from './product.js';
import { cosineEmbedding, mse, triplet } from './rows.js';
import { scan } from './scan.js';

let compiled: object | undefined;
let memory: KernelMemory | undefined;

/** Gives the memory back: WebAssembly's never shrinks, so the next call starts with a new one. */
export function releaseMemory(): void {
  memory = undefined;
}

/** The SIMD backend, compiled at the first call, or undefined where WebAssembly SIMD or memory for it is missing. */
export function simdKernels(): Kernels | undefined {
  compiled ??= compileKernels();
  if (!compiled) return undefined;
  try {
    memory ??= new KernelMemory(compiled);
    return kernels;
  } catch (error) {
    if (error instanceof OutOfKernelMemory) return undefined;
    throw error;
  }
}

/** A kernel in the memory of all; a call for which that cannot grow enough is the scalar kernel's. */
function inMemory<Args extends unknown[], Result>(
  kernel: (memory: KernelMemory, ...args: Args) => Result,
  scalar: (...args: Args) => Result,
): (...args: Args) => Result {
  return (...args) => {
    try {
      memory ??= new KernelMemory(compiled!);
      return kernel(memory, ...args);
    } catch (error) {
      if (error instanceof OutOfKernelMemory) return scalar(...args);
      throw error;
    }
  };
}

const kernels: Kernels = {
  ...scalarKernels,
  name: 'simd',
  contrastive: inMemory(contrastive, scalarKernels.contrastive),
  loraContrastive: inMemory(loraContrastive, scalarKernels.loraContrastive),
  hardestNegatives: inMemory(hardestNegatives, scalarKernels.hardestNegatives),
  cosineRows: inMemory(cosineRows, scalarKernels.cosineRows),
  scan: inMemory(scan, scalarKernels.scan),
  triplet: inMemory(triplet, scalarKernels.triplet),
  mse: inMemory(mse, scalarKernels.mse),
  cosineEmbedding: inMemory(cosineEmbedding, scalarKernels.cosineEmbedding),
  crossEntropy: inMemory(crossEntropy, scalarKernels.crossEntropy),
  mseFisher: inMemory(mseFisher, scalarKernels.mseFisher),
  product: inMemory(product, scalarKernels.product),
  quadraticPenalty: inMemory(quadraticPenalty, scalarKernels.quadraticPenalty),
  addPenaltyGradient: inMemory(addPenaltyGradient, scalarKernels.addPenaltyGradient),
  pullTowards: inMemory(pullTowards, scalarKernels.pullTowards),
  sumOfSquares: inMemory(sumOfSquares, scalarKernels.sumOfSquares),
  adamw: inMemory(adamw, scalarKernels.adamw),
  loraForward: inMemory(loraForward, scalarKernels.loraForward),
  loraBackward: inMemory(loraBackward, scalarKernels.loraBackward),
};
