import type { Rows } from '../../types.js';
import { COSINE_EPSILON } from '../vector.js';
import { type KernelMemory, roundUp, strideOf } from './memory.js';

/** Largest number of anchors per block, and of entries of their cosines, so that memory grows with n + m only. */
const BLOCK_ROWS = 64;
const BLOCK_ENTRIES = 2 ** 19;
/** Largest number of floats of a block's own negatives (8 MiB). */
const OWN_ENTRIES = 2 ** 21;
/** Below this ε/(|a||b|), dividing by |a||b| + ε equals dividing by |a||b| in float32. */
const NO_DAMPING = 5e-8;

/** Sizes of one problem: n anchors against m candidates of `width` floats. Strides are in floats. */
export interface Shape {
  width: number;
  stride: number;
  blockRows: number;
  blockStride: number;
  /** Number of own negatives per anchor. */
  ownCount: number;
  /** `ownCount` rounded up to a multiple of 16. This many columns follow the columns of the padded candidates. */
  ownColumns: number;
}

/** Candidates, prepared for blocks of anchors. Pointers into the kernels' memory. */
export interface Candidates {
  count: number;
  /** `count` rounded up to a multiple of 16. The added rows are zero. */
  padded: number;
  /** Normalised rows. */
  data: number;
  /** The same rows in panels, the layout in which `gemm` reads a transposed matrix. */
  panels: number;
  /** Norms in float64 and float32. */
  norms: number;
  norms32: number;
  /** The smallest norm above 0. */
  smallestNorm: number;
  /** Whether every norm is finite. */
  isFinite: boolean;
}

/** A block of anchors and its cosines with all candidates. Pointers into the kernels' memory. */
export interface Block {
  first: number;
  rows: number;
  /** Normalised rows. */
  data: number;
  /** Norms in float64. */
  norms: number;
  /** ε/|a| for each anchor, or 0 where it makes no difference. */
  quotients: number;
  /** One row per anchor, one column per candidate. */
  cosines: number;
}

export function shapeOf(width: number, anchors: number, candidates: number, ownCount = 0): Shape {
  const stride = strideOf(width);
  const ownColumns = roundUp(ownCount, 16);
  const blockStride = strideOf(roundUp(candidates, 16) + ownColumns);
  const fitting = Math.max(8, Math.floor(BLOCK_ENTRIES / blockStride));
  const withOwn = ownCount === 0 ? fitting : Math.max(1, Math.floor(OWN_ENTRIES / (ownCount * stride)));
  const blockRows = Math.min(BLOCK_ROWS, fitting, withOwn, anchors);
  return { width, stride, blockStride, blockRows, ownCount, ownColumns };
}

export function takeCandidates(memory: KernelMemory, { stride }: Shape, count: number): Candidates {
  const padded = roundUp(count, 16);
  return {
    count,
    padded,
    data: memory.take(4 * padded * stride),
    panels: memory.take(4 * padded * stride),
    norms: memory.take(8 * padded),
    norms32: memory.take(4 * padded),
    smallestNorm: 0,
    isFinite: true,
  };
}

export function takeBlock(memory: KernelMemory, { stride, blockRows, blockStride }: Shape): Block {
  return {
    first: 0,
    rows: 0,
    data: memory.take(4 * blockRows * stride),
    norms: memory.take(8 * blockRows),
    quotients: memory.take(4 * blockRows),
    cosines: memory.take(4 * blockRows * blockStride),
  };
}

export function writeCandidates(memory: KernelMemory, { stride }: Shape, candidates: Candidates, rows: Rows): void {
  const { call, f32, f64 } = memory;
  const { data, count, padded, panels } = candidates;
  memory.writeRows(rows, data, stride, padded);
  call.normalizeRows(count, stride, data, 4 * stride, candidates.norms);
  call.packPanels(padded, stride, data, 4 * stride, panels);
  let smallest = Infinity;
  let sum = 0;
  const [from, to] = [candidates.norms / 8, candidates.norms32 / 4];
  for (let j = 0; j < count; j++) {
    const norm = f64[from + j]!;
    f32[to + j] = norm;
    sum += norm;
    if (norm > 0 && norm < smallest) smallest = norm;
  }
  f32.fill(0, to + count, to + padded);
  candidates.smallestNorm = smallest;
  candidates.isFinite = Number.isFinite(sum);
}

/** Moves the block to the anchors that start at `first`, and compares them with all candidates. */
export function compareBlock(
  memory: KernelMemory,
  { stride, blockRows, blockStride }: Shape,
  block: Block,
  anchors: Rows,
  first: number,
  candidates: Candidates,
): void {
  const { call, f32, f64 } = memory;
  const rows = Math.min(blockRows, anchors.length - first);
  block.first = first;
  block.rows = rows;
  memory.writeRows(rows === anchors.length ? anchors : anchors.slice(first, first + rows), block.data, stride);
  call.normalizeRows(rows, stride, block.data, 4 * stride, block.norms);
  for (let i = 0, from = block.norms / 8, to = block.quotients / 4; i < rows; i++) {
    const quotient = COSINE_EPSILON / f64[from + i]!;
    f32[to + i] = quotient < NO_DAMPING * candidates.smallestNorm ? 0 : quotient;
  }
  const { count, panels } = candidates;
  memory.gemm(
    rows,
    roundUp(count, 8),
    stride,
    block.data,
    4 * stride,
    4,
    panels,
    64,
    64 * stride,
    block.cosines,
    4 * blockStride,
    0,
  );
}
