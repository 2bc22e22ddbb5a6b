import { areFinite } from '../kernels/finite.js';
import type { Kernels } from '../kernels/kernels.js';
import { withJson } from '../kernels/matrix.js';
import type { Float32Row, GroupResult, LossResult } from '../types.js';
import { isInBatch, type Setup } from './contrastive-problem.js';
import { isOwn } from './negatives.js';
import type { ContrastiveArgument, RowGradients } from './through.js';

/** The result of one direction of a contrastive loss: anchors that look for their positives. */
export interface Direction {
  loss: number;
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

/** A copy whose adapters' gradients may change. */
function withOwnGradients({ loss, gradients }: Direction): Direction {
  if (!gradients) return { loss };
  const adapters: DirectionGradients['adapters'] = new Map();
  for (const [name, { gradA, gradB }] of gradients.adapters)
    adapters.set(name, { gradA: copyOf(gradA), gradB: copyOf(gradB) });
  return { loss, gradients: { ...gradients, adapters } };
}

const copyOf = (rows: readonly Float32Row[]): Float32Row[] => withJson(rows.map(row => row.slice()));

/** Adds the result of the next group of anchors. Returns whether the sums are finite. */
function addGroup(backend: Kernels, setup: Setup, total: Direction, group: Direction): boolean {
  total.loss += group.loss;
  if (!Number.isFinite(total.loss)) return false;
  if (!total.gradients || !group.gradients) return true;
  const isOfAnchors = { anchors: true, positives: !isInBatch(setup), negatives: isOwn(setup.negativeMode) };
  return addGradients(backend, total.gradients, group.gradients, isOfAnchors);
}

/**
 * Adds gradients to others, in float32. Returns whether the sums are finite.
 *
 * @param isAppended The arguments whose rows are appended.
 */
export function addGradients(
  backend: Kernels,
  total: DirectionGradients,
  added: DirectionGradients,
  isAppended: Partial<Record<ContrastiveArgument, boolean>> = {},
): boolean {
  total.temperature += added.temperature;
  let areAllFinite = Number.isFinite(total.temperature);
  const add = (to: readonly Float32Row[], from: readonly Float32Row[]): void => {
    backend.addRows(to, from);
    areAllFinite &&= areFinite(to);
  };
  for (const argument of ['anchors', 'positives', 'negatives'] as const) {
    const [to, from] = [total.rows[argument], added.rows[argument]];
    if (!to || !from?.length) continue;
    if (isAppended[argument]) to.push(...from);
    else add(to, from);
  }
  for (const [name, { gradA, gradB }] of added.adapters) {
    const to = total.adapters.get(name)!;
    add(to.gradA, gradA);
    add(to.gradB, gradB);
  }
  return areAllFinite;
}

/** The gradients of the reverse direction, whose anchors are the positives. */
export function reversedGradients({ temperature, rows, adapters }: DirectionGradients): DirectionGradients {
  return { temperature, rows: { anchors: rows.positives, positives: rows.anchors, negatives: null }, adapters };
}
