import type { Adapter, Rows } from '../../types.js';
import type { Kernels } from '../kernels.js';
import { scalarKernels } from '../scalar/index.js';
import { adamw } from './adamw.js';
import { contrastive, contrastiveWork } from './contrastive.js';
import { cosineRows, eachAnchorOnce } from './cosine-rows.js';
import { crossEntropy } from './cross-entropy.js';
import { mseFisher } from './fisher.js';
import { hardestNegatives } from './hardest-negatives.js';
import { loraBackward, loraForward } from './lora.js';
import { loraContrastive, loraContrastiveWork } from './lora-contrastive.js';
import { compileKernels, KernelMemory, LostHelper, OutOfKernelMemory } from './memory.js';
import { addPenaltyGradient, pullTowards, quadraticPenalty, sumOfSquares } from './penalty.js';
import { product, productWork } from './product.js';
import { cosineEmbedding, mse, triplet } from './rows.js';
import { eachCandidateOnce, scan, scanWork } from './scan.js';

/**
 * Threads share a call of at least this many multiply-adds. Smaller calls use a memory that is not shared, because
 * copying rows into a shared memory takes twice as long.
 */
const WORTH_SHARING = 2 ** 23;

let compiled: object | undefined;
let compiledForThreads: object | undefined;
/** What the compiler said. */
let refusal: string | undefined;
let memory: KernelMemory | undefined;
let sharedMemory: KernelMemory | undefined;
/** Number of threads, including the calling thread. */
let threads = 1;
/** False where shared memory is missing, or after a helper was lost at work. The next release resets it. */
let canShare = true;

/**
 * Releases the memory and ends helper threads. A WebAssembly memory never shrinks, so the next call starts with a new
 * one.
 */
export function releaseMemory(): void {
  releaseShared();
  memory = undefined;
  canShare = true;
}

/** Sets the number of threads, including the calling thread. */
export function setThreads(count: number): void {
  if (count === threads) return;
  releaseShared();
  canShare = true;
  threads = count;
}

export function countThreads(): number {
  return threads;
}

/** Makes a compiled module the one that computes from the next call on. */
export function setModule(module: object): void {
  releaseMemory();
  compiled = module;
}

/** Why there are no SIMD kernels although there is WebAssembly; undefined where there are, or where it is missing. */
export function whyNoSimd(): string | undefined {
  return refusal;
}

/** The SIMD backend. The first call compiles it. Undefined where WebAssembly SIMD, or memory for it, is missing. */
export function simdKernels(): Kernels | undefined {
  try {
    compiled ??= compileKernels();
  } catch (error) {
    refusal = error instanceof Error ? error.message : String(error);
  }
  if (!compiled) return undefined;
  try {
    memory ??= new KernelMemory(compiled);
    return kernels;
  } catch (error) {
    if (error instanceof OutOfKernelMemory) return undefined;
    throw error;
  }
}

/**
 * A kernel that works in the common memory. Where the memory cannot grow enough for a call, the scalar kernel computes
 * it.
 *
 * @param work Multiply-adds of a call that threads can share.
 */
function inMemory<Args extends unknown[], Result>(
  kernel: (memory: KernelMemory, ...args: Args) => Result,
  scalar: (...args: Args) => Result,
  work: (...args: Args) => number = () => 0,
): (...args: Args) => Result {
  return (...args) => {
    try {
      const shared = threads > 1 && work(...args) >= WORTH_SHARING ? openShared() : undefined;
      if (shared) {
        try {
          return kernel(shared, ...args);
        } catch (error) {
          // A lost helper that continues later must not write to a memory in use.
          if (!(error instanceof LostHelper)) throw error;
          releaseShared();
          canShare = false;
        }
      }
      memory ??= new KernelMemory(compiled!);
      return kernel(memory, ...args);
    } catch (error) {
      if (error instanceof OutOfKernelMemory) return scalar(...args);
      throw error;
    }
  };
}

function openShared(): KernelMemory | undefined {
  if (sharedMemory || !canShare) return sharedMemory;
  try {
    compiledForThreads ??= compileKernels(true);
    if (compiledForThreads) sharedMemory = new KernelMemory(compiledForThreads, threads);
  } catch (error) {
    // It is not refused alone: the calling thread goes on by itself.
    if (compiledForThreads && !(error instanceof OutOfKernelMemory)) throw error;
  }
  canShare = sharedMemory !== undefined;
  return sharedMemory;
}

function releaseShared(): void {
  sharedMemory?.release();
  sharedMemory = undefined;
}

/** Multiply-adds of the product of all rows of one matrix with all rows of the other. */
const pairWork = (a: Rows, b: Rows): number => a.length * b.length * (a[0]?.length ?? 0);
const loraWork = ({ loraA, loraB }: Adapter, inputs: Rows): number =>
  inputs.length * loraB.length * (loraA.length + loraB[0]!.length);

const cosineRowsInMemory = inMemory(cosineRows, scalarKernels.cosineRows, pairWork);
const scanInMemory = inMemory(scan, scalarKernels.scan, scanWork);

const kernels: Kernels = {
  ...scalarKernels,
  name: 'simd',
  contrastive: inMemory(contrastive, scalarKernels.contrastive, contrastiveWork),
  loraContrastive: inMemory(loraContrastive, scalarKernels.loraContrastive, loraContrastiveWork),
  hardestNegatives: inMemory(hardestNegatives, scalarKernels.hardestNegatives, pairWork),
  cosineRows: (anchors, candidates, visit) => cosineRowsInMemory(anchors, candidates, eachAnchorOnce(visit)),
  scan: (queries, candidates, thresholds, visit, int16) =>
    scanInMemory(queries, candidates, thresholds, eachCandidateOnce(queries.count, visit), int16),
  triplet: inMemory(triplet, scalarKernels.triplet),
  mse: inMemory(mse, scalarKernels.mse),
  cosineEmbedding: inMemory(cosineEmbedding, scalarKernels.cosineEmbedding),
  crossEntropy: inMemory(crossEntropy, scalarKernels.crossEntropy),
  mseFisher: inMemory(mseFisher, scalarKernels.mseFisher),
  product: inMemory(product, scalarKernels.product, productWork),
  quadraticPenalty: inMemory(quadraticPenalty, scalarKernels.quadraticPenalty),
  addPenaltyGradient: inMemory(addPenaltyGradient, scalarKernels.addPenaltyGradient),
  pullTowards: inMemory(pullTowards, scalarKernels.pullTowards),
  sumOfSquares: inMemory(sumOfSquares, scalarKernels.sumOfSquares),
  adamw: inMemory(adamw, scalarKernels.adamw),
  loraForward: inMemory(loraForward, scalarKernels.loraForward, loraWork),
  loraBackward: inMemory(loraBackward, scalarKernels.loraBackward, loraWork),
};
