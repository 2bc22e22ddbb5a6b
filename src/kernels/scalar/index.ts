import type { Kernels } from '../kernels.js';
import { contrastive, cosineRows, hardestNegatives } from './contrastive.js';
import { addSquares, blend, divideByLargest, exactFisher, mergeQuadratics, mseFisher } from './fisher.js';
import { loraBackward, loraForward } from './lora.js';
import { adamw, addPenaltyGradient, addRows, pullTowards, quadraticPenalty, sgd, sumOfSquares } from './parameters.js';
import { product } from './product.js';
import { cosineEmbedding, crossEntropy, mse, triplet } from './rows.js';
import { scan } from './scan.js';

/** Plain TypeScript in float64: the fallback where WebAssembly is missing, and the reference of the tests. */
export const scalarKernels: Kernels = {
  name: 'scalar',
  contrastive,
  loraContrastive: () => undefined,
  hardestNegatives,
  cosineRows,
  scan,
  triplet,
  crossEntropy,
  mse,
  cosineEmbedding,
  mseFisher,
  exactFisher,
  addSquares,
  divideByLargest,
  mergeQuadratics,
  blend,
  quadraticPenalty,
  addPenaltyGradient,
  addRows,
  pullTowards,
  loraForward,
  loraBackward,
  product,
  sumOfSquares,
  adamw,
  sgd,
};
