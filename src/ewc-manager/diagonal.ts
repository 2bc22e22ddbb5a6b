import { checkAdapters, checkSameShape } from '../internal/adapters.js';
import { checkFiniteRows, checkNumber, describe } from '../internal/validate.js';
import { kernels } from '../kernels/index.js';
import { copyRows, editableRows, toNestedArrays } from '../kernels/matrix.js';
import type { Adapter, MutableVector } from '../types.js';
import { fishersOf } from './fisher.js';
import {
  type AdapterMemory,
  type AdapterPenalty,
  checkShownParams,
  type FisherInfo,
  type OptimalParams,
  optimalOn,
  type ParameterRows,
  type PenaltyKind,
  type Shown,
  shownParams,
  wholeMatrix,
} from './memory.js';
import { checkSameWeights } from './merge.js';
import { DECAY, type EWCConfig, modeOf } from './options.js';
import { checkShape, parseMatrix } from './saved-matrix.js';

/** {@link FisherInfo} of matrices whose rows stay. */
export interface FisherRows {
  fisherA: readonly MutableVector[];
  fisherB: readonly MutableVector[];
}

/** The diagonal penalty `λ/2 · (Σ fisher · (θ - optimal)² + constant)` on one adapter. */
export class DiagonalMemory implements AdapterMemory {
  readonly penalty = 'diagonal';
  readonly #fisher: FisherInfo;
  readonly #optimal: OptimalParams;
  /** The least value of the penalty of several tasks, divided by λ/2. */
  readonly #constant: number;

  constructor(fisher: FisherInfo, optimal: OptimalParams, constant: number) {
    this.#fisher = fisher;
    this.#optimal = optimal;
    this.#constant = constant;
  }

  get shown(): { fisher: FisherInfo; optimal: OptimalParams } {
    return { fisher: this.#fisher, optimal: this.#optimal };
  }

  /** The memory of what a caller has put into the two Maps by hand. */
  static ofShown({ fisher, optimal }: Shown, constant = 0): DiagonalMemory | undefined {
    return fisher && optimal && new DiagonalMemory(fisher, optimal, constant);
  }

  withShown(shown: Shown): DiagonalMemory | undefined {
    return DiagonalMemory.ofShown(shown, this.#constant);
  }

  on(call: string, name: string, adapter: Adapter): AdapterPenalty {
    const { loraA, loraB } = adapter;
    const optimal = optimalOn(call, name, adapter, this.#optimal);
    const label = `fisherInfo.get(${describe(name)})`;
    const fisherA = wholeMatrix(call, `${label}.fisherA`, this.#fisher.fisherA, loraA);
    const fisherB = wholeMatrix(call, `${label}.fisherB`, this.#fisher.fisherB, loraB);
    const parts = [
      { values: loraA, anchor: [optimal.loraA], importance: [fisherA] },
      { values: loraB, anchor: [optimal.loraB], importance: [fisherB] },
    ];
    return {
      remembered: {
        [`${label}.fisherA`]: this.#fisher.fisherA,
        [`${label}.fisherB`]: this.#fisher.fisherB,
        [`optimalParams.get(${describe(name)}).loraA`]: this.#optimal.loraA,
        [`optimalParams.get(${describe(name)}).loraB`]: this.#optimal.loraB,
      },
      value: () =>
        parts.reduce(
          (total, { values, anchor, importance }) => total + kernels().quadraticPenalty(values, anchor, importance) / 2,
          this.#constant / 2,
        ),
      addGradient: ({ gradA, gradB }, scale) => {
        [gradA, gradB].forEach((gradient, i) => {
          const { values, anchor, importance } = parts[i]!;
          kernels().addPenaltyGradient(gradient, values, anchor, importance, scale);
        });
      },
      step: rate => {
        for (const { values, anchor, importance } of parts) kernels().pullTowards(values, anchor, importance, rate);
      },
    };
  }

  /** The memory with one more task's Fisher, which is written to. */
  next(call: string, name: string, fisher: FisherRows, adapter: Adapter, config: EWCConfig): DiagonalMemory {
    const mode = modeOf(config);
    if (mode === 'last') return firstMemory(fisher, adapter);
    for (const [part] of PARTS) {
      checkSameShape(call, `fisherInfo.get(${describe(name)}).${part}`, this.#fisher[part], fisher[part]);
    }
    if (mode === 'sum') return this.#sum(fisher, copyParams(adapter), 0, 1, 1);
    const [added, old] = mode === 'average' ? [0.5, 0.5] : [1, config.decay ?? DECAY];
    for (const [part] of PARTS) kernels().blend(fisher[part], added, this.#fisher[part], old);
    return firstMemory(fisher, adapter);
  }

  /**
   * All that is kept is linear in the latest task's means. So the weighted mean of two memories is the memory of the
   * whole task, on top of what both held before. In mode `'sum'` the remembered parameters lie between those of the tasks,
   * elsewhere for each shard.
   */
  merge(call: string, name: string, other: DiagonalMemory, share: number, config: EWCConfig): DiagonalMemory {
    const isSum = modeOf(config) === 'sum';
    checkSameWeights(call, name, this.#optimal, other.#optimal, !isSum);
    const fisher = { fisherA: copyRows(this.#fisher.fisherA), fisherB: copyRows(this.#fisher.fisherB) };
    if (isSum) return other.#sum(fisher, copyParams(this.#optimal), this.#constant, share, 1 - share);
    for (const [part] of PARTS) kernels().blend(fisher[part], share, other.#fisher[part], 1 - share);
    return memoryOf(fisher, copyParams(this.#optimal), this.#constant);
  }

  check(call: string, owner: string, name: string): void {
    checkShownParams(call, owner, name, this.#optimal);
    for (const [part, matrix] of PARTS) {
      const label = `${owner}fisherInfo.get(${describe(name)}).${part}`;
      const rows = this.#fisher[part];
      checkSameShape(call, label, rows, this.#optimal[matrix]);
      checkFiniteRows(call, label, rows);
      rows.forEach((row, i) => {
        for (let j = 0; j < row.length; j++) checkNumber(call, `${label}[${i}][${j}]`, row[j], { min: 0 });
      });
    }
  }

  /** The sum of this penalty and another one, whose matrices are written to. */
  #sum(
    fisher: FisherRows,
    optimal: ParameterRows,
    constant: number,
    weight: number,
    ownWeight: number,
  ): DiagonalMemory {
    let least = weight * constant + ownWeight * this.#constant;
    for (const [part, matrix] of PARTS) {
      const [ours, optima] = [this.#fisher[part], this.#optimal[matrix]];
      least += kernels().mergeQuadratics(fisher[part], optimal[matrix], weight, ours, optima, ownWeight);
    }
    return memoryOf(fisher, optimal, least);
  }

  save(): { fisherInfo: { fisherA: number[][]; fisherB: number[][] }; constants?: number } {
    const { fisherA, fisherB } = this.#fisher;
    return {
      fisherInfo: { fisherA: toNestedArrays(fisherA), fisherB: toNestedArrays(fisherB) },
      ...(this.#constant !== 0 && { constants: this.#constant }),
    };
  }
}

const PARTS = [
  ['fisherA', 'loraA'],
  ['fisherB', 'loraB'],
] as const;

export const diagonal: PenaltyKind = {
  field: 'fisherInfo',

  remember(call, task, before, config) {
    const fishers = fishersOf(call, task);
    // The caller's functions may have changed what is remembered next.
    if (typeof task.gradients === 'object') checkAdapters(call, task.adapters, checkFiniteRows);
    const memories = new Map<string, DiagonalMemory>();
    for (const [name, fisher] of fishers) {
      if (task.normalize) kernels().divideByLargest([fisher.fisherA, fisher.fisherB]);
      const adapter = task.adapters.get(name)!;
      const old = before(name);
      const memory = old instanceof DiagonalMemory ? old.next(call, name, fisher, adapter, config) : undefined;
      memories.set(name, memory ?? firstMemory(fisher, adapter));
    }
    return memories;
  },

  parse(call, label, saved, { loraA, loraB }, constant) {
    const fisherA = parseMatrix(call, `${label}.fisherA`, saved['fisherA'], 0);
    const fisherB = parseMatrix(call, `${label}.fisherB`, saved['fisherB'], 0);
    checkShape(call, `${label}.fisherA`, fisherA, loraA.length, loraB.length);
    checkShape(call, `${label}.fisherB`, fisherB, loraB.length, loraB[0]!.length);
    return memoryOf({ fisherA, fisherB }, { loraA, loraB }, constant);
  },
};

function firstMemory(fisher: FisherRows, adapter: Adapter): DiagonalMemory {
  return memoryOf(fisher, copyParams(adapter), 0);
}

function memoryOf({ fisherA, fisherB }: FisherRows, optimal: ParameterRows, constant: number): DiagonalMemory {
  const fisher = { fisherA: editableRows(fisherA), fisherB: editableRows(fisherB) };
  return new DiagonalMemory(fisher, shownParams(optimal), constant);
}

function copyParams({ loraA, loraB }: ParameterRows): ParameterRows {
  return { loraA: copyRows(loraA), loraB: copyRows(loraB) };
}
