import type { EWCStats } from '../ewc-manager.js';
import { rowsOfJson } from '../internal/json-rows.js';
import {
  checkArray,
  checkBoolean,
  checkCount,
  checkFiniteRows,
  checkNumber,
  checkObject,
  checkOneOf,
  describe,
  inWords,
} from '../internal/validate.js';
import { float64Matrix, toNestedArrays } from '../kernels/matrix.js';
import type { Rows } from '../types.js';
import type { FisherRows, ParameterRows } from './diagonal.js';
import type { FunctionInfo } from './function-penalty.js';
import { checkOptionsOf, type EWCConfig } from './options.js';
import { type Provenance, parseProvenance } from './provenance.js';
import { SIDES, type Side, type SidesSeen } from './through.js';

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
   * Which sides of the pairs each adapter saw of the latest task: none where `adapterGradients` decided; null where it is
   * not known.
   */
  sides: Record<string, Side[]> | null;
  /** Fingerprints of what the state comes from. */
  provenance: Provenance;
  /** What the function penalty keeps, by adapter. */
  functionInfo: Record<string, { moment: number[][]; residual: number[][] | null; constant: number; scaling: number }>;
}

/** State in the manager's own form. */
interface State {
  fisherInfo: Map<string, FisherRows>;
  optimalParams: Map<string, ParameterRows>;
  functionInfo: Map<string, FunctionInfo>;
  constants: Map<string, number>;
  sides: SidesSeen | undefined;
  provenance: Provenance;
  examples: number;
  isDefaultLambda: boolean;
  isNormalized: boolean;
}

const CALL = 'import';
const VERSION = 1;

export function exportState(state: State & { config: EWCConfig; stats: EWCStats }): EWCState {
  const { fisherInfo, optimalParams, functionInfo, constants, sides, provenance, examples, config, stats } = state;
  return {
    fisherInfo: mapped(fisherInfo, ({ fisherA, fisherB }) => ({
      fisherA: toNestedArrays(fisherA),
      fisherB: toNestedArrays(fisherB),
    })),
    optimalParams: mapped(optimalParams, ({ loraA, loraB }) => ({
      loraA: toNestedArrays(loraA),
      loraB: toNestedArrays(loraB),
    })),
    config: { ...config },
    stats: { ...stats },
    version: VERSION,
    examples,
    isDefaultLambda: state.isDefaultLambda,
    isNormalized: state.isNormalized,
    constants: Object.fromEntries([...constants].filter(([, constant]) => constant !== 0)),
    sides: sides ? mapped(sides, each => [...each]) : null,
    provenance,
    functionInfo: mapped(functionInfo, ({ moment, residual, constant, scaling }) => ({
      moment: toNestedArrays(moment),
      residual: residual && toNestedArrays(residual),
      constant,
      scaling,
    })),
  };
}

function mapped<From, To>(map: ReadonlyMap<string, From>, convert: (value: From) => To): Record<string, To> {
  return Object.fromEntries(Array.from(map, ([name, value]) => [name, convert(value)]));
}

/**
 * Reads state that may come from anywhere; throws before anything is handed out. Only known fields are read; what the
 * original's state lacks is empty, or undefined where the manager keeps its own.
 */
export function parseState(
  data: unknown,
): State & { isVersioned: boolean; config: Partial<EWCConfig>; stats: EWCStats | undefined } {
  checkObject(CALL, 'data', data);
  if (data['version'] !== undefined && data['version'] !== VERSION)
    throw new RangeError(`${CALL}: version ${describe(data['version'])} is not known, only ${VERSION}`);
  const optima = new Map(entriesOf('optimalParams', data['optimalParams']));
  const fisherInfo = new Map<string, FisherRows>();
  const functionInfo = new Map<string, FunctionInfo>();
  const optimalParams = new Map<string, ParameterRows>();
  const optimumOf = (field: string, name: string): ParameterRows => {
    const optimum = optima.get(name);
    if (optimum === undefined) throw new RangeError(`${CALL}: ${field} has "${name}", optimalParams lacks it`);
    const loraA = parseMatrix(`optimalParams.${name}.loraA`, optimum['loraA']);
    const loraB = parseMatrix(`optimalParams.${name}.loraB`, optimum['loraB']);
    checkShape(`optimalParams.${name}.loraA`, loraA, loraA.length, loraB.length);
    optimalParams.set(name, { loraA, loraB });
    return { loraA, loraB };
  };
  for (const [name, fisher] of entriesOf('fisherInfo', data['fisherInfo'])) {
    const { loraA, loraB } = optimumOf('fisherInfo', name);
    const fisherA = parseMatrix(`fisherInfo.${name}.fisherA`, fisher['fisherA'], 0);
    const fisherB = parseMatrix(`fisherInfo.${name}.fisherB`, fisher['fisherB'], 0);
    checkShape(`fisherInfo.${name}.fisherA`, fisherA, loraA.length, loraB.length);
    checkShape(`fisherInfo.${name}.fisherB`, fisherB, loraB.length, loraB[0]!.length);
    fisherInfo.set(name, { fisherA, fisherB });
  }
  for (const [name, info] of entriesOf('functionInfo', data['functionInfo'])) {
    functionInfo.set(name, parseFunctionInfo(`functionInfo.${name}`, info, optimumOf('functionInfo', name)));
  }
  const unmatched = [...optima.keys()].find(name => !optimalParams.has(name));
  if (unmatched !== undefined) throw new RangeError(`${CALL}: optimalParams has "${unmatched}", fisherInfo lacks it`);
  return {
    fisherInfo,
    optimalParams,
    functionInfo,
    constants: parseConstants(data['constants']),
    sides: parseSides(data['sides']),
    provenance: parseProvenance(data['provenance']),
    examples: checkCount(CALL, 'examples', data['examples'] ?? 0, 0),
    isDefaultLambda: parseFlag('isDefaultLambda', data['isDefaultLambda']),
    isNormalized: parseFlag('isNormalized', data['isNormalized']),
    isVersioned: data['version'] === VERSION,
    config: parseConfig(data['config']),
    stats: parseStats(data['stats']),
  };
}

function parseFunctionInfo(
  name: string,
  { moment, residual, constant, scaling }: Record<string, unknown>,
  { loraA, loraB }: ParameterRows,
): FunctionInfo {
  const matrix = parseMatrix(`${name}.moment`, moment);
  checkShape(`${name}.moment`, matrix, loraA.length, loraA.length);
  checkMoment(`${name}.moment`, matrix);
  const rest = residual === null ? null : parseMatrix(`${name}.residual`, residual);
  if (rest) checkShape(`${name}.residual`, rest, loraA.length, loraB[0]!.length);
  return {
    moment: matrix,
    residual: rest,
    constant: checkNumber(CALL, `${name}.constant`, constant, { min: 0 }),
    scaling: checkNumber(CALL, `${name}.scaling`, scaling),
  };
}

/**
 * A second moment is symmetric, and no entry beyond the geometric mean of its row's and column's own, except by rounding.
 */
function checkMoment(name: string, moment: readonly Float64Array[]): void {
  moment.forEach((row, i) => {
    checkNumber(CALL, `${name}[${i}][${i}]`, row[i], { min: 0 });
  });
  moment.forEach((row, i) => {
    for (let j = 0; j < i; j++) {
      const most = Math.sqrt(row[i]! * moment[j]![j]!) * (1 + 1e-4);
      const isMoment = Math.abs(row[j]!) <= most && Math.abs(row[j]! - moment[j]![i]!) <= 1e-4 * most;
      if (!isMoment) throw new RangeError(`${CALL}: ${name}[${i}][${j}] is that of no second moment, got ${row[j]}`);
    }
  });
}

function parseFlag(name: string, flag: unknown): boolean {
  if (flag !== undefined) checkBoolean(CALL, name, flag);
  return flag === true;
}

function parseConstants(constants: unknown): Map<string, number> {
  if (constants === undefined) return new Map();
  checkObject(CALL, 'constants', constants);
  return new Map(
    Object.entries(constants).map(([name, value]) => [name, checkNumber(CALL, `constants.${name}`, value, { min: 0 })]),
  );
}

function parseSides(sides: unknown): SidesSeen | undefined {
  if (sides === undefined || sides === null) return undefined;
  checkObject(CALL, 'sides', sides);
  return new Map(
    Object.entries(sides).map(([name, value]) => {
      checkArray(CALL, `sides.${name}`, value);
      return [name, value.map((side, i) => checkOneOf(CALL, `sides.${name}[${i}]`, side, SIDES))];
    }),
  );
}

function entriesOf(field: string, value: unknown): [string, Record<string, unknown>][] {
  if (value === undefined || value === null) return [];
  checkObject(CALL, field, value);
  return Object.entries(value).map(([name, entry]) => {
    checkObject(CALL, `${field}.${name}`, entry);
    return [name, entry];
  });
}

function parseMatrix(name: string, saved: unknown, min = -Infinity): readonly Float64Array[] {
  const rows = rowsOfJson(saved);
  checkFiniteRows(CALL, name, rows);
  const width = rows[0]!.length;
  const matrix = float64Matrix(rows.length, width);
  rows.forEach((row, i) => {
    if (row.length !== width) {
      throw new RangeError(`${CALL}: ${name}[${i}] has ${inWords(row.length, 'entry')}, ${name}[0] has ${width}`);
    }
    const negative = row.findIndex(value => value < min);
    if (negative >= 0) {
      throw new RangeError(`${CALL}: ${name}[${i}][${negative}] must not be negative, got ${row[negative]}`);
    }
    matrix[i]!.set(row);
  });
  return matrix;
}

function checkShape(name: string, rows: Rows, height: number, width: number): void {
  if (rows.length === height && rows[0]!.length === width) return;
  throw new RangeError(`${CALL}: ${name} is ${rows.length} × ${rows[0]!.length}, expected ${height} × ${width}`);
}

function parseConfig(config: unknown): Partial<EWCConfig> {
  if (config === undefined || config === null) return {};
  checkObject(CALL, 'config', config);
  const parsed: Record<string, unknown> = {};
  for (const option of ['lambda', 'sampleSize', 'normalize', 'online', 'mode', 'decay', 'fisher', 'penalty', 'seed']) {
    if (config[option] !== undefined && config[option] !== null) parsed[option] = config[option];
  }
  // JSON writes an infinite sampleSize as null.
  if (config['sampleSize'] === null) parsed['sampleSize'] = Infinity;
  for (const flag of ['normalize', 'online']) {
    if (parsed[flag] !== undefined) checkBoolean(CALL, `config.${flag}`, parsed[flag]);
  }
  checkOptionsOf(CALL, 'config.', parsed);
  return parsed;
}

function parseStats(stats: unknown): EWCStats | undefined {
  if (stats === undefined || stats === null) return undefined;
  checkObject(CALL, 'stats', stats);
  return {
    tasksLearned: checkCount(CALL, 'stats.tasksLearned', stats['tasksLearned'] ?? 0, 0),
    totalPenalties: checkCount(CALL, 'stats.totalPenalties', stats['totalPenalties'] ?? 0, 0),
  };
}
