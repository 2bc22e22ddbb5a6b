import {
  checkArray,
  checkBoolean,
  checkCount,
  checkNumber,
  checkObject,
  checkOneOf,
  describe,
} from '../internal/validate.js';
import { toNestedArrays } from '../kernels/matrix.js';
import type { AdapterMemory, Learned, ParameterRows, SavedFields } from './memory.js';
import { checkOptionsOf, type EWCConfig, type EWCStats } from './options.js';
import { PENALTIES } from './penalties.js';
import { type Provenance, parseProvenance } from './provenance.js';
import { checkShape, parseMatrix } from './saved-matrix.js';
import { SIDES, type SidesSeen } from './through.js';

/** What `EWCManager.export` returns: plain arrays and numbers, ready for JSON. */
export interface EWCState {
  /** Fisher values by adapter. */
  fisherInfo: Record<string, { fisherA: number[][]; fisherB: number[][] }>;
  /** Protected parameters by adapter. */
  optimalParams: Record<string, { loraA: number[][]; loraB: number[][] }>;
  /** The configuration. */
  config: EWCConfig;
  /** The counts. */
  stats: EWCStats;
  /** Version of the format; the original module's has none. */
  version: 1;
  /** Examples of the latest task. */
  examples: number;
  /** Whether `config.lambda` is the default, which the next task may change. */
  isDefaultLambda: boolean;
  /** Whether what is remembered has been normalised. */
  isNormalized: boolean;
  /** Constants of the diagonal penalty by adapter, where they are not 0. */
  constants: Record<string, number>;
  /**
   * Which sides of the pairs each adapter saw of the latest task. The list is empty if `adapterGradients` decided. Null
   * stands for unknown.
   */
  sides: Record<string, ('inputEmb' | 'outputEmb')[]> | null;
  /** Fingerprints of what the state comes from. */
  provenance: Provenance;
  /** What the function penalty keeps, by adapter. */
  functionInfo: Record<string, { moment: number[][]; residual: number[][] | null; constant: number; scaling: number }>;
}

const VERSION = 1;

/** What a manager exports. */
export interface Exported extends Learned {
  config: EWCConfig;
  stats: EWCStats;
  /** Whether `config.lambda` is the default. */
  isDefaultLambda: boolean;
}

export function exportState(exported: Exported, weights: Provenance['weights']): EWCState {
  const { memories, latest, config, stats, isDefaultLambda, isNormalized } = exported;
  const saved = mapped(memories, memory => memory.save());
  const field = <Field extends keyof SavedFields>(name: Field): Record<string, SavedFields[Field]> =>
    Object.fromEntries(
      Object.entries(saved).flatMap(([adapter, { [name]: value }]) => (value === undefined ? [] : [[adapter, value]])),
    );
  return {
    fisherInfo: field('fisherInfo'),
    optimalParams: mapped(memories, ({ shown: { optimal } }) => ({
      loraA: toNestedArrays(optimal.loraA),
      loraB: toNestedArrays(optimal.loraB),
    })),
    config: { ...config },
    stats: { ...stats },
    version: VERSION,
    examples: latest.examples,
    isDefaultLambda,
    isNormalized,
    constants: field('constants'),
    sides: latest.sides ? mapped(latest.sides, sides => [...sides]) : null,
    provenance: { ...latest.fingerprints, weights },
    functionInfo: field('functionInfo'),
  };
}

function mapped<From, To>(map: ReadonlyMap<string, From>, convert: (value: From) => To): Record<string, To> {
  return Object.fromEntries(Array.from(map, ([name, value]) => [name, convert(value)]));
}

/** What a state says. The original's lacks much of it. */
export interface Parsed extends Learned {
  /** Settings that the state names. */
  config: Partial<EWCConfig>;
  /** Undefined where the state has none. */
  stats: EWCStats | undefined;
  isDefaultLambda: boolean;
  /** Fingerprints of the adapters' weights, where the state has them. */
  weights: Provenance['weights'];
  /** Whether the state was written by this library, or names a Fisher: then it also says by absence what it is. */
  isWhole: boolean;
}

/**
 * Reads state that may come from anywhere. Only known fields are read.
 *
 * @throws TypeError or RangeError, before anything is handed out.
 */
export function parseState(call: string, data: unknown): Parsed {
  checkObject(call, 'data', data);
  if (data['version'] !== undefined && data['version'] !== VERSION)
    throw new RangeError(`${call}: version ${describe(data['version'])} is not known, only ${VERSION}`);
  const optima = new Map(entriesOf(call, 'optimalParams', data['optimalParams']));
  const saved = Object.values(PENALTIES).map(penalty => ({
    penalty,
    entries: entriesOf(call, penalty.field, data[penalty.field]),
  }));
  const constants = parseConstants(call, data['constants']);
  const memories = new Map<string, AdapterMemory>();
  for (const { penalty, entries } of saved) {
    for (const [name, entry] of entries) {
      const optimal = parseOptimum(call, name, optima.get(name), penalty.field);
      const constant = constants.get(name) ?? 0;
      memories.set(name, penalty.parse(call, `${penalty.field}.${name}`, entry, optimal, constant));
    }
  }
  const unmatched = [...optima.keys()].find(name => !memories.has(name));
  if (unmatched !== undefined) throw new RangeError(`${call}: optimalParams has "${unmatched}", fisherInfo lacks it`);
  const { weights, ...fingerprints } = parseProvenance(call, data['provenance']);
  return {
    memories,
    latest: {
      sides: parseSides(call, data['sides']),
      fingerprints,
      examples: checkCount(call, 'examples', data['examples'] ?? 0, 0),
    },
    isNormalized: parseFlag(call, 'isNormalized', data['isNormalized']),
    config: parseConfig(call, data['config']),
    stats: parseStats(call, data['stats']),
    isDefaultLambda: parseFlag(call, 'isDefaultLambda', data['isDefaultLambda']),
    weights,
    isWhole: data['version'] === VERSION || [...memories.values()].some(({ penalty }) => penalty === 'diagonal'),
  };
}

function parseOptimum(
  call: string,
  name: string,
  optimum: Record<string, unknown> | undefined,
  field: string,
): ParameterRows {
  if (optimum === undefined) throw new RangeError(`${call}: ${field} has "${name}", optimalParams lacks it`);
  const loraA = parseMatrix(call, `optimalParams.${name}.loraA`, optimum['loraA']);
  const loraB = parseMatrix(call, `optimalParams.${name}.loraB`, optimum['loraB']);
  checkShape(call, `optimalParams.${name}.loraA`, loraA, loraA.length, loraB.length);
  return { loraA, loraB };
}

function parseFlag(call: string, name: string, flag: unknown): boolean {
  if (flag !== undefined) checkBoolean(call, name, flag);
  return flag === true;
}

function parseConstants(call: string, constants: unknown): Map<string, number> {
  if (constants === undefined) return new Map();
  checkObject(call, 'constants', constants);
  return new Map(
    Object.entries(constants).map(([name, value]) => [name, checkNumber(call, `constants.${name}`, value, { min: 0 })]),
  );
}

function parseSides(call: string, sides: unknown): SidesSeen | undefined {
  if (sides === undefined || sides === null) return undefined;
  checkObject(call, 'sides', sides);
  return new Map(
    Object.entries(sides).map(([name, value]) => {
      checkArray(call, `sides.${name}`, value);
      return [name, value.map((side, i) => checkOneOf(call, `sides.${name}[${i}]`, side, SIDES))];
    }),
  );
}

function entriesOf(call: string, field: string, value: unknown): [string, Record<string, unknown>][] {
  if (value === undefined || value === null) return [];
  checkObject(call, field, value);
  return Object.entries(value).map(([name, entry]) => {
    checkObject(call, `${field}.${name}`, entry);
    return [name, entry];
  });
}

function parseConfig(call: string, config: unknown): Partial<EWCConfig> {
  if (config === undefined || config === null) return {};
  checkObject(call, 'config', config);
  const parsed: Record<string, unknown> = {};
  for (const option of ['lambda', 'sampleSize', 'normalize', 'online', 'mode', 'decay', 'fisher', 'penalty', 'seed']) {
    if (config[option] !== undefined && config[option] !== null) parsed[option] = config[option];
  }
  // JSON writes an infinite sampleSize as null.
  if (config['sampleSize'] === null) parsed['sampleSize'] = Infinity;
  for (const flag of ['normalize', 'online']) {
    if (parsed[flag] !== undefined) checkBoolean(call, `config.${flag}`, parsed[flag]);
  }
  checkOptionsOf(call, 'config.', parsed);
  return parsed;
}

function parseStats(call: string, stats: unknown): EWCStats | undefined {
  if (stats === undefined || stats === null) return undefined;
  checkObject(call, 'stats', stats);
  return {
    tasksLearned: checkCount(call, 'stats.tasksLearned', stats['tasksLearned'] ?? 0, 0),
    totalPenalties: checkCount(call, 'stats.totalPenalties', stats['totalPenalties'] ?? 0, 0),
  };
}
