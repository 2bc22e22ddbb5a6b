import type { Rows } from '../../types.js';
import { COSINE_ERROR } from '../kernels.js';
import { commonWidth } from '../matrix.js';
import * as scalar from '../scalar/contrastive.js';
import { cosineInOrder, firstHighest } from '../vector.js';
import type { KernelMemory } from './memory.js';
import { compareBlock, shapeOf, takeBlock, takeCandidates, writeCandidates } from './similarity.js';

/**
 * Finds the candidates near the highest cosine in float32 and decides between them in float64, so the winner of a tie
 * is the scalar kernel's.
 */
export function hardestNegatives(memory: KernelMemory, anchors: Rows, positives: Rows): Int32Array {
  const width = anchors.length === 0 || positives.length < 2 ? 0 : commonWidth(anchors, positives);
  if (width === 0) return scalar.hardestNegatives(anchors, positives);

  const shape = shapeOf(width, anchors.length, positives.length);
  memory.begin();
  const candidates = takeCandidates(memory, shape, positives.length);
  const block = takeBlock(memory, shape);
  const near = memory.take(4 * candidates.padded);
  memory.commit();

  writeCandidates(memory, shape, candidates, positives);
  const hardest = new Int32Array(anchors.length);
  for (let first = 0; first < anchors.length; first += shape.blockRows) {
    compareBlock(memory, shape, block, anchors, first, candidates);
    for (let i = 0; i < block.rows; i++) {
      const count = memory.call.nearHighest(
        candidates.count,
        block.cosines + 4 * i * shape.blockStride,
        candidates.norms32,
        memory.f32[block.quotients / 4 + i]!,
        first + i,
        COSINE_ERROR,
        near,
      );
      // The cosines are beyond float32, or are not numbers.
      if (count === 0) return scalar.hardestNegatives(anchors, positives);
      const indices = memory.i32.subarray(near / 4, near / 4 + count);
      hardest[first + i] = firstHighest(indices, j => cosineInOrder(anchors[first + i]!, positives[j]!));
    }
  }
  return hardest;
}
