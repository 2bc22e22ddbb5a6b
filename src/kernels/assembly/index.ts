/**
 * The SIMD kernels. `build.mjs` compiles them into one WebAssembly module. The memory belongs to the host, which lays
 * out operands and results. The kernels do not allocate. Pointers and strides are in bytes. Rows are padded with zeros
 * to a multiple of 16 floats, and the added rows of a padded matrix are zero.
 */
export { adamw } from './adamw';
export {
  gradientBlock,
  nearHighest,
  ownCosines,
  ownGradients,
  pairCosines,
  pairGradients,
  projectRows,
  softmaxBlock,
} from './contrastive';
export { logitSums, softmaxGradient } from './cross-entropy';
export { addScaled, dotRows, dotWideRows, outputErrors, squareAll } from './fisher';
export { gemm, gemmPart } from './gemm';
export { cosines16Part } from './gemm16';
export { heapBase } from './layout';
export { loraAnchors, loraCandidates, loraSum } from './lora-contrastive';
export { loraScratchBytes } from './lora-problem';
export { pairProducts, squaredDistances } from './pairs';
export { penaltyGradient, pullTowards, quadraticPenalty, sumOfSquares } from './penalty';
export { normalizeRows, packPanels } from './rows';
export { selectAbove } from './select';
