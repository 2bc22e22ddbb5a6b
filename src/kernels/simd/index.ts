import type { Kernels } from '../kernels.js';
import { scalarKernels } from '../scalar/index.js';
import { contrastive } from './contrastive.js';
import { crossEntropy } from './cross-entropy.js';
import { mseFisher } from './fisher.js';
import { hardestNegatives } from './hardest-negatives.js';
import { loraBackward, loraForward } from './lora.js';
import { compileKernels, KernelMemory } from './memory.js';
import { cosineEmbedding, mse, triplet } from './rows.js';

let compiled: object | undefined;
let memory: KernelMemory | undefined;

/** The kernels' memory, made at the first call that needs it. */
function kernelMemory(): KernelMemory {
  memory ??= new KernelMemory(compiled!);
  return memory;
}

/** Gives the memory back: WebAssembly's never shrinks, so the next call starts with a new one. */
export function releaseMemory(): void {
  memory = undefined;
}

/** The SIMD backend, compiled at the first call, or undefined where WebAssembly SIMD is missing. */
export function simdKernels(): Kernels | undefined {
  compiled ??= compileKernels();
  return compiled && kernels;
}

const kernels: Kernels = {
  ...scalarKernels,
  name: 'simd',
  contrastive: problem => contrastive(kernelMemory(), problem),
  hardestNegatives: (anchors, positives) => hardestNegatives(kernelMemory(), anchors, positives),
  triplet: (anchors, positives, negatives, margin, coefficients) =>
    triplet(kernelMemory(), anchors, positives, negatives, margin, coefficients),
  mse: (predictions, targets, coefficients, gradients) =>
    mse(kernelMemory(), predictions, targets, coefficients, gradients),
  cosineEmbedding: (predictions, targets, labels, margin, coefficients) =>
    cosineEmbedding(kernelMemory(), predictions, targets, labels, margin, coefficients),
  crossEntropy: (logits, targets, labelSmoothing, coefficients) =>
    crossEntropy(kernelMemory(), logits, targets, labelSmoothing, coefficients),
  mseFisher: (adapter, inputs, targets) => mseFisher(kernelMemory(), adapter, inputs, targets),
  loraForward: (adapter, inputs) => loraForward(kernelMemory(), adapter, inputs),
  loraBackward: (adapter, inputs, hidden, gradOutputs) =>
    loraBackward(kernelMemory(), adapter, inputs, hidden, gradOutputs),
};
