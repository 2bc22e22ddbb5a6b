import { checkGradients, checkTrainable, describeAdapter, throwNonFiniteAdapter } from '../internal/adapters.js';
import { checkDistinctGradients } from '../internal/distinct.js';
import { checkFiniteRows, describe } from '../internal/validate.js';
import { kernels } from '../kernels/index.js';
import { type Flat, flatCopy, float32Matrix, storeFlat } from '../kernels/matrix.js';
import type { Adapter, AdapterGradients, Float32Row } from '../types.js';
import type { AdapterPenalty } from './memory.js';

/** An adapter with the penalty on it. */
export interface Penalised {
  name: string;
  adapter: Adapter;
  penalty: AdapterPenalty;
}

/** The gradient of the penalty on one adapter: gradA is dim × rank, gradB rank × outDim. */
export type PenaltyGradient = { gradA: readonly Float32Row[]; gradB: readonly Float32Row[] };

/** Below it every entry, and its sum with another, is within float32. */
const LARGEST_SQUARES = 1e76;

/** λ times the penalties. @throws RangeError where one is not finite. */
export function totalPenalty(call: string, penalised: readonly Penalised[], lambda: number): number {
  let total = 0;
  for (const each of penalised) {
    const ofAdapter = lambda * each.penalty.value();
    if (!Number.isFinite(ofAdapter)) throwNonFinitePenalty(call, each);
    total += ofAdapter;
  }
  return total;
}

/** λ times the gradients, by adapter. @throws RangeError where one overflows. */
export function penaltyGradients(
  call: string,
  penalised: readonly Penalised[],
  lambda: number,
): Map<string, PenaltyGradient> {
  const gradients = new Map<string, PenaltyGradient>();
  for (const each of penalised) {
    const { loraA, loraB } = each.adapter;
    const gradA = float32Matrix(loraA.length, loraB.length);
    const gradB = float32Matrix(loraB.length, loraB[0]!.length);
    addGradient(call, each, lambda, { gradA, gradB });
    gradients.set(each.name, { gradA, gradB });
  }
  return gradients;
}

/** Adds λ times the gradients to those of a loss. @throws RangeError where a sum overflows, with `grads` unchanged. */
export function addPenaltyGradients(
  call: string,
  penalised: readonly Penalised[],
  lambda: number,
  grads: ReadonlyMap<string, AdapterGradients>,
): void {
  const sums: { to: AdapterGradients; gradA: Flat; gradB: Flat }[] = [];
  for (const each of penalised) {
    const to = grads.get(each.name);
    if (!to) continue;
    // Each matrix in one array: to make views of its rows would take longer than the sum.
    const [gradA, gradB] = [flatCopy(to.gradA), flatCopy(to.gradB)];
    addGradient(call, each, lambda, { gradA: [gradA], gradB: [gradB] });
    sums.push({ to, gradA, gradB });
  }
  for (const { to, gradA, gradB } of sums) {
    storeFlat(to.gradA, gradA);
    storeFlat(to.gradB, gradB);
  }
}

/** Checks that the penalty's gradients can be added to these. */
export function checkTarget(
  call: string,
  grads: ReadonlyMap<string, AdapterGradients>,
  adapters: ReadonlyMap<string, Adapter>,
): void {
  checkGradients(call, grads, adapters);
  checkDistinctGradients(call, grads);
  for (const [name, { gradA, gradB }] of grads) {
    checkTrainable(call, `grads.get(${describe(name)}).gradA`, gradA);
    checkTrainable(call, `grads.get(${describe(name)}).gradB`, gradB);
  }
}

/** One step on each penalty. @throws TypeError or RangeError, with the adapters unchanged, where one cannot be done. */
export function stepOn(call: string, penalised: readonly Penalised[], rate: number): void {
  for (const { name, adapter } of penalised) {
    checkTrainable(call, `${describeAdapter(name)}.loraA`, adapter.loraA);
    checkTrainable(call, `${describeAdapter(name)}.loraB`, adapter.loraB);
  }
  for (const each of penalised) if (!Number.isFinite(each.penalty.value())) throwNonFinitePenalty(call, each);
  // Infinity times an importance of 0 would be no number.
  for (const { penalty } of penalised) penalty.step(Math.min(rate, Number.MAX_VALUE));
}

function addGradient(call: string, each: Penalised, lambda: number, gradients: AdapterGradients): void {
  each.penalty.addGradient(gradients, lambda);
  const squares = kernels().sumOfSquares(gradients.gradA) + kernels().sumOfSquares(gradients.gradB);
  if (!(squares < LARGEST_SQUARES)) throwNonFinitePenalty(call, each);
}

/** Names the entry behind a result that is not finite: of the adapter, or of what is remembered. */
function throwNonFinitePenalty(call: string, { name, adapter, penalty }: Penalised): never {
  for (const [label, rows] of Object.entries(penalty.remembered)) checkFiniteRows(call, label, rows);
  throwNonFiniteAdapter(call, name, adapter, 'config.lambda');
}
