import { checkSameShape } from '../internal/adapters.js';
import { describe } from '../internal/validate.js';
import { kernels } from '../kernels/index.js';
import { copyRows, type Flat } from '../kernels/matrix.js';
import type { Adapter, MutableVector, Rows } from '../types.js';
import { DECAY, type EWCConfig, modeOf } from './options.js';
import type { AdapterPenalty } from './penalty.js';

/**
 * Importance of each parameter of one adapter: mean squared gradients, or what the mode made of those of several tasks.
 */
export interface FisherInfo {
  /** dim × rank. */
  fisherA: MutableVector[];
  /** rank × outDim. */
  fisherB: MutableVector[];
}

/** The parameters that the penalty pulls towards. */
export interface OptimalParams {
  /** dim × rank. */
  loraA: MutableVector[];
  /** rank × outDim. */
  loraB: MutableVector[];
}

/** The same of matrices whose rows stay. */
export interface FisherRows {
  fisherA: readonly MutableVector[];
  fisherB: readonly MutableVector[];
}

/** The same of matrices whose rows stay. */
export interface ParameterRows {
  loraA: readonly MutableVector[];
  loraB: readonly MutableVector[];
}

/** What the diagonal penalty `λ/2 · (Σ fisher · (θ - optimal)² + constant)` keeps of one adapter. */
export interface DiagonalMemory {
  fisher: FisherRows;
  optimal: ParameterRows;
  /** What the penalty of several tasks is at its least, over λ/2. */
  constant: number;
}

/** The same with the entries of each matrix in one array. */
export interface FlatDiagonal {
  fisherA: Flat;
  fisherB: Flat;
  optimalA: Flat;
  optimalB: Flat;
  constant: number;
}

export function diagonalPenalty(memory: FlatDiagonal, { loraA, loraB }: Adapter): AdapterPenalty {
  const { fisherA, fisherB, optimalA, optimalB, constant } = memory;
  const parts = [
    { values: loraA, anchor: [optimalA], importance: [fisherA] },
    { values: loraB, anchor: [optimalB], importance: [fisherB] },
  ];
  return {
    value: () =>
      parts.reduce(
        (total, { values, anchor, importance }) => total + kernels().quadraticPenalty(values, anchor, importance) / 2,
        constant / 2,
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

const PARTS = [
  ['fisherA', 'loraA'],
  ['fisherB', 'loraB'],
] as const;

/** What a mode makes of the memory so far and a new task's Fisher, which is written to. */
export function remember(
  name: string,
  fisher: FisherRows,
  { loraA, loraB }: Adapter,
  before: DiagonalMemory | undefined,
  config: EWCConfig,
): DiagonalMemory {
  const memory: DiagonalMemory = { fisher, optimal: { loraA: copyRows(loraA), loraB: copyRows(loraB) }, constant: 0 };
  const mode = modeOf(config);
  if (!before || mode === 'last') return memory;
  for (const [part] of PARTS) {
    checkSameShape('computeFisher', `fisherInfo.get(${describe(name)}).${part}`, before.fisher[part], fisher[part]);
  }
  if (mode === 'sum') return sum(memory, before, 1, 1);
  const [old, added] = mode === 'average' ? [0.5, 0.5] : [config.decay ?? DECAY, 1];
  for (const [part] of PARTS) {
    blend(fisher[part], before.fisher[part], (value, earlier) => added * value + old * earlier);
  }
  return memory;
}

/**
 * The sum of two penalties as one: `a(θ-u)² + b(θ-v)² = h(θ-w)² + ab/h·(u-v)²` with h = a + b and w = v + a/h·(u-v).
 *
 * @param memory Counts `weight` times; written to.
 */
export function sum(
  memory: DiagonalMemory,
  other: DiagonalMemory,
  weight: number,
  otherWeight: number,
): DiagonalMemory {
  let constant = weight * memory.constant + otherWeight * other.constant;
  for (const [part, parameters] of PARTS) {
    memory.fisher[part].forEach((row, i) => {
      const [fishers, optima] = [other.fisher[part][i]!, other.optimal[parameters][i]!];
      const optimum = memory.optimal[parameters][i]!;
      for (let k = 0; k < row.length; k++) {
        const [a, b] = [weight * row[k]!, otherWeight * fishers[k]!];
        row[k] = a + b;
        if (a + b === 0) continue;
        const difference = optimum[k]! - optima[k]!;
        constant += ((a * b) / (a + b)) * difference * difference;
        optimum[k] = optima[k]! + (a / (a + b)) * difference;
      }
    });
  }
  memory.constant = constant;
  return memory;
}

/** `target = combine(target, source)`, entry by entry. */
export function blend(
  target: readonly MutableVector[],
  source: Rows,
  combine: (value: number, other: number) => number,
): void {
  target.forEach((row, i) => {
    const other = source[i]!;
    for (let j = 0; j < row.length; j++) row[j] = combine(row[j]!, other[j]!);
  });
}
