import type { Rows } from '../../types.js';
import type { ContrastiveProblem, ContrastiveResult } from '../kernels.js';
import { commonWidth, viewRows } from '../matrix.js';
import * as scalar from '../scalar/contrastive.js';
import type { KernelMemory } from './memory.js';
import {
  type Block,
  type Candidates,
  compareBlock,
  type Shape,
  shapeOf,
  takeBlock,
  takeCandidates,
  writeCandidates,
} from './similarity.js';

/**
 * Cosines in float32 are off by about 1e-7, logits by 1e-7 / temperature: below 1e-3 that is too much. Above 1e20 what
 * is masked would no longer be.
 */
const LOWEST_TEMPERATURE = 1e-3;
const HIGHEST_TEMPERATURE = 1e20;

/** The anchors' own positives, where the candidates are others. Pointers into the kernels' memory. */
interface Pairs {
  /** Normalised rows of the block. */
  data: number;
  norms: number;
  /** Cosine of each anchor with its own positive. */
  cosines: number;
}

/** What gradients need besides. Pointers into the kernels' memory. */
interface Backward {
  /** Factors on the softmax weights of the candidates and on the anchor's own. */
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

/** Block after block of anchors: cosines, softmax, gradient; never the whole n × m matrix. */
export function contrastive(memory: KernelMemory, problem: ContrastiveProblem): ContrastiveResult {
  const { anchors, positives, candidates: candidateRows, kind, groups, temperature } = problem;
  const isOrdinary = temperature >= LOWEST_TEMPERATURE && temperature <= HIGHEST_TEMPERATURE;
  const width = candidateRows.length === 0 ? 0 : commonWidth(anchors, positives, candidateRows);
  // One candidate an anchor is no product of matrices.
  if (width === 0 || !isOrdinary || kind === 'own') return scalar.contrastive(problem);

  const shape = shapeOf(width, anchors.length, candidateRows.length);
  memory.begin();
  const candidates = takeCandidates(memory, shape, candidateRows.length);
  const block = takeBlock(memory, shape);
  const weights = memory.take(4 * shape.blockRows * shape.blockStride);
  const softmax = memory.take(24 * shape.blockRows);
  const groupsAt = groups ? memory.take(4 * candidates.padded) : 0;
  const pairs = kind === 'others' ? takePairs(memory, shape) : undefined;
  const backward = problem.gradients ? takeBackward(memory, shape, candidates) : undefined;
  memory.commit();

  writeCandidates(memory, shape, candidates, candidateRows);
  if (groups) memory.i32.set(groups, groupsAt / 4);
  if (backward) {
    memory.f32.fill(0, backward.columnRadials / 4, backward.columnRadials / 4 + candidates.padded);
    memory.f32.fill(0, backward.candidates / 4, backward.candidates / 4 + candidates.padded * shape.stride);
  }
  const gradients = backward && {
    anchors: new Float32Array(anchors.length * width),
    pairs: new Float32Array(pairs ? anchors.length * width : 0),
    candidates: new Float32Array(candidates.count * width),
  };

  let loss = 0;
  let temperatureGradient = 0;
  for (let first = 0; first < anchors.length; first += shape.blockRows) {
    compareBlock(memory, shape, block, anchors, first, candidates);
    if (pairs) writePairs(memory, shape, block, pairs, positives);
    const firstOwn = pairs ? -1 : first;
    memory.call.softmaxBlock(
      block.rows,
      candidates.padded,
      candidates.count,
      block.cosines,
      weights,
      4 * shape.blockStride,
      firstOwn,
      pairs ? pairs.cosines : 0,
      block.quotients,
      candidates.norms32,
      groups ? groupsAt + 4 * first : 0,
      groupsAt,
      1 / temperature,
      softmax,
    );
    loss += lossOfBlock(memory, problem, block, softmax, backward);
    if (!backward || !gradients) continue;

    memory.call.gradientBlock(
      block.rows,
      candidates.padded,
      block.cosines,
      weights,
      4 * shape.blockStride,
      firstOwn,
      block.quotients,
      candidates.norms32,
      backward.scales,
      backward.ownScales,
      softmax,
      backward.radials,
      backward.columnRadials,
    );
    temperatureGradient -= heatOfBlock(memory, block, softmax, pairs, backward) / temperature;
    multiplyBack(memory, shape, block, candidates, weights, backward);
    if (pairs) addPairs(memory, shape, block, pairs, backward);
    const { stride } = shape;
    memory.call.projectRows(
      block.rows,
      stride,
      backward.anchors,
      block.data,
      4 * stride,
      backward.radials,
      block.norms,
    );
    memory.readRows(backward.anchors, stride, gradients.anchors, first, block.rows, width);
    if (pairs) memory.readRows(backward.pairs, stride, gradients.pairs, first, block.rows, width);
  }
  // Numbers beyond float32 overflow here: the scalar kernel takes them, or shows that they are not finite.
  if (!Number.isFinite(loss)) return scalar.contrastive(problem);
  if (!backward || !gradients) return { loss };

  readCandidateGradients(memory, shape, candidates, backward, gradients.candidates);
  const ofCandidates = viewRows(gradients.candidates, candidates.count, width);
  return {
    loss,
    gradients: {
      anchors: viewRows(gradients.anchors, anchors.length, width),
      positives: pairs ? viewRows(gradients.pairs, anchors.length, width) : null,
      candidates: ofCandidates,
      temperature: temperatureGradient,
    },
  };
}

/** The loss of the block's rows; with gradients also the factors from softmax weights to gradients. */
function lossOfBlock(
  { f32, f64 }: KernelMemory,
  { temperature, coefficients }: ContrastiveProblem,
  { first, rows }: Block,
  softmax: number,
  backward: Backward | undefined,
): number {
  let loss = 0;
  for (let i = 0, at = softmax / 8; i < rows; i++, at += 3) {
    const highest = f64[at]!;
    const others = f64[at + 1]!;
    const gap = (highest - f64[at + 2]!) / temperature;
    const coefficient = coefficients[first + i]!;
    const ownShare = Math.exp(-gap);
    const total = others + ownShare;
    loss += coefficient * (gap === 0 ? Math.log1p(others) : gap + Math.log(total));
    if (!backward) continue;
    const scale = coefficient / temperature;
    f32[backward.scales / 4 + i] = scale / total;
    f32[backward.ownScales / 4 + i] = scale * (others / total);
  }
  return loss;
}

/** Σ gradient · cosine over the block, whose part over the candidates `gradientBlock` has left in the first results. */
function heatOfBlock(
  { f32, f64 }: KernelMemory,
  { rows }: Block,
  softmax: number,
  pairs: Pairs | undefined,
  backward: Backward,
): number {
  let heat = 0;
  for (let i = 0; i < rows; i++) {
    heat += f64[softmax / 8 + 3 * i]!;
    if (pairs) heat -= f32[backward.ownScales / 4 + i]! * f32[pairs.cosines / 4 + i]!;
  }
  return heat;
}

/** Anchors: weights · candidates. Candidates: weightsᵀ · anchors, added up over the blocks. */
function multiplyBack(
  { call }: KernelMemory,
  { stride, blockStride }: Shape,
  block: Block,
  { data, count }: Candidates,
  weights: number,
  backward: Backward,
): void {
  const row = 4 * stride;
  const weightRow = 4 * blockStride;
  call.gemm(block.rows, stride, count, weights, weightRow, 4, data, row, 64, backward.anchors, row, 0);
  call.gemm(count, stride, block.rows, weights, 4, weightRow, block.data, row, 64, backward.candidates, row, 1);
}

function readCandidateGradients(
  memory: KernelMemory,
  { stride, width }: Shape,
  { data, norms, count }: Candidates,
  backward: Backward,
  target: Float32Array,
): void {
  const { f32, f64 } = memory;
  for (let j = 0, from = backward.columnRadials / 4, to = backward.columnRadials64 / 8; j < count; j++) {
    f64[to + j] = f32[from + j]!;
  }
  memory.call.projectRows(count, stride, backward.candidates, data, 4 * stride, backward.columnRadials64, norms);
  memory.readRows(backward.candidates, stride, target, 0, count, width);
}

function takePairs(memory: KernelMemory, { stride, blockRows }: Shape): Pairs {
  return {
    data: memory.take(4 * blockRows * stride),
    norms: memory.take(8 * blockRows),
    cosines: memory.take(4 * blockRows),
  };
}

function writePairs(memory: KernelMemory, { stride }: Shape, block: Block, pairs: Pairs, positives: Rows): void {
  const { first, rows } = block;
  memory.writeRows(positives.slice(first, first + rows), pairs.data, stride);
  memory.call.normalizeRows(rows, stride, pairs.data, 4 * stride, pairs.norms);
  const { data, norms, cosines } = pairs;
  memory.call.pairCosines(rows, stride, block.data, data, 4 * stride, block.norms, norms, cosines);
}

function addPairs({ call }: KernelMemory, { stride }: Shape, block: Block, pairs: Pairs, backward: Backward): void {
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

/** Reserves the regions; the caller clears those that blocks add to. */
function takeBackward(memory: KernelMemory, { stride, blockRows }: Shape, { padded }: Candidates): Backward {
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
