import type { MutableVector, Rows } from '../../types.js';
import type { AdamMoments, AdamStep, SgdStep } from '../kernels.js';

/** Passes over the parameters of an adapter: EWC's penalty and the optimizers. */

export function quadraticPenalty(values: Rows, anchor: Rows, importance: Rows): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    const optimum = anchor[i]!;
    const weight = importance[i]!;
    for (let j = 0; j < value.length; j++) {
      const difference = value[j]! - optimum[j]!;
      sum += weight[j]! * difference * difference;
    }
  }
  return sum;
}

export function addPenaltyGradient(
  target: readonly MutableVector[],
  values: Rows,
  anchor: Rows,
  importance: Rows,
  scale: number,
): void {
  for (let i = 0; i < values.length; i++) {
    const gradient = target[i]!;
    const value = values[i]!;
    const optimum = anchor[i]!;
    const weight = importance[i]!;
    for (let j = 0; j < value.length; j++) gradient[j]! += scale * weight[j]! * (value[j]! - optimum[j]!);
  }
}

export function pullTowards(values: readonly MutableVector[], anchor: Rows, importance: Rows, rate: number): void {
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    const optimum = anchor[i]!;
    const weight = importance[i]!;
    for (let j = 0; j < value.length; j++) value[j]! -= Math.min(1, rate * weight[j]!) * (value[j]! - optimum[j]!);
  }
}

export function sumOfSquares(rows: Rows): number {
  let sum = 0;
  for (const row of rows) {
    for (let j = 0; j < row.length; j++) sum += row[j]! * row[j]!;
  }
  return sum;
}

export function adamw(values: readonly MutableVector[], gradients: Rows, moments: AdamMoments, step: AdamStep): void {
  const { lr, beta1, beta2, eps, weightDecay, correction1, correction2, gradientScale } = step;
  const keep = 1 - lr * weightDecay;
  const rate = lr / correction1;
  const rootCorrection2 = Math.sqrt(correction2);
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    const gradient = gradients[i]!;
    const first = moments.first[i]!;
    const second = moments.second[i]!;
    for (let j = 0; j < value.length; j++) {
      const g = gradientScale * gradient[j]!;
      const m = beta1 * first[j]! + (1 - beta1) * g;
      const v = beta2 * second[j]! + (1 - beta2) * g * g;
      first[j] = m;
      second[j] = v;
      value[j] = keep * value[j]! - (rate * m) / (Math.sqrt(v) / rootCorrection2 + eps);
    }
  }
}

export function sgd(
  values: readonly MutableVector[],
  gradients: Rows,
  velocity: readonly MutableVector[] | null,
  step: SgdStep,
): void {
  const { lr, momentum, weightDecay, gradientScale } = step;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    const gradient = gradients[i]!;
    const speed = velocity?.[i];
    for (let j = 0; j < value.length; j++) {
      let g = gradientScale * gradient[j]! + weightDecay * value[j]!;
      if (speed) speed[j] = g = momentum * speed[j]! + g;
      value[j]! -= lr * g;
    }
  }
}
