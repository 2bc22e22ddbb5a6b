import { checkSameShape } from '../internal/adapters.js';
import { describe } from '../internal/validate.js';
import { areEqual } from '../kernels/vector.js';
import type { AdapterMemory, Learned, ParameterRows } from './memory.js';
import { NO_TASK } from './memory.js';
import { DECAY, type EWCConfig, type EWCStats, modeOf } from './options.js';
import type { Side, SidesSeen } from './through.js';

/** A manager, as far as another one is merged with it. */
export interface Shard extends Learned {
  config: EWCConfig;
  stats: EWCStats;
}

/**
 * What two shards of one task learned together: each memory's weight is the number of examples it was made of.
 *
 * @throws RangeError where the shards do not belong together.
 */
export function mergeShards(call: string, mine: Shard, theirs: Shard): Learned {
  checkSameKind(call, mine, theirs);
  if (mine.isNormalized || theirs.isNormalized)
    throw new RangeError(`${call}: normalised Fishers have lost their scale`);
  if (mine.memories.size === 0) return mine;
  const [ours, others] = [mine.latest, theirs.latest];
  if (ours.examples === 0 || others.examples === 0) {
    throw new RangeError(
      `${call}: how many examples were seen is not known of state that the original module exported`,
    );
  }
  checkSameSides(call, ours.sides, others.sides);
  const examples = ours.examples + others.examples;
  const memories = new Map<string, AdapterMemory>();
  for (const [name, memory] of mine.memories) {
    const other = theirs.memories.get(name)!;
    if (other.penalty !== memory.penalty)
      throw new RangeError(
        `${call}: the other's penalty on ${describe(name)} is ${other.penalty}, here ${memory.penalty}`,
      );
    memory.check(call, '', name);
    other.check(call, 'other.', name);
    memories.set(name, memory.merge(call, name, other, ours.examples / examples, mine.config));
  }
  return { memories, latest: { ...ours, examples, fingerprints: NO_TASK.fingerprints }, isNormalized: false };
}

/** Checks that two managers are of one kind and have learned as many tasks, with adapters of the same names. */
function checkSameKind(call: string, mine: Shard, theirs: Shard): void {
  const traits = ({ config, stats }: Shard): Record<string, unknown> => ({
    penalty: config.penalty ?? 'diagonal',
    fisher: config.fisher ?? 'empirical',
    mode: modeOf(config),
    decay: config.decay ?? DECAY,
    'stats.tasksLearned': stats.tasksLearned,
  });
  const [here, there] = [traits(mine), traits(theirs)];
  for (const [trait, value] of Object.entries(here)) {
    if (there[trait] !== value)
      throw new RangeError(`${call}: the other's ${trait} is ${String(there[trait])}, here ${String(value)}`);
  }
  for (const [has, lacks, name] of [
    ['this manager', 'the other', missingIn(theirs.memories, mine.memories)],
    ['the other', 'this manager', missingIn(mine.memories, theirs.memories)],
  ]) {
    if (name !== undefined) throw new RangeError(`${call}: ${has} remembers ${describe(name)}, ${lacks} does not`);
  }
}

function missingIn(map: ReadonlyMap<string, unknown>, names: ReadonlyMap<string, unknown>): string | undefined {
  return [...names.keys()].find(name => !map.has(name));
}

/** Checks that the adapters of two managers saw the same sides of the pairs, where both know. */
function checkSameSides(call: string, mine: SidesSeen | undefined, theirs: SidesSeen | undefined): void {
  if (!mine || !theirs) return;
  for (const name of new Set([...mine.keys(), ...theirs.keys()])) {
    const [here, there] = [mine, theirs].map(seen => sidesInWords(seen.get(name)));
    if (here !== there)
      throw new RangeError(`${call}: ${describe(name)} of the other manager was given ${there}, here ${here}`);
  }
}

function sidesInWords(sides: readonly Side[] | undefined): string {
  if (sides === undefined) return 'nothing';
  return sides.join(' and ') || 'adapterGradients';
}

/** Checks that two memories are of adapters of one shape, and with `isEqual` of the same weights. */
export function checkSameWeights(
  call: string,
  name: string,
  mine: ParameterRows,
  theirs: ParameterRows,
  isEqual: boolean,
): void {
  for (const matrix of ['loraA', 'loraB'] as const) {
    checkSameShape(call, `other.optimalParams.get(${describe(name)}).${matrix}`, theirs[matrix], mine[matrix]);
    if (isEqual && !mine[matrix].every((row, i) => areEqual(row, theirs[matrix][i]!)))
      throw new RangeError(
        `${call}: the other's ${matrix} of ${describe(name)} has other weights; shards share one adapter`,
      );
  }
}
