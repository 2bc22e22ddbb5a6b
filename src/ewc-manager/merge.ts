import type { EWCManager } from '../ewc-manager.js';
import { checkSameShape } from '../internal/adapters.js';
import { describe } from '../internal/validate.js';
import { copyRows, zerosLike } from '../kernels/matrix.js';
import { areEqual } from '../kernels/vector.js';
import type { MutableVector, Rows } from '../types.js';
import { blend, type DiagonalMemory, sum } from './diagonal.js';
import type { FunctionInfo, FunctionMemory } from './function-penalty.js';
import { DECAY, modeOf } from './options.js';
import type { Side, SidesSeen } from './through.js';

/** Checks that two managers are of one kind and have learned as many tasks, with adapters of the same names. */
export function checkMergeable(mine: EWCManager, theirs: EWCManager): void {
  const traits = ({ config, stats }: EWCManager): Record<string, unknown> => ({
    penalty: config.penalty ?? 'diagonal',
    fisher: config.fisher ?? 'empirical',
    mode: modeOf(config),
    decay: config.decay ?? DECAY,
    'stats.tasksLearned': stats.tasksLearned,
  });
  const [here, there] = [traits(mine), traits(theirs)];
  for (const [trait, value] of Object.entries(here)) {
    if (there[trait] !== value)
      throw new RangeError(`merge: the other's ${trait} is ${String(there[trait])}, here ${String(value)}`);
  }
  for (const [has, lacks, name] of [
    ['this manager', 'the other', missingIn(theirs.optimalParams, mine.optimalParams)],
    ['the other', 'this manager', missingIn(mine.optimalParams, theirs.optimalParams)],
  ]) {
    if (name !== undefined) throw new RangeError(`merge: ${has} remembers ${describe(name)}, ${lacks} does not`);
  }
}

function missingIn(map: ReadonlyMap<string, unknown>, names: ReadonlyMap<string, unknown>): string | undefined {
  return [...names.keys()].find(name => !map.has(name));
}

/** Checks that the adapters of two managers saw the same sides of the pairs, where both know. */
export function checkSameSides(mine: SidesSeen | undefined, theirs: SidesSeen | undefined): void {
  if (!mine || !theirs) return;
  for (const name of new Set([...mine.keys(), ...theirs.keys()])) {
    const [here, there] = [mine, theirs].map(seen => sidesInWords(seen.get(name)));
    if (here !== there)
      throw new RangeError(`merge: ${describe(name)} of the other manager was given ${there}, here ${here}`);
  }
}

function sidesInWords(sides: readonly Side[] | undefined): string {
  if (sides === undefined) return 'nothing';
  return sides.join(' and ') || 'adapterGradients';
}

/**
 * What two shards of one task make together. All that is kept is linear in the latest task's means, so the weighted
 * mean of two memories is that of the task as a whole, on top of what both already held.
 *
 * @param share What the first memory counts, from 0 to 1; the other counts the rest.
 * @param isSum Whether the mode is `'sum'`: the remembered parameters then lie between tasks, each shard's elsewhere.
 * @throws RangeError where the two do not belong together.
 */
export function mergeDiagonal(
  name: string,
  mine: DiagonalMemory,
  theirs: DiagonalMemory,
  share: number,
  isSum: boolean,
): DiagonalMemory {
  checkSameWeights(name, mine.optimal, theirs.optimal, !isSum);
  const { fisher, optimal, constant } = mine;
  const merged = {
    fisher: { fisherA: copyRows(fisher.fisherA), fisherB: copyRows(fisher.fisherB) },
    optimal: { loraA: copyRows(optimal.loraA), loraB: copyRows(optimal.loraB) },
    constant,
  };
  if (isSum) return sum(merged, theirs, share, 1 - share);
  for (const part of ['fisherA', 'fisherB'] as const) mix(merged.fisher[part], theirs.fisher[part], share);
  return merged;
}

/** The same for the function penalty, of shards that end at the same weights. */
export function mergeFunction(name: string, mine: FunctionMemory, theirs: FunctionMemory, share: number): FunctionInfo {
  checkSameWeights(name, mine, theirs, true);
  if (mine.scaling !== theirs.scaling)
    throw new RangeError(`merge: the other's scaling of ${describe(name)} is ${theirs.scaling}, here ${mine.scaling}`);
  const moment = mix(copyRows(mine.moment), theirs.moment, share);
  // None stands for zeros.
  const residual =
    mine.residual || theirs.residual
      ? mix(copyRows(mine.residual ?? zerosLike(theirs.residual!)), theirs.residual ?? zerosLike(mine.residual!), share)
      : null;
  const constant = share * mine.constant + (1 - share) * theirs.constant;
  return { moment, residual, constant, scaling: mine.scaling };
}

function checkSameWeights(
  name: string,
  mine: { loraA: Rows; loraB: Rows },
  theirs: { loraA: Rows; loraB: Rows },
  isEqual: boolean,
): void {
  for (const matrix of ['loraA', 'loraB'] as const) {
    checkSameShape('merge', `other.optimalParams.get(${describe(name)}).${matrix}`, theirs[matrix], mine[matrix]);
    if (isEqual && !mine[matrix].every((row, i) => areEqual(row, theirs[matrix][i]!)))
      throw new RangeError(
        `merge: the other's ${matrix} of ${describe(name)} has other weights; shards share one adapter`,
      );
  }
}

/** The weighted mean of two matrices, in place of the first. */
function mix(target: readonly MutableVector[], source: Rows, share: number): readonly MutableVector[] {
  blend(target, source, (value, other) => share * value + (1 - share) * other);
  return target;
}
