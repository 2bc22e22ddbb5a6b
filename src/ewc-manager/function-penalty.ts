import { checkSameShape } from '../internal/adapters.js';
import { describe } from '../internal/validate.js';
import { kernels } from '../kernels/index.js';
import { type Flat, flatten, float64Matrix } from '../kernels/matrix.js';
import { dotInOrder } from '../kernels/vector.js';
import type { Adapter, AdapterGradients, MutableVector, Rows } from '../types.js';
import { blend } from './diagonal.js';
import { DECAY, type EWCConfig, modeOf } from './options.js';
import type { AdapterPenalty } from './penalty.js';

/**
 * What the function penalty keeps of one adapter, the same amount for any number of tasks. Task t saw inputs with
 * second moment S_t and left the weights W_t = s·A·B; all that is asked later is in S = Σ S_t, R = Σ S_t (W_t - W_0)
 * and c = Σ tr((W_t - W_0)ᵀ S_t (W_t - W_0)), relative to the latest weights W_0 so that nothing cancels near them:
 * `Σ tr((W - W_t)ᵀ S_t (W - W_t)) = tr(Dᵀ S D) - 2 tr(Dᵀ R) + c` with D = W - W_0.
 */
export interface FunctionInfo {
  /** S: dim × dim. */
  moment: readonly MutableVector[];
  /** R: dim × outDim; null stands for zeros. */
  residual: readonly MutableVector[] | null;
  /** c. */
  constant: number;
  /** The scaling of W_0, whose matrices are in `optimalParams`. */
  scaling: number;
}

/** With the weights W_0. */
export interface FunctionMemory extends FunctionInfo {
  loraA: Rows;
  loraB: Rows;
}

type Weights = { readonly loraA: Rows; readonly loraB: Rows; readonly scaling: number };

type Product = readonly (Float32Array | Float64Array)[];

/** A low-rank matrix `left · right`. */
interface Factors {
  left: Rows;
  right: Rows;
}

/** Inputs multiplied at a time, so that memory does not grow with the data. */
const BLOCK = 2048;

/** Mean of xᵀx over the inputs. */
export function momentOf(inputs: Rows, dim: number): readonly Float64Array[] {
  const moment = float64Matrix(dim, dim);
  for (let start = 0; start < inputs.length; start += BLOCK) {
    const block = inputs.slice(start, start + BLOCK).map(row => (row.length === dim ? row : row.slice(0, dim)));
    blend(moment, kernels().product(block, block, true), (sum, value) => sum + value / inputs.length);
  }
  return moment;
}

/** What a mode makes of the memory so far and a new task's moment, which is written to. */
export function rememberFunction(
  name: string,
  moment: readonly MutableVector[],
  adapter: Adapter,
  before: FunctionMemory | undefined,
  config: EWCConfig,
): FunctionInfo {
  const info: FunctionInfo = { moment, residual: null, constant: 0, scaling: adapter.scaling };
  const mode = modeOf(config);
  if (!before || mode === 'last') return info;
  checkSameShape('computeFisher', `optimalParams.get(${describe(name)}).loraA`, before.loraA, adapter.loraA);
  checkSameShape('computeFisher', `optimalParams.get(${describe(name)}).loraB`, before.loraB, adapter.loraB);
  const [old, added] = mode === 'average' ? [0.5, 0.5] : mode === 'online' ? [config.decay ?? DECAY, 1] : [1, 1];
  const change = differenceOf(adapter, before);
  const residual = pull(before, change);
  const constant = valueAt(before, change);
  for (const row of residual) for (let j = 0; j < row.length; j++) row[j]! *= -old;
  blend(moment, before.moment, (value, earlier) => added * value + old * earlier);
  return { ...info, residual, constant: old * constant };
}

/** `1/outDim · Σ tr((W - W_t)ᵀ S_t (W - W_t))`: the mean squared change of the outputs, added up over tasks. */
export function functionPenalty(memory: FunctionMemory, adapter: Adapter): AdapterPenalty {
  const { loraA, loraB, scaling } = adapter;
  const outDim = loraB[0]!.length;
  const addGradient = ({ gradA, gradB }: AdapterGradients, scale: number): void => {
    // ∂/∂W = 2(S·D - R); W = s·A·B and D = left·right. Of matrices of D's size only S and R take part.
    const { moment, residual } = memory;
    const { left, right } = differenceOf(adapter, memory);
    const factor = (2 * scale * scaling) / outDim;
    const add = (target: readonly MutableVector[], product: Product, sign: number): void =>
      addScaled(target, flatten(product), sign * factor);
    const pulledLeft = kernels().product(moment, left, false);
    const toB = transposed(loraB);
    add(gradA, product({ left: pulledLeft, right: product({ left: right, right: toB }) }), 1);
    add(gradB, product({ left: kernels().product(loraA, pulledLeft, true), right }), 1);
    if (!residual) return;
    add(gradA, product({ left: residual, right: toB }), -1);
    add(gradB, kernels().product(loraA, residual, true), -1);
  };
  const penaltyOf = (weights: Weights): number => valueAt(memory, differenceOf(weights, memory)) / outDim;

  // As far as the curvature along the gradient allows (the Cauchy step), then halved until the penalty does not grow.
  const step = (rate: number): void => {
    const gradA = float64Matrix(loraA.length, loraB.length);
    const gradB = float64Matrix(loraB.length, outDim);
    addGradient({ gradA, gradB }, 1);
    const squares = kernels().sumOfSquares(gradA) + kernels().sumOfSquares(gradB);
    const direction = stacked(gradA, scaling, loraA, loraB, scaling, gradB);
    const curvature = (2 * sumOfProducts(product(direction), pullOf(memory.moment, direction))) / outDim;
    const before = penaltyOf(adapter);
    let length = Math.min(rate, squares / curvature);
    for (let tries = 0; length > 0 && tries < MOST_HALVINGS; tries++, length /= 2) {
      const moved = { loraA: movedRows(loraA, gradA, length), loraB: movedRows(loraB, gradB, length), scaling };
      if (!(penaltyOf(moved) <= before)) continue;
      blend(loraA, moved.loraA, (_, value) => value);
      blend(loraB, moved.loraB, (_, value) => value);
      return;
    }
  };
  return { value: () => penaltyOf(adapter), addGradient, step };
}

/** Past this many the step is lost in rounding. */
const MOST_HALVINGS = 40;

/** tr(Dᵀ S D) - 2 tr(Dᵀ R) + c. */
function valueAt({ moment, residual, constant }: FunctionInfo, change: Factors): number {
  const changed = product(change);
  const crossed = residual ? 2 * sumOfProducts(changed, residual) : 0;
  // Rounding may take what is near 0 below it.
  return Math.max(0, sumOfProducts(changed, pullOf(moment, change)) - crossed + constant);
}

/** S·D - R. */
function pull({ moment, residual }: FunctionInfo, change: Factors): Product {
  const pulled = pullOf(moment, change);
  if (residual) subtract(flatten(pulled), flatten(residual));
  return pulled;
}

/** S·D, by way of the narrow S·left. */
function pullOf(moment: Rows, { left, right }: Factors): Product {
  return kernels().product(kernels().product(moment, left, false), right, false);
}

function product({ left, right }: Factors): Product {
  return kernels().product(left, right, false);
}

/**
 * W - W_0 as factors: `s·A·B - s₀·A₀·B₀ = s(A - A₀)·B + A₀·(s·B - s₀·B₀)`, so that a small change is not the difference
 * of two large products, and no change is exactly 0.
 */
function differenceOf({ loraA, loraB, scaling }: Weights, reference: Weights): Factors {
  const changeA = float64Matrix(loraA.length, loraB.length);
  const changeB = float64Matrix(loraB.length, loraB[0]!.length);
  changeA.forEach((row, i) => {
    for (let k = 0; k < row.length; k++) row[k] = loraA[i]![k]! - reference.loraA[i]![k]!;
  });
  changeB.forEach((row, k) => {
    for (let j = 0; j < row.length; j++) row[j] = scaling * loraB[k]![j]! - reference.scaling * reference.loraB[k]![j]!;
  });
  return stacked(changeA, scaling, reference.loraA, loraB, 1, changeB);
}

/** `scale · a · b + scale₀ · a₀ · b₀` as one product. */
function stacked(a: Rows, scale: number, a0: Rows, b: Rows, scale0: number, b0: Rows): Factors {
  const rank = b.length;
  const left = float64Matrix(a.length, rank + b0.length);
  left.forEach((row, i) => {
    for (let k = 0; k < rank; k++) row[k] = scale * a[i]![k]!;
    for (let k = 0; k < b0.length; k++) row[rank + k] = scale0 * a0[i]![k]!;
  });
  const right = float64Matrix(rank + b0.length, b[0]!.length);
  right.forEach((row, k) => {
    row.set(k < rank ? b[k]! : b0[k - rank]!);
  });
  return { left, right };
}

function transposed(rows: Rows): Rows {
  const result = float64Matrix(rows[0]!.length, rows.length);
  for (let i = 0; i < rows.length; i++) for (let j = 0; j < result.length; j++) result[j]![i] = rows[i]![j]!;
  return result;
}

function movedRows(rows: readonly MutableVector[], gradient: Rows, step: number): readonly MutableVector[] {
  return rows.map((row, i) => {
    const moved = row.slice();
    for (let j = 0; j < row.length; j++) moved[j]! -= step * gradient[i]![j]!;
    return moved;
  });
}

function sumOfProducts(a: Rows, b: Rows): number {
  return dotInOrder(flatten(a), flatten(b), a.length * a[0]!.length);
}

/** The rows of `target` may be of any length. */
function addScaled(target: readonly MutableVector[], source: Flat, scale: number): void {
  let k = 0;
  for (const row of target) for (let j = 0; j < row.length; j++) row[j]! += scale * source[k++]!;
}

/** A loop of its own: by the closure of `blend` it would take as long as the products. */
function subtract(target: Flat, source: Flat): void {
  for (let k = 0; k < target.length; k++) target[k]! -= source[k]!;
}
