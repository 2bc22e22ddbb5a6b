import type { Rows } from '../../types.js';
import type { CosineRows } from '../kernels.js';
import { commonWidth } from '../matrix.js';
import * as scalar from '../scalar/contrastive.js';
import type { KernelMemory } from './memory.js';
import { compareBlock, shapeOf, takeBlock, takeCandidates, writeCandidates } from './similarity.js';

type AnchorVisit = Parameters<CosineRows>[2];

/** Compares one block of anchors at a time. Rows so short that their cosines need damping go to the scalar kernel. */
export function cosineRows(memory: KernelMemory, anchors: Rows, candidates: Rows, visit: AnchorVisit): void {
  const width = anchors.length === 0 || candidates.length === 0 ? 0 : commonWidth(anchors, candidates);
  if (width === 0) {
    scalar.cosineRows(anchors, candidates, visit);
    return;
  }

  const shape = shapeOf(width, anchors.length, candidates.length);
  memory.begin();
  const columns = takeCandidates(memory, shape, candidates.length);
  const block = takeBlock(memory, shape);
  memory.commit();

  writeCandidates(memory, shape, columns, candidates);
  for (let first = 0; first < anchors.length; first += shape.blockRows) {
    compareBlock(memory, shape, block, anchors, first, columns);
    const rows = anchors.slice(first, first + block.rows);
    const isDamped = memory.f32
      .subarray(block.quotients / 4, block.quotients / 4 + block.rows)
      .some(quotient => quotient > 0);
    if (isDamped) {
      scalar.cosineRows(rows, candidates, (i, cosines) => visit(first + i, cosines));
      continue;
    }
    for (let i = 0, at = block.cosines / 4; i < block.rows; i++, at += shape.blockStride) {
      visit(first + i, memory.f32.subarray(at, at + candidates.length));
    }
  }
}

/** Skips the anchors that were visited before, for a call that may have to start again. */
export function eachAnchorOnce(visit: AnchorVisit): AnchorVisit {
  let next = 0;
  return (anchor, cosines) => {
    if (anchor < next) return;
    next = anchor + 1;
    visit(anchor, cosines);
  };
}
