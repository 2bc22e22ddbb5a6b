/**
 * InfoNCE and the gradients of the adapters that rows go through, without the gradients of the adapters' outputs. With
 * G the gradient with respect to the cosines, the gradients of the outputs would be G·V̂, an n × d matrix. The
 * adapter's gradient is (H/|u|)ᵀ·G·V̂ - …, and its first product, (H/|u|)ᵀ·G, is only rank × m. Chunks are independent:
 * each writes to its own places and works in `scratch`.
 */

import { gemm } from './gemm';
import { cosines16, toInt16 } from './gemm16';
import { layOut, Output, OUTPUT_BYTES, Problem, ranksOf, Scratch, Side } from './lora-problem';
import { addColumnRadials, softmaxRows } from './lora-softmax';
import { dot, sumWide } from './math';
import { normalizeRows, packPanels } from './rows';

/** Below this ε/(|a||b|), dividing by |a||b| + ε equals dividing by |a||b| in float32. */
const NO_DAMPING: f64 = 5e-8;
const COSINE_EPSILON: f64 = 1e-8;

/**
 * Prepares a chunk of candidates: through the adapter, normalised, in panels, and with the products that anchors need.
 */
export function loraCandidates(problem: usize, chunk: i32, scratch: usize): void {
  const p = changetype<Problem>(problem);
  const first = chunk * p.chunkRows;
  const rows = min(p.chunkRows, p.candidateCount - first), padded = (rows + 15) & ~15;
  const row = <usize>p.stride << 2;
  const unit = p.unit + <usize>first * row, norms = p.norms + (<usize>first << 3);
  const queryRanks = ranksOf(p.query), answerRanks = ranksOf(p.answer);
  const rightRow = <usize>(queryRanks + answerRanks) << 2;
  const right = p.right + <usize>first * rightRow;
  if (p.answer != 0) {
    const side = changetype<Side>(p.answer);
    loraRows(p, side, rows, p.candidates + (<usize>first * side.inStride << 2), scratch, unit);
  }
  memory.fill(unit + <usize>rows * row, 0, <usize>(padded - rows) * row);
  normalizeRows(rows, p.stride, unit, row, norms);
  for (let j = 0; j < rows; j++) {
    store<f32>(p.norms32 + (<usize>(first + j) << 2), <f32>load<f64>(norms + (<usize>j << 3)));
  }
  for (let j = rows; j < padded; j++) store<f32>(p.norms32 + (<usize>(first + j) << 2), 0);
  const panels = p.panels + <usize>first * row;
  if (p.panels16 != 0) {
    const unit16 = p.unit16 + <usize>first * (row >> 1);
    toInt16(padded, p.stride, unit, row, unit16);
    packPanels(padded, p.stride >> 1, unit16, row >> 1, p.panels16 + <usize>first * (row >> 1));
  }
  if (p.panels16 == 0 || (p.answer != 0 && p.isBackward)) packPanels(padded, p.stride, unit, row, panels);
  if (!p.isBackward) return;
  if (p.query != 0) project(p, p.query, rows, unit, right, rightRow);
  if (p.answer == 0) return;
  const side = changetype<Side>(p.answer);
  for (let j = 0; j < rows; j++) {
    const inverse = inverseOf(load<f64>(norms + (<usize>j << 3)));
    scaleRow(answerRanks, scratch + (<usize>(j * answerRanks) << 2), inverse, right + <usize>j * rightRow + (<usize>queryRanks << 2));
  }
  gemm(side.rank, padded, p.stride, side.b, row, 4, panels, 64, row << 4, p.projected + (<usize>first << 2), <usize>p.columnStride << 2, false);
}

/** Compares a chunk of anchors with all candidates. */
export function loraAnchors(problem: usize, chunk: i32, scratch: usize): void {
  const p = changetype<Problem>(problem), s = changetype<Scratch>(scratch);
  layOut(p, scratch);
  const output = p.outputs + <usize>chunk * p.outputBytes;
  memory.fill(output, 0, p.outputBytes);
  changetype<Output>(output).smallestNorm = Infinity;
  if (p.isBackward) {
    memory.fill(s.statistics, 0, <usize>(ranksOf(p.query) + ranksOf(p.answer)) * p.columnStride << 2);
    memory.fill(s.columnRadials, 0, <usize>p.columnStride << 2);
  }
  const end = min((chunk + 1) * p.chunkRows, p.anchorCount);
  for (let first = chunk * p.chunkRows; first < end; first += p.blockRows) {
    anchorBlock(p, s, output, first, min(p.blockRows, end - first));
  }
  if (!p.isBackward) return;
  if (p.query != 0) finishQuery(p, s, output);
  if (p.answer != 0) finishAnswer(p, s, output);
}

function anchorBlock(p: Problem, s: Scratch, output: usize, first: i32, rows: i32): void {
  const row = <usize>p.stride << 2, tileRow = <usize>p.tileStride << 2;
  if (p.query != 0) {
    const side = changetype<Side>(p.query);
    loraRows(p, side, rows, p.anchors + (<usize>first * side.inStride << 2), s.hidden, s.unit);
  } else {
    memory.copy(s.unit, p.anchors + <usize>first * row, <usize>rows * row);
  }
  normalizeRows(rows, p.stride, s.unit, row, s.norms);
  const sums = changetype<Output>(output);
  for (let i = 0; i < rows; i++) {
    const norm = load<f64>(s.norms + (<usize>i << 3));
    if (norm > 0) sums.smallestNorm = min(sums.smallestNorm, norm);
    const quotient = COSINE_EPSILON / norm;
    store<f32>(s.quotients + (<usize>i << 2), quotient < NO_DAMPING * p.smallestNorm ? 0 : <f32>quotient);
  }
  if (p.panels16 != 0) compare16(p, s, first, rows);
  else compare(p, s, rows);
  softmaxRows(p, s, sums, first, rows);
  if (!p.isBackward) return;

  const queryRanks = ranksOf(p.query), answerRanks = ranksOf(p.answer);
  const ranks = queryRanks + answerRanks, rankRow = <usize>ranks << 2;
  const ofAnswer = <usize>queryRanks << 2;
  if (p.answer != 0) project(p, p.answer, rows, s.unit, s.left + ofAnswer, rankRow);
  for (let i = 0; i < rows; i++) {
    const left = s.left + <usize>i * rankRow;
    const scale = load<f64>(s.scales + (<usize>i << 3)), inverse = inverseOf(load<f64>(s.norms + (<usize>i << 3)));
    scaleRow(queryRanks, s.hidden + (<usize>(i * queryRanks) << 2), scale * inverse, left);
    scaleRow(answerRanks, left + ofAnswer, scale, left + ofAnswer);
  }
  gemm(ranks, p.columns, rows, s.left, 4, rankRow, s.weights, tileRow, 64, s.statistics, <usize>p.columnStride << 2, true);
  gemm(rows, ranks, p.candidateCount, s.weights, tileRow, 4, p.right, rankRow, 64, s.products, rankRow, false);
  if (p.answer != 0) {
    addColumnRadials(p, s, rows);
    const products = s.products + ofAnswer;
    for (let i = 0; i < rows; i++) {
      const product = products + <usize>i * rankRow;
      scaleRow(answerRanks, product, load<f64>(s.scales + (<usize>i << 3)), product);
    }
    const side = changetype<Side>(p.answer);
    gemm(side.rank, p.stride, rows, products, 4, rankRow, s.unit, row, 64, gradBOf(p, p.answer, output), row, true);
  }
  if (p.query != 0) addQuery(p, s, output, first, rows);
}

function compare(p: Problem, s: Scratch, rows: i32): void {
  const row = <usize>p.stride << 2;
  // Goes panel by panel. Products of wide rows are summed in parts, and the sums then stay in the first-level cache.
  for (let j: usize = 0, end = <usize>p.columns; j < end; j += 16) {
    gemm(rows, 16, p.stride, s.unit, row, 4, p.panels + j * row, 64, row << 4, s.cosines + (j << 2), <usize>p.tileStride << 2, false);
  }
}

/** Compares in 16-bit integers. The own cosines stay float32, because one weighs as much as all others of its row. */
function compare16(p: Problem, s: Scratch, first: i32, rows: i32): void {
  const row = <usize>p.stride << 2, tileRow = <usize>p.tileStride << 2;
  toInt16(rows, p.stride, s.unit, row, s.unit16);
  cosines16(rows, p.columns, p.stride, s.unit16, row >> 1, p.panels16, s.cosines, tileRow);
  for (let i = 0; i < rows; i++) {
    const column = <usize>(p.firstOwn + first + i);
    store<f32>(s.cosines + <usize>i * tileRow + (column << 2), <f32>dot(row, s.unit + <usize>i * row, p.unit + column * row));
  }
}

/** Adds the block to the query adapter's gradients, except the products with `statistics`. */
function addQuery(p: Problem, s: Scratch, output: usize, first: i32, rows: i32): void {
  const side = changetype<Side>(p.query);
  const row = <usize>p.stride << 2, ranks = side.ranks, hiddenRow = <usize>ranks << 2;
  const productRow = <usize>(ranks + ranksOf(p.answer)) << 2;
  // The radial part of the gradient overwrites the rows.
  for (let i = 0; i < rows; i++) {
    const unit = s.unit + <usize>i * row;
    scaleRow(p.stride, unit, -load<f64>(s.radials + (<usize>i << 3)), unit);
  }
  project(p, p.query, rows, s.unit, s.gradHidden, hiddenRow);
  for (let i = 0; i < rows; i++) {
    const inverse = inverseOf(load<f64>(s.norms + (<usize>i << 3)));
    const hidden = s.hidden + <usize>i * hiddenRow, gradient = s.gradHidden + <usize>i * hiddenRow;
    addScaledRow(ranks, s.products + <usize>i * productRow, load<f64>(s.scales + (<usize>i << 3)), gradient);
    scaleRow(ranks, gradient, side.scaling * inverse, gradient);
    scaleRow(ranks, hidden, inverse, hidden);
  }
  const inRow = <usize>side.inStride << 2;
  const inputs = p.anchors + <usize>first * inRow;
  gemm(side.dim, ranks, rows, inputs, 4, inRow, s.gradHidden, hiddenRow, 64, gradAOf(p, p.query, output), hiddenRow, true);
  gemm(side.rank, p.stride, rows, s.hidden, 4, hiddenRow, s.unit, row, 64, gradBOf(p, p.query, output), row, true);
}

function finishQuery(p: Problem, s: Scratch, output: usize): void {
  const side = changetype<Side>(p.query);
  const row = <usize>p.stride << 2;
  gemm(side.rank, p.stride, p.candidateCount, s.statistics, <usize>p.columnStride << 2, 4, p.unit, row, 64, gradBOf(p, p.query, output), row, true);
}

function finishAnswer(p: Problem, s: Scratch, output: usize): void {
  const side = changetype<Side>(p.answer);
  const row = <usize>p.stride << 2, columnRow = <usize>p.columnStride << 2, inRow = <usize>side.inStride << 2;
  const queryRanks = ranksOf(p.query), hiddenRow = <usize>side.ranks << 2;
  const rightRow = (<usize>queryRanks << 2) + hiddenRow;
  const statistics = s.statistics + <usize>queryRanks * columnRow;
  for (let j = 0; j < p.candidateCount; j++) {
    const radial = <f64>load<f32>(s.columnRadials + (<usize>j << 2));
    scaleRow(side.ranks, p.right + <usize>j * rightRow + (<usize>queryRanks << 2), -radial, s.radialHidden + <usize>j * hiddenRow);
    const scale = side.scaling * inverseOf(load<f64>(p.norms + (<usize>j << 3)));
    const gradHidden = s.gradColumns + <usize>j * hiddenRow;
    for (let k = 0; k < side.rank; k++) {
      const at = <usize>k * columnRow + (<usize>j << 2);
      const gradient = <f64>load<f32>(statistics + at) - radial * <f64>load<f32>(p.projected + at);
      store<f32>(gradHidden + (<usize>k << 2), <f32>(scale * gradient));
    }
    for (let k = side.rank; k < side.ranks; k++) store<f32>(gradHidden + (<usize>k << 2), 0);
  }
  gemm(side.dim, side.ranks, p.candidateCount, p.candidates, 4, inRow, s.gradColumns, hiddenRow, 64, gradAOf(p, p.answer, output), hiddenRow, true);
  gemm(side.rank, p.stride, p.candidateCount, s.radialHidden, 4, hiddenRow, p.unit, row, 64, gradBOf(p, p.answer, output), row, true);
}

/**
 * Adds the outputs of some chunks to the first one's, in order. Returns the sum of the gradients' squares.
 *
 * @param target The output of the first of the chunks.
 * @param tied Bytes of the gradients of one side, where both sides go through one adapter; else 0. Of each chunk, the
 *   answers' gradients are then first added to the queries'. So the bits are those of chunks that are added up one by one.
 */
export function loraSum(problem: usize, target: usize, chunks: i32, tied: usize): f64 {
  const p = changetype<Problem>(problem);
  const end = target + p.outputBytes;
  for (let chunk = 0; chunk < chunks; chunk++) {
    const start = target + <usize>chunk * p.outputBytes + OUTPUT_BYTES;
    for (let t = start, stop = start + tied; t < stop; t += 16) {
      v128.store(t, f32x4.add(v128.load(t), v128.load(t + tied)));
    }
  }
  const sums = changetype<Output>(target);
  for (let chunk = 1; chunk < chunks; chunk++) {
    const source = target + <usize>chunk * p.outputBytes;
    const others = changetype<Output>(source);
    sums.smallestNorm = min(sums.smallestNorm, others.smallestNorm);
    for (let t = target + OUTPUT_BYTES, from = source + OUTPUT_BYTES; t < end; t += 16, from += 16) {
      v128.store(t, f32x4.add(v128.load(t), v128.load(from)));
    }
  }
  let squares = f64x2.splat(0);
  for (let t = target + OUTPUT_BYTES; t < end; t += 16) {
    const x = v128.load(t);
    const low = f64x2.promote_low_f32x4(x), high = f64x2.promote_low_f32x4(v128.shuffle<i64>(x, x, 1, 0));
    squares = f64x2.add(squares, f64x2.add(f64x2.mul(low, low), f64x2.mul(high, high)));
  }
  return sumWide(squares);
}

/** Passes rows through an adapter. `hidden` gets scaling · x · A. */
function loraRows(p: Problem, side: Side, rows: i32, inputs: usize, hidden: usize, outputs: usize): void {
  const row = <usize>p.stride << 2, hiddenRow = <usize>side.ranks << 2, inRow = <usize>side.inStride << 2;
  gemm(rows, side.ranks, side.dim, inputs, inRow, 4, side.a, hiddenRow, 64, hidden, hiddenRow, false);
  scaleRow(rows * side.ranks, hidden, side.scaling, hidden);
  if (side.isSquare) memory.copy(outputs, inputs, <usize>rows * row);
  gemm(rows, p.stride, side.rank, hidden, hiddenRow, 4, side.b, row, 64, outputs, row, side.isSquare != 0);
}

/** Rows · Bᵀ. */
@inline
function project(p: Problem, side: usize, rows: i32, data: usize, target: usize, targetRow: usize): void {
  const adapter = changetype<Side>(side);
  const row = <usize>p.stride << 2;
  gemm(rows, adapter.ranks, p.stride, data, row, 4, adapter.bPanels, 64, row << 4, target, targetRow, false);
}

function gradAOf(p: Problem, side: usize, output: usize): usize {
  const start = output + OUTPUT_BYTES;
  if (side == p.query || p.query == 0) return start;
  const query = changetype<Side>(p.query);
  return start + (<usize>(query.dim * query.ranks + query.rank * p.stride) << 2);
}

function gradBOf(p: Problem, side: usize, output: usize): usize {
  const adapter = changetype<Side>(side);
  return gradAOf(p, side, output) + (<usize>(adapter.dim * adapter.ranks) << 2);
}

/** 1 / norm, or 0 for a zero row, because its gradient is 0. */
@inline
function inverseOf(norm: f64): f64 {
  return norm == 0 ? 0 : 1.0 / norm;
}

/** `target = factor · row`. `width` is a multiple of 4. */
function scaleRow(width: i32, row: usize, factor: f64, target: usize): void {
  const scale = f32x4.splat(<f32>factor);
  for (let k: usize = 0, end = <usize>width << 2; k < end; k += 16) v128.store(target + k, f32x4.mul(v128.load(row + k), scale));
}

/** `target += factor · row`. `width` is a multiple of 4. */
function addScaledRow(width: i32, row: usize, factor: f64, target: usize): void {
  const scale = f32x4.splat(<f32>factor);
  for (let k: usize = 0, end = <usize>width << 2; k < end; k += 16) {
    v128.store(target + k, f32x4.add(v128.load(target + k), f32x4.mul(v128.load(row + k), scale)));
  }
}
