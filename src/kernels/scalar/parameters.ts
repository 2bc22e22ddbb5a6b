import type { MutableVector, Rows, Vector } from '../../types.js';
import type { AdamMoments, AdamStep, SgdStep } from '../kernels.js';
import { flatten, longRows } from '../matrix.js';
import { specialize } from '../specialize.js';

/**
 * Loops over the parameters of an adapter for EWC's penalty and the optimizers, on both backends. The caller's matrix
 * is read or written row by row, and its state comes as one array. Unrolled by four, such a loop takes 0.6 ns per entry
 * on `number[][]`, a third of the plain double loop. Copying rows of eight into WebAssembly's memory alone takes 0.9 ns
 * per entry.
 */

type Flat = Float32Array | Float64Array;

const penaltyLoop = specialize(() => (rows: Rows, anchor: Flat, importance: Flat): number => {
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let k = 0;
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!;
    const { length } = row;
    let j = 0;
    for (; j + 3 < length; j += 4, k += 4) {
      const x0 = row[j]!;
      const x1 = row[j + 1]!;
      const x2 = row[j + 2]!;
      const x3 = row[j + 3]!;
      if (typeof x0 !== 'number' || typeof x1 !== 'number') return Number.NaN;
      if (typeof x2 !== 'number' || typeof x3 !== 'number') return Number.NaN;
      s0 += importance[k]! * (x0 - anchor[k]!) ** 2;
      s1 += importance[k + 1]! * (x1 - anchor[k + 1]!) ** 2;
      s2 += importance[k + 2]! * (x2 - anchor[k + 2]!) ** 2;
      s3 += importance[k + 3]! * (x3 - anchor[k + 3]!) ** 2;
    }
    for (; j < length; j++, k++) {
      const x = row[j]!;
      if (typeof x !== 'number') return Number.NaN;
      s0 += importance[k]! * (x - anchor[k]!) ** 2;
    }
  }
  return s0 + s1 + (s2 + s3);
});

export function quadraticPenalty(values: Rows, anchor: Rows, importance: Rows): number {
  return penaltyLoop(values[0]!)(longRows(values), flatten(anchor), flatten(importance));
}

const penaltyGradientLoop = specialize(
  () =>
    (target: readonly MutableVector[], values: Flat, anchor: Flat, importance: Flat, scale: number): void => {
      for (let i = 0, k = 0; i < target.length; i++) {
        const row = target[i]!;
        for (let j = 0; j < row.length; j++, k++) row[j]! += scale * importance[k]! * (values[k]! - anchor[k]!);
      }
    },
);

export function addPenaltyGradient(
  target: readonly MutableVector[],
  values: Rows,
  anchor: Rows,
  importance: Rows,
  scale: number,
): void {
  const loop = penaltyGradientLoop(target[0]!);
  loop(longRows(target), flatten(values), flatten(anchor), flatten(importance), scale);
}

const addLoop = specialize(() => (target: readonly MutableVector[], added: Flat): void => {
  for (let i = 0, k = 0; i < target.length; i++) {
    const row = target[i]!;
    for (let j = 0; j < row.length; j++, k++) row[j]! += added[k]!;
  }
});

export function addRows(target: readonly MutableVector[], rows: Rows): void {
  addLoop(target[0]!)(longRows(target), flatten(rows));
}

const pullLoop = specialize(
  () =>
    (values: readonly MutableVector[], anchor: Flat, importance: Flat, rate: number): void => {
      for (let i = 0, k = 0; i < values.length; i++) {
        const row = values[i]!;
        const { length } = row;
        let j = 0;
        for (; j + 3 < length; j += 4, k += 4) {
          const x0 = row[j]!;
          const x1 = row[j + 1]!;
          const x2 = row[j + 2]!;
          const x3 = row[j + 3]!;
          row[j] = x0 - atMostOne(rate * importance[k]!) * (x0 - anchor[k]!);
          row[j + 1] = x1 - atMostOne(rate * importance[k + 1]!) * (x1 - anchor[k + 1]!);
          row[j + 2] = x2 - atMostOne(rate * importance[k + 2]!) * (x2 - anchor[k + 2]!);
          row[j + 3] = x3 - atMostOne(rate * importance[k + 3]!) * (x3 - anchor[k + 3]!);
        }
        for (; j < length; j++, k++) {
          const x = row[j]!;
          row[j] = x - atMostOne(rate * importance[k]!) * (x - anchor[k]!);
        }
      }
    },
);

/** Takes half the time of `Math.min(1, share)`, which must handle signed zeros and NaN. */
function atMostOne(share: number): number {
  // biome-ignore lint/complexity/useMathMinMax: see above
  return share < 1 ? share : 1;
}

export function pullTowards(values: readonly MutableVector[], anchor: Rows, importance: Rows, rate: number): void {
  pullLoop(values[0]!)(longRows(values), flatten(anchor), flatten(importance), rate);
}

const squaresLoop = specialize(() => (rows: readonly Vector[]): number => {
  let even = 0;
  let odd = 0;
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!;
    const { length } = row;
    let j = 0;
    for (; j + 1 < length; j += 2) {
      even += row[j]! * row[j]!;
      odd += row[j + 1]! * row[j + 1]!;
    }
    if (j < length) even += row[j]! * row[j]!;
  }
  return even + odd;
});

export function sumOfSquares(rows: Rows): number {
  return squaresLoop(rows[0]!)(longRows(rows));
}

const adamwLoop = specialize(
  () =>
    (values: readonly MutableVector[], gradient: Flat, first: Flat, second: Flat, step: AdamStep): void => {
      const { lr, beta1, beta2, eps, weightDecay, correction1, correction2, gradientScale } = step;
      const keep = 1 - lr * weightDecay;
      const rate = lr / correction1;
      const rootCorrection2 = Math.sqrt(correction2);
      for (let i = 0, k = 0; i < values.length; i++) {
        const row = values[i]!;
        for (let j = 0; j < row.length; j++, k++) {
          const g = gradientScale * gradient[k]!;
          const m = beta1 * first[k]! + (1 - beta1) * g;
          const v = beta2 * second[k]! + (1 - beta2) * g * g;
          first[k] = m;
          second[k] = v;
          row[j] = keep * row[j]! - (rate * m) / (Math.sqrt(v) / rootCorrection2 + eps);
        }
      }
    },
);

export function adamw(values: readonly MutableVector[], gradients: Rows, moments: AdamMoments, step: AdamStep): void {
  const loop = adamwLoop(values[0]!);
  loop(longRows(values), flatten(gradients), flatten(moments.first), flatten(moments.second), step);
}

const sgdLoop = specialize(
  () =>
    (values: readonly MutableVector[], gradient: Flat, velocity: Flat | null, step: SgdStep): void => {
      const { lr, momentum, weightDecay, gradientScale } = step;
      for (let i = 0, k = 0; i < values.length; i++) {
        const row = values[i]!;
        for (let j = 0; j < row.length; j++, k++) {
          let g = gradientScale * gradient[k]! + weightDecay * row[j]!;
          if (velocity) velocity[k] = g = momentum * velocity[k]! + g;
          row[j]! -= lr * g;
        }
      }
    },
);

export function sgd(
  values: readonly MutableVector[],
  gradients: Rows,
  velocity: readonly MutableVector[] | null,
  step: SgdStep,
): void {
  sgdLoop(values[0]!)(longRows(values), flatten(gradients), velocity && flatten(velocity), step);
}
