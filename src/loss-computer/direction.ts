import { areFinite } from '../kernels/finite.js';
import type { Kernels } from '../kernels/kernels.js';
import type { LossResult } from '../types.js';
import type { RowGradients } from './through.js';

/** The result of one direction of a contrastive loss: anchors that look for their positives. */
export interface Direction {
  loss: number;
  /** The loss of each anchor, if wanted. */
  losses: Float64Array | null;
  gradients?: DirectionGradients;
}

export interface DirectionGradients {
  temperature: number;
  rows: RowGradients;
  adapters: NonNullable<LossResult['adapterGradients']>;
}

/** Adds gradients to others, in float32. Returns whether the sums are finite. */
export function addGradients(backend: Kernels, total: DirectionGradients, added: DirectionGradients): boolean {
  total.temperature += added.temperature;
  let areAllFinite = Number.isFinite(total.temperature);
  for (const argument of ['anchors', 'positives', 'negatives'] as const) {
    const [to, from] = [total.rows[argument], added.rows[argument]];
    if (!to || !from || from.length === 0) continue;
    backend.addRows(to, from);
    areAllFinite &&= areFinite(to);
  }
  for (const [name, { gradA, gradB }] of added.adapters) {
    const to = total.adapters.get(name)!;
    backend.addRows(to.gradA, gradA);
    backend.addRows(to.gradB, gradB);
    areAllFinite &&= areFinite(to.gradA, to.gradB);
  }
  return areAllFinite;
}

/** The gradients of the reverse direction, whose anchors are the positives. */
export function reversedGradients({ temperature, rows, adapters }: DirectionGradients): DirectionGradients {
  return { temperature, rows: { anchors: rows.positives, positives: rows.anchors, negatives: null }, adapters };
}
