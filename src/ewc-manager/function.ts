import { checkSameShape, describeAdapter } from '../internal/adapters.js';
import { checkNumber, describe } from '../internal/validate.js';
import { kernels } from '../kernels/index.js';
import { copyRows, flatten, float64Matrix, storeFlat, toNestedArrays, zerosLike } from '../kernels/matrix.js';
import type { Adapter, AdapterGradients, MutableVector, Rows } from '../types.js';
import { throwNonFiniteInputs } from './fisher.js';
import {
  differenceOf,
  type Factors,
  type Product,
  product,
  stacked,
  sumOfProducts,
  transposed,
  type Weights,
} from './low-rank.js';
import {
  type AdapterMemory,
  type AdapterPenalty,
  type OptimalParams,
  optimalOn,
  type PenaltyKind,
  type SavedMemory,
  type Shown,
  shownParams,
} from './memory.js';
import { checkSameWeights } from './merge.js';
import { DECAY, type EWCConfig, modeOf } from './options.js';
import { checkShape, parseMatrix } from './saved-matrix.js';
import { inputsOf } from './through.js';

/**
 * What the function penalty keeps of one adapter. Its size does not depend on the number of tasks. Task t saw inputs
 * with second moment S_t and left the weights W_t = s·A·B. Three sums hold all that is asked later: S = Σ S_t,
 * R = Σ S_t (W_t - W_0) and c = Σ tr((W_t - W_0)ᵀ S_t (W_t - W_0)). They are relative to the latest weights W_0, so that
 * nothing cancels near these: `Σ tr((W - W_t)ᵀ S_t (W - W_t)) = tr(Dᵀ S D) - 2 tr(Dᵀ R) + c` with D = W - W_0.
 */
export interface FunctionInfo {
  /** S: dim × dim. */
  moment: readonly MutableVector[];
  /** R: dim × outDim. Null stands for zeros. */
  residual: readonly MutableVector[] | null;
  /** c. */
  constant: number;
  /** The scaling of W_0, whose matrices are in `optimalParams`. */
  scaling: number;
}

/** The function penalty `1/outDim · Σ tr((W - W_t)ᵀ S_t (W - W_t))`: the mean squared change of the outputs per task. */
export class FunctionMemory implements AdapterMemory {
  readonly penalty = 'function';
  readonly info: FunctionInfo;
  readonly #optimal: OptimalParams;

  constructor(info: FunctionInfo, optimal: OptimalParams) {
    this.info = info;
    this.#optimal = optimal;
  }

  get shown(): { fisher: undefined; optimal: OptimalParams } {
    return { fisher: undefined, optimal: this.#optimal };
  }

  withShown({ optimal }: Shown): FunctionMemory | undefined {
    return optimal && new FunctionMemory(this.info, optimal);
  }

  on(call: string, name: string, adapter: Adapter): AdapterPenalty {
    // An edited matrix is checked here and read by its rows below.
    optimalOn(call, name, adapter, this.#optimal);
    checkNumber(call, `${describeAdapter(name)}.scaling`, adapter.scaling);
    const { loraA, loraB, scaling } = adapter;
    const outDim = loraB[0]!.length;
    const penaltyAt = (weights: Weights): number => this.#valueAt(this.#changeOf(weights)) / outDim;
    const addGradient = (gradients: AdapterGradients, scale: number): void =>
      this.#addGradient(adapter, gradients, scale / outDim);

    // As far as the curvature along the gradient allows (the Cauchy step), then halved until the penalty does not grow.
    const step = (rate: number): void => {
      const gradA = float64Matrix(loraA.length, loraB.length);
      const gradB = float64Matrix(loraB.length, outDim);
      addGradient({ gradA, gradB }, 1);
      const squares = kernels().sumOfSquares(gradA) + kernels().sumOfSquares(gradB);
      const direction = stacked(gradA, scaling, loraA, loraB, scaling, gradB);
      const curvature = (2 * sumOfProducts(product(direction), this.#pullOf(direction))) / outDim;
      const before = penaltyAt(adapter);
      let length = Math.min(rate, squares / curvature);
      for (let tries = 0; length > 0 && tries < MOST_HALVINGS; tries++, length /= 2) {
        const moved = { loraA: movedRows(loraA, gradA, length), loraB: movedRows(loraB, gradB, length), scaling };
        if (!(penaltyAt(moved) <= before)) continue;
        storeFlat(loraA, flatten(moved.loraA));
        storeFlat(loraB, flatten(moved.loraB));
        return;
      }
    };
    return { value: () => penaltyAt(adapter), addGradient, step };
  }

  /** Adds `2 · scale · ∂/∂(A, B)` of half the traces: ∂/∂W = 2(S·D - R), W = s·A·B and D = left·right. */
  #addGradient({ loraA, loraB, scaling }: Adapter, { gradA, gradB }: AdapterGradients, scale: number): void {
    const { moment, residual } = this.info;
    const { left, right } = this.#changeOf({ loraA, loraB, scaling });
    const factor = 2 * scale * scaling;
    // Of matrices of D's size only S and R take part.
    const pulledLeft = kernels().product(moment, left, false);
    const toB = transposed(loraB);
    kernels().blend(gradA, 1, product({ left: pulledLeft, right: product({ left: right, right: toB }) }), factor);
    kernels().blend(gradB, 1, product({ left: kernels().product(loraA, pulledLeft, true), right }), factor);
    if (!residual) return;
    kernels().blend(gradA, 1, product({ left: residual, right: toB }), -factor);
    kernels().blend(gradB, 1, kernels().product(loraA, residual, true), -factor);
  }

  /** The memory with one more task's moment, which is written to. */
  next(
    call: string,
    name: string,
    moment: readonly MutableVector[],
    adapter: Adapter,
    config: EWCConfig,
  ): FunctionMemory {
    const mode = modeOf(config);
    if (mode === 'last') return firstMemory(moment, adapter);
    const label = `optimalParams.get(${describe(name)})`;
    checkSameShape(call, `${label}.loraA`, this.#optimal.loraA, adapter.loraA);
    checkSameShape(call, `${label}.loraB`, this.#optimal.loraB, adapter.loraB);
    const [old, added] = mode === 'average' ? [0.5, 0.5] : mode === 'online' ? [config.decay ?? DECAY, 1] : [1, 1];
    const change = this.#changeOf(adapter);
    // Relative to the new weights: R - S·D, and the penalty there.
    const residual = this.#pull(change);
    kernels().blend(residual, -old, residual, 0);
    const constant = old * this.#valueAt(change);
    kernels().blend(moment, added, this.info.moment, old);
    return memoryOf({ moment, residual, constant, scaling: adapter.scaling }, adapter);
  }

  /** All sums are linear in the latest task's moment, and relative to the same weights. */
  merge(call: string, name: string, other: FunctionMemory, share: number): FunctionMemory {
    checkSameWeights(call, name, this.#optimal, other.#optimal, true);
    const [mine, theirs] = [this.info, other.info];
    if (mine.scaling !== theirs.scaling) {
      const scalings = `${theirs.scaling}, here ${mine.scaling}`;
      throw new RangeError(`${call}: the other's scaling of ${describe(name)} is ${scalings}`);
    }
    const mix = (ours: Rows, rest: Rows): readonly MutableVector[] => {
      const mixed = copyRows(ours);
      kernels().blend(mixed, share, rest, 1 - share);
      return mixed;
    };
    const some = mine.residual ?? theirs.residual;
    const zeros = some && zerosLike(some);
    return memoryOf(
      {
        moment: mix(mine.moment, theirs.moment),
        residual: zeros && mix(mine.residual ?? zeros, theirs.residual ?? zeros),
        constant: share * mine.constant + (1 - share) * theirs.constant,
        scaling: mine.scaling,
      },
      this.#optimal,
    );
  }

  save(): Required<Pick<SavedMemory, 'functionInfo'>> {
    const { moment, residual, constant, scaling } = this.info;
    const saved = { moment: toNestedArrays(moment), residual: residual && toNestedArrays(residual), constant, scaling };
    return { functionInfo: saved };
  }

  /** D = W - W_0. */
  #changeOf(weights: Weights): Factors {
    return differenceOf(weights, { ...this.#optimal, scaling: this.info.scaling });
  }

  /** tr(Dᵀ S D) - 2 tr(Dᵀ R) + c. */
  #valueAt(change: Factors): number {
    const { residual, constant } = this.info;
    const changed = product(change);
    const crossed = residual ? 2 * sumOfProducts(changed, residual) : 0;
    // Rounding may take what is near 0 below it.
    return Math.max(0, sumOfProducts(changed, this.#pullOf(change)) - crossed + constant);
  }

  /** S·D - R. */
  #pull(change: Factors): Product {
    const pulled = this.#pullOf(change);
    if (this.info.residual) kernels().blend(pulled, 1, this.info.residual, -1);
    return pulled;
  }

  /** S·D, by way of the narrow S·left. */
  #pullOf({ left, right }: Factors): Product {
    return kernels().product(kernels().product(this.info.moment, left, false), right, false);
  }
}

/** Past this many the step is lost in rounding. */
const MOST_HALVINGS = 40;
/** Inputs multiplied at a time, so that memory does not grow with the data. */
const BLOCK = 2048;

export const functionPenalty: PenaltyKind = {
  field: 'functionInfo',

  remember(call, { towers, data }, before, config) {
    const memories = new Map<string, FunctionMemory>();
    // Adapters of one width may have seen the same inputs.
    const moments = new Map<string, ReturnType<typeof momentOf>>();
    for (const { name, adapter, sides } of towers) {
      checkNumber(call, `${describeAdapter(name)}.scaling`, adapter.scaling);
      const dim = adapter.loraA.length;
      const key = [dim, ...sides].join(' ');
      const moment = moments.get(key) ?? momentOf(inputsOf(data, sides), dim);
      moments.set(key, moment);
      if (!Number.isFinite(kernels().sumOfSquares(moment))) throwNonFiniteInputs(call, data, sides);
      const old = before(name);
      const copy = copyRows(moment);
      const memory = old instanceof FunctionMemory ? old.next(call, name, copy, adapter, config) : undefined;
      memories.set(name, memory ?? firstMemory(copy, adapter));
    }
    return memories;
  },

  parse(call, label, { moment, residual, constant, scaling }, { loraA, loraB }) {
    const matrix = parseMatrix(call, `${label}.moment`, moment);
    checkShape(call, `${label}.moment`, matrix, loraA.length, loraA.length);
    checkMoment(call, `${label}.moment`, matrix);
    const rest = residual === null ? null : parseMatrix(call, `${label}.residual`, residual);
    if (rest) checkShape(call, `${label}.residual`, rest, loraA.length, loraB[0]!.length);
    return new FunctionMemory(
      {
        moment: matrix,
        residual: rest,
        constant: checkNumber(call, `${label}.constant`, constant, { min: 0 }),
        scaling: checkNumber(call, `${label}.scaling`, scaling),
      },
      shownParams({ loraA, loraB }),
    );
  },
};

/** Mean of xᵀx over the inputs. */
function momentOf(inputs: Rows, dim: number): readonly Float64Array[] {
  const moment = float64Matrix(dim, dim);
  for (let start = 0; start < inputs.length; start += BLOCK) {
    const block = inputs.slice(start, start + BLOCK).map(row => (row.length === dim ? row : row.slice(0, dim)));
    kernels().blend(moment, 1, kernels().product(block, block, true), 1 / inputs.length);
  }
  return moment;
}

function firstMemory(moment: readonly MutableVector[], adapter: Adapter): FunctionMemory {
  return memoryOf({ moment, residual: null, constant: 0, scaling: adapter.scaling }, adapter);
}

function memoryOf(info: FunctionInfo, { loraA, loraB }: { loraA: Rows; loraB: Rows }): FunctionMemory {
  return new FunctionMemory(info, shownParams({ loraA: copyRows(loraA), loraB: copyRows(loraB) }));
}

function movedRows(rows: readonly MutableVector[], gradient: Rows, length: number): readonly MutableVector[] {
  const moved = copyRows(rows);
  kernels().blend(moved, 1, gradient, -length);
  return moved;
}

/**
 * Checks that a matrix may be a second moment: symmetric, and no entry beyond the geometric mean of the diagonal entries
 * of its row and column, except by rounding.
 */
function checkMoment(call: string, label: string, moment: readonly Float64Array[]): void {
  moment.forEach((row, i) => {
    checkNumber(call, `${label}[${i}][${i}]`, row[i], { min: 0 });
  });
  moment.forEach((row, i) => {
    for (let j = 0; j < i; j++) {
      const most = Math.sqrt(row[i]! * moment[j]![j]!) * (1 + 1e-4);
      const isMoment = Math.abs(row[j]!) <= most && Math.abs(row[j]! - moment[j]![i]!) <= 1e-4 * most;
      if (!isMoment)
        throw new RangeError(`${call}: ${label}[${i}][${j}] cannot be an entry of a second moment, got ${row[j]}`);
    }
  });
}
