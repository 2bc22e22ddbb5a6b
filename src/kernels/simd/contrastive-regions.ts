import type { Rows } from '../../types.js';
import type { KernelMemory } from './memory.js';
import type { Block, Candidates, Shape } from './similarity.js';

/** The anchors' positives, where the candidates are other rows. Pointers into the kernels' memory. */
export interface Pairs {
  /** Normalised rows of the block. */
  data: number;
  norms: number;
  /** Cosine of each anchor with its own positive. */
  cosines: number;
}

/** Regions that only gradients need. Pointers into the kernels' memory. */
export interface Backward {
  /** Factors on the softmax weights of the candidates, and on the weight of the anchor's own positive. */
  scales: number;
  ownScales: number;
  /** Σ gradient · cosine by anchor (float64) and by candidate (float32, then float64). */
  radials: number;
  columnRadials: number;
  columnRadials64: number;
  /** Gradients of the block's anchors, of its pairs, and of all candidates. */
  anchors: number;
  pairs: number;
  candidates: number;
}

export function takePairs(memory: KernelMemory, { stride, blockRows }: Shape): Pairs {
  return {
    data: memory.take(4 * blockRows * stride),
    norms: memory.take(8 * blockRows),
    cosines: memory.take(4 * blockRows),
  };
}

export function writePairs(memory: KernelMemory, { stride }: Shape, block: Block, pairs: Pairs, positives: Rows): void {
  const { first, rows } = block;
  memory.writeRows(positives.slice(first, first + rows), pairs.data, stride);
  memory.call.normalizeRows(rows, stride, pairs.data, 4 * stride, pairs.norms);
  const { data, norms, cosines } = pairs;
  memory.call.pairCosines(rows, stride, block.data, data, 4 * stride, block.norms, norms, cosines);
}

export function addPairs(
  { call }: KernelMemory,
  { stride }: Shape,
  block: Block,
  pairs: Pairs,
  backward: Backward,
): void {
  call.pairGradients(
    block.rows,
    stride,
    block.data,
    pairs.data,
    4 * stride,
    block.norms,
    pairs.norms,
    pairs.cosines,
    backward.ownScales,
    backward.anchors,
    backward.radials,
    backward.pairs,
  );
}

/** Reserves the regions. The caller clears the regions that blocks add to. */
export function takeBackward(memory: KernelMemory, { stride, blockRows }: Shape, { padded }: Candidates): Backward {
  return {
    scales: memory.take(4 * blockRows),
    ownScales: memory.take(4 * blockRows),
    radials: memory.take(8 * blockRows),
    columnRadials64: memory.take(8 * padded),
    anchors: memory.take(4 * blockRows * stride),
    pairs: memory.take(4 * blockRows * stride),
    columnRadials: memory.take(4 * padded),
    candidates: memory.take(4 * padded * stride),
  };
}
