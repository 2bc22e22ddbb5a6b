import { areFinite } from '../kernels/finite.js';
import type { Kernels } from '../kernels/kernels.js';
import { float32Matrix } from '../kernels/matrix.js';
import type { Float32Row, GroupResult, LossResult } from '../types.js';
import { isInBatch, type Setup } from './contrastive-problem.js';
import { isOwn } from './negatives.js';
import type { ContrastiveArgument, RowGradients } from './through.js';

/** The result of one direction of a contrastive loss: anchors that look for their positives. */
export interface Direction {
  loss: number;
  /** The loss of each anchor, if wanted. */
  losses: Float64Array | null;
  gradients?: DirectionGradients;
  /** The results of groups of anchors, with `perGroup`. */
  groups?: GroupResult[];
}

export interface DirectionGradients {
  temperature: number;
  rows: RowGradients;
  adapters: NonNullable<LossResult['adapterGradients']>;
}

/**
 * Adds up the results of groups of anchors in order. With `perGroup`, keeps each of them. Undefined if a group is
 * missing, or a number is not finite.
 */
export function sumOfGroups(
  backend: Kernels,
  setup: Setup,
  groups: Iterable<Direction | undefined>,
): Direction | undefined {
  const { perGroup = false } = setup.options;
  let total: Direction | undefined;
  const results: GroupResult[] = [];
  for (const group of groups) {
    if (!group) return undefined;
    if (perGroup) results.push(resultOf(group));
    // The next groups are added to the first one's gradients.
    if (!total) total = perGroup ? withOwnGradients(group) : group;
    else if (!addGroup(backend, setup, total, group)) return undefined;
  }
  if (total && perGroup) total.groups = results;
  return total;
}

function resultOf({ loss, gradients }: Direction): GroupResult {
  if (!gradients) return { loss };
  const { temperature, adapters } = gradients;
  return { loss, temperatureGradient: temperature, ...(adapters.size > 0 && { adapterGradients: adapters }) };
}

function withOwnGradients({ gradients, ...others }: Direction): Direction {
  if (!gradients) return others;
  const adapters: DirectionGradients['adapters'] = new Map();
  for (const [name, { gradA, gradB }] of gradients.adapters)
    adapters.set(name, { gradA: copyOf(gradA), gradB: copyOf(gradB) });
  return { ...others, gradients: { ...gradients, adapters } };
}

function copyOf(rows: readonly Float32Row[]): readonly Float32Row[] {
  const copy = float32Matrix(rows.length, rows[0]!.length);
  rows.forEach((row, i) => {
    copy[i]!.set(row);
  });
  return copy;
}

/** Adds the result of the next group of anchors. Returns whether the sums are finite. */
function addGroup(backend: Kernels, setup: Setup, total: Direction, group: Direction): boolean {
  total.loss += group.loss;
  if (total.losses && group.losses) total.losses = joined(total.losses, group.losses);
  if (!total.gradients || !group.gradients) return Number.isFinite(total.loss);
  const [to, from] = [total.gradients.rows, group.gradients.rows];
  const added: RowGradients = { anchors: null, positives: null, negatives: null };
  const appendOrAdd = (argument: ContrastiveArgument, isOfAnchors: boolean): void => {
    if (!isOfAnchors) added[argument] = from[argument];
    else if (to[argument] && from[argument]) to[argument].push(...from[argument]);
  };
  appendOrAdd('anchors', true);
  appendOrAdd('positives', !isInBatch(setup));
  appendOrAdd('negatives', isOwn(setup.negativeMode));
  return Number.isFinite(total.loss) && addGradients(backend, total.gradients, { ...group.gradients, rows: added });
}

function joined(a: Float64Array, b: Float64Array): Float64Array {
  const both = new Float64Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
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
