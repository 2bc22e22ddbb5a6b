import type { Float32Row } from '../../types.js';
import type { ContrastiveProblem, ContrastiveResult, WantedGradients } from '../kernels.js';
import { commonWidth, viewRows } from '../matrix.js';
import * as scalar from '../scalar/contrastive.js';
import { addPairs, type Backward, takeBackward, takePairs, writePairs } from './contrastive-regions.js';
import type { KernelMemory } from './memory.js';
import { addOwnGradients, compareOwn, takeOwn } from './own-negatives.js';
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
 * Cosines in float32 have an error of about 1e-7, and logits an error of 1e-7 / temperature. This is too much below
 * 1e-3. Above 1e20, masked candidates would count.
 */
export const LOWEST_TEMPERATURE = 1e-3;
export const HIGHEST_TEMPERATURE = 1e20;

/** Multiply-adds that threads share. */
export function contrastiveWork({ anchors, candidates, wanted }: ContrastiveProblem): number {
  return (wanted ? 2 : 1) * anchors.length * candidates.length * (anchors[0]?.length ?? 0);
}

/** Computes cosines, softmax and gradient for one block of anchors at a time. The whole n × m matrix never exists. */
export function contrastive(memory: KernelMemory, problem: ContrastiveProblem): ContrastiveResult {
  const { anchors, positives, candidates: candidateRows, kind, own, groups, temperature, wanted } = problem;
  const isOrdinary = temperature >= LOWEST_TEMPERATURE && temperature <= HIGHEST_TEMPERATURE;
  const ownRows = own ? own.rows : [];
  const hasNegatives = candidateRows.length + ownRows.length > 0;
  const width = hasNegatives && isOrdinary ? commonWidth(anchors, positives, candidateRows, ownRows) : 0;
  if (width === 0) return scalar.contrastive(problem);

  const shape = shapeOf(width, anchors.length, candidateRows.length, ownRows.length / anchors.length);
  memory.begin();
  const candidates = takeCandidates(memory, shape, candidateRows.length);
  const block = takeBlock(memory, shape);
  const weights = memory.take(4 * shape.blockRows * shape.blockStride);
  const softmax = memory.take(24 * shape.blockRows);
  const candidateGroups = groups ? memory.take(4 * candidates.padded) : 0;
  const anchorGroups = groups ? memory.take(4 * anchors.length) : 0;
  const pairs = kind === 'others' ? takePairs(memory, shape) : undefined;
  const ownBlock = own ? takeOwn(memory, shape) : undefined;
  const backward = wanted ? takeBackward(memory, shape, candidates) : undefined;
  memory.commit();

  writeCandidates(memory, shape, candidates, candidateRows);
  // A row that no anchor counts does not change the loss, but a number that is not finite would spoil the gradients.
  if (!candidates.isFinite) return scalar.contrastive(problem);
  if (groups) {
    memory.i32.set(groups.candidates, candidateGroups / 4);
    memory.i32.set(groups.anchors, anchorGroups / 4);
  }
  if (backward) {
    memory.f32.fill(0, backward.columnRadials / 4, backward.columnRadials / 4 + candidates.padded);
    memory.f32.fill(0, backward.candidates / 4, backward.candidates / 4 + candidates.padded * shape.stride);
  }
  const flat = (isWanted: boolean | undefined, count: number): Float32Row | undefined =>
    isWanted ? new Float32Array(count * width) : undefined;
  const ofAnchors = flat(wanted?.anchors, anchors.length);
  const ofPairs = flat(pairs && wanted?.positives, anchors.length);
  const ofCandidates = flat(wanted?.candidates, candidates.count);
  const ofOwn = flat(own !== null && wanted?.own, ownRows.length);

  let loss = 0;
  let smallestNorm = candidates.smallestNorm;
  const heat: Heat = { total: 0, magnitude: 0, weights: 0 };
  for (let first = 0; first < anchors.length; first += shape.blockRows) {
    compareBlock(memory, shape, block, anchors, first, candidates);
    if (pairs) writePairs(memory, shape, block, pairs, positives);
    if (own && ownBlock) compareOwn(memory, shape, block, candidates, ownBlock, own);
    const firstOwn = pairs ? -1 : (problem.firstOwn ?? 0) + first;
    memory.call.softmaxBlock(
      block.rows,
      candidates.padded,
      candidates.count,
      shape.ownColumns,
      shape.ownCount,
      block.cosines,
      weights,
      4 * shape.blockStride,
      firstOwn,
      pairs ? pairs.cosines : 0,
      block.quotients,
      candidates.norms32,
      groups ? anchorGroups + 4 * first : 0,
      candidateGroups,
      1 / temperature,
      softmax,
    );
    loss += lossOfBlock(memory, problem, block, softmax, backward);
    if (!backward || !wanted) continue;
    smallestNorm = Math.min(smallestNorm, smallestOf(memory, block.norms, block.rows));
    if (pairs) smallestNorm = Math.min(smallestNorm, smallestOf(memory, pairs.norms, block.rows));
    if (ownBlock)
      smallestNorm = Math.min(smallestNorm, smallestOf(memory, ownBlock.norms, block.rows * shape.ownCount));

    memory.call.gradientBlock(
      block.rows,
      candidates.padded,
      shape.ownColumns,
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
    // `gradientBlock` wrote Σ gradient · (cosine - own cosine) of each row, and the sum of magnitudes.
    for (let i = 0, at = softmax / 8; i < block.rows; i++, at += 3) {
      heat.total += memory.f64[at]!;
      heat.magnitude += memory.f64[at + 1]!;
      heat.weights += memory.f32[backward.ownScales / 4 + i]!;
    }
    multiplyBack(memory, shape, block, candidates, weights, backward, wanted);
    if (pairs) addPairs(memory, shape, block, pairs, backward);
    if (ownBlock) {
      const { anchors: to, radials } = backward;
      addOwnGradients(memory, shape, block, candidates, ownBlock, weights, to, radials);
      if (ofOwn) {
        const { ownCount, stride } = shape;
        memory.readRows(ownBlock.data, stride, ofOwn, first * ownCount, block.rows * ownCount, width);
      }
    }
    if (ofAnchors) readAnchorGradients(memory, shape, block, backward, ofAnchors);
    if (ofPairs) memory.readRows(backward.pairs, shape.stride, ofPairs, first, block.rows, width);
  }
  // Numbers beyond float32 overflow here. The scalar kernel computes them, or shows that they are not finite.
  if (!Number.isFinite(loss)) return scalar.contrastive(problem);
  if (!backward) return { loss };

  if (ofCandidates) readCandidateGradients(memory, shape, candidates, backward, ofCandidates);
  const rowsOf = (flat: Float32Row | undefined): Float32Row[] | null =>
    flat ? viewRows(flat, flat.length / width, width) : null;
  return {
    loss,
    gradients: {
      anchors: rowsOf(ofAnchors),
      positives: rowsOf(ofPairs),
      candidates: rowsOf(ofCandidates),
      own: rowsOf(ofOwn),
      areBounded: isBounded(problem, smallestNorm),
      temperature: isRough(heat, temperature) ? exactHeat(problem) : -heat.total / temperature,
    },
  };
}

/** The loss of the block's rows. With gradients, also writes the factors from softmax weights to gradients. */
function lossOfBlock(
  { f32, f64 }: KernelMemory,
  { temperature, coefficients, losses }: ContrastiveProblem,
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
    const rowLoss = rowLossOf(gap, others, total);
    loss += coefficient * rowLoss;
    if (losses) losses[first + i] = rowLoss;
    if (!backward) continue;
    const scale = coefficient / temperature;
    f32[backward.scales / 4 + i] = scale / total;
    f32[backward.ownScales / 4 + i] = scale * (others / total);
  }
  return loss;
}

/**
 * The loss of an anchor whose highest cosine exceeds its own by `gap · temperature`. `others` is the sum of the other
 * candidates' weights, and `total` is the sum of all weights. Where the own cosine is the highest, small sums stay
 * exact.
 */
export function rowLossOf(gap: number, others: number, total: number): number {
  return gap === 0 ? Math.log1p(others) : gap + Math.log(total);
}

/** The smallest norm above 0, because the gradient at a zero row is 0. */
function smallestOf({ f64 }: KernelMemory, norms: number, count: number): number {
  let smallest = Infinity;
  for (let i = 0, at = norms / 8; i < count; i++, at++) if (f64[at]! > 0 && f64[at]! < smallest) smallest = f64[at]!;
  return smallest;
}

/** ∂cos/∂a is at most 2/|a|. A row's gradient has one such term per anchor and per negative. */
export function isBounded(
  { coefficients, temperature }: Pick<ContrastiveProblem, 'coefficients' | 'temperature'>,
  smallestNorm: number,
): boolean {
  let most = 0;
  for (let i = 0; i < coefficients.length; i++) most = Math.max(most, coefficients[i]!);
  return (most * coefficients.length) / temperature < BOUND && smallestNorm > 1 / BOUND;
}

/** The product of two such factors is far within float32. */
const BOUND = 1e15;

/**
 * Whether the error of the cosines shows in the temperature's gradient. This happens where its terms almost cancel, or
 * are differences of nearly equal cosines: in a few of a thousand problems at common temperatures.
 */
function isRough({ total, magnitude, weights }: Heat, temperature: number): boolean {
  const ofSoftmax = magnitude > 2 * Math.abs(total) ? (magnitude * SOFTMAX_NOISE) / temperature : 0;
  return ofSoftmax + weights * COSINE_NOISE > HEAT_TOLERANCE * Math.abs(total);
}

/** Σ weight · (cosine - own cosine) over all pairs, the sum of the terms' magnitudes, and the sum of the weights. */
interface Heat {
  total: number;
  magnitude: number;
  weights: number;
}

const SOFTMAX_NOISE = 5e-7;
const COSINE_NOISE = 1.2e-7;
const HEAT_TOLERANCE = 1e-4;

/** The temperature's gradient alone, in float64. */
function exactHeat(problem: ContrastiveProblem): number {
  const wanted = { anchors: false, positives: false, candidates: false, own: false };
  return scalar.contrastive({ ...problem, wanted, losses: null }).gradients!.temperature;
}

/**
 * Gradients of anchors are weights · candidates. Gradients of candidates are weightsᵀ · anchors, summed over the
 * blocks.
 */
function multiplyBack(
  memory: KernelMemory,
  { stride, blockStride }: Shape,
  block: Block,
  { data, count }: Candidates,
  weights: number,
  backward: Backward,
  wanted: WantedGradients,
): void {
  const row = 4 * stride;
  const weightRow = 4 * blockStride;
  const { anchors, candidates } = backward;
  if (wanted.anchors && count > 0) {
    memory.gemm(block.rows, stride, count, weights, weightRow, 4, data, row, 64, anchors, row, 0);
  } else {
    memory.f32.fill(0, anchors / 4, anchors / 4 + block.rows * stride);
  }
  if (!wanted.candidates) return;
  memory.gemm(count, stride, block.rows, weights, 4, weightRow, block.data, row, 64, candidates, row, 1);
}

function readAnchorGradients(
  memory: KernelMemory,
  { stride, width }: Shape,
  { first, rows, data, norms }: Block,
  { anchors, radials }: Backward,
  target: Float32Array,
): void {
  memory.call.projectRows(rows, stride, anchors, data, 4 * stride, radials, norms);
  memory.readRows(anchors, stride, target, first, rows, width);
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
