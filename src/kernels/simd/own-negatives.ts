import type { OwnNegatives } from '../kernels.js';
import type { KernelMemory } from './memory.js';
import type { Block, Candidates, Shape } from './similarity.js';

/** The cosine of a skipped row, as in src/kernels/assembly/contrastive.ts. */
const MASKED = -1e30;

/**
 * The own negatives of a block's anchors. In each row, their cosines follow the cosines of the candidates, so one
 * softmax covers both. Pointers into the kernels' memory.
 */
export interface OwnBlock {
  /** Normalised rows, and later their gradients. */
  data: number;
  /** Norms in float64. */
  norms: number;
}

export function takeOwn(memory: KernelMemory, { stride, blockRows, ownCount }: Shape): OwnBlock {
  return {
    data: memory.take(4 * blockRows * ownCount * stride),
    norms: memory.take(8 * blockRows * ownCount),
  };
}

/** Compares the block's anchors with their own negatives. */
export function compareOwn(
  memory: KernelMemory,
  { stride, blockStride, ownCount }: Shape,
  block: Block,
  { padded }: Candidates,
  { data, norms }: OwnBlock,
  own: OwnNegatives,
): void {
  const first = block.first * ownCount;
  const count = block.rows * ownCount;
  memory.writeRows(count === own.rows.length ? own.rows : own.rows.slice(first, first + count), data, stride);
  memory.call.normalizeRows(count, stride, data, 4 * stride, norms);
  const cosines = block.cosines + 4 * padded;
  memory.call.ownCosines(
    block.rows,
    ownCount,
    stride,
    block.data,
    data,
    4 * stride,
    block.norms,
    norms,
    cosines,
    4 * blockStride,
  );
  for (let i = 0, j = first; i < block.rows; i++) {
    for (let k = 0, at = cosines / 4 + i * blockStride; k < ownCount; k++, j++, at++) {
      if (own.isSkipped[j]) memory.f32[at] = MASKED;
    }
  }
}

/** Adds to the gradients and radials of the block's anchors, and replaces the own negatives by their gradients. */
export function addOwnGradients(
  { call }: KernelMemory,
  { stride, blockStride, ownCount }: Shape,
  block: Block,
  { padded }: Candidates,
  { data, norms }: OwnBlock,
  weights: number,
  anchorGradients: number,
  anchorRadials: number,
): void {
  call.ownGradients(
    block.rows,
    ownCount,
    stride,
    block.data,
    data,
    4 * stride,
    block.norms,
    norms,
    weights + 4 * padded,
    block.cosines + 4 * padded,
    4 * blockStride,
    anchorGradients,
    anchorRadials,
  );
}
