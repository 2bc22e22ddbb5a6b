import type { EWCConfig, EWCStats, FisherInfo, OptimalParams } from '../ewc-manager.js';
import { checkCount, checkFiniteRows, checkNumber, checkObject } from '../internal/validate.js';
import { float64Matrix, toNestedArrays } from '../kernels/matrix.js';
import type { Rows } from '../types.js';

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
}

/** Checked state, in the manager's own form. Fields that the exported state lacks are undefined. */
interface ParsedState {
  fisherInfo: Map<string, FisherInfo>;
  optimalParams: Map<string, OptimalParams>;
  config: Partial<EWCConfig>;
  stats: EWCStats | undefined;
}

const CALL = 'import';

export function exportState(
  fisherInfo: ReadonlyMap<string, FisherInfo>,
  optimalParams: ReadonlyMap<string, OptimalParams>,
  config: EWCConfig,
  stats: EWCStats,
): EWCState {
  const fishers = [...fisherInfo].map(
    ([name, { fisherA, fisherB }]) =>
      [name, { fisherA: toNestedArrays(fisherA), fisherB: toNestedArrays(fisherB) }] as const,
  );
  const optima = [...optimalParams].map(
    ([name, { loraA, loraB }]) => [name, { loraA: toNestedArrays(loraA), loraB: toNestedArrays(loraB) }] as const,
  );
  return {
    fisherInfo: Object.fromEntries(fishers),
    optimalParams: Object.fromEntries(optima),
    config: { ...config },
    stats: { ...stats },
  };
}

/** Reads state that may come from anywhere; throws before anything is handed out. Only known fields are read. */
export function parseState(data: unknown): ParsedState {
  checkObject(CALL, 'data', data);
  const fisherInfo = new Map<string, FisherInfo>();
  const optimalParams = new Map<string, OptimalParams>();
  const fishers = entriesOf('fisherInfo', data['fisherInfo']);
  const optima = new Map(entriesOf('optimalParams', data['optimalParams']));
  for (const [name, fisher] of fishers) {
    const optimum = optima.get(name);
    if (optimum === undefined) throw new RangeError(`${CALL}: fisherInfo has "${name}", optimalParams lacks it`);
    const fisherA = parseMatrix(`fisherInfo.${name}.fisherA`, fisher['fisherA'], 0);
    const fisherB = parseMatrix(`fisherInfo.${name}.fisherB`, fisher['fisherB'], 0);
    const loraA = parseMatrix(`optimalParams.${name}.loraA`, optimum['loraA']);
    const loraB = parseMatrix(`optimalParams.${name}.loraB`, optimum['loraB']);
    checkShape(`optimalParams.${name}.loraA`, loraA, fisherA.length, fisherA[0]!.length);
    checkShape(`fisherInfo.${name}.fisherB`, fisherB, fisherA[0]!.length, fisherB[0]!.length);
    checkShape(`optimalParams.${name}.loraB`, loraB, fisherB.length, fisherB[0]!.length);
    fisherInfo.set(name, { fisherA, fisherB });
    optimalParams.set(name, { loraA, loraB });
  }
  const unmatched = [...optima.keys()].find(name => !fisherInfo.has(name));
  if (unmatched !== undefined) throw new RangeError(`${CALL}: optimalParams has "${unmatched}", fisherInfo lacks it`);
  return {
    fisherInfo,
    optimalParams,
    config: parseConfig(data['config']),
    stats: parseStats(data['stats']),
  };
}

function entriesOf(field: string, value: unknown): [string, Record<string, unknown>][] {
  if (value === undefined || value === null) return [];
  checkObject(CALL, field, value);
  return Object.entries(value).map(([name, entry]) => {
    checkObject(CALL, `${field}.${name}`, entry);
    return [name, entry];
  });
}

function parseMatrix(name: string, rows: unknown, min = -Infinity): readonly Float64Array[] {
  checkFiniteRows(CALL, name, rows);
  const width = rows[0]!.length;
  const matrix = float64Matrix(rows.length, width);
  rows.forEach((row, i) => {
    if (row.length !== width) {
      throw new RangeError(`${CALL}: ${name}[${i}] has ${row.length} entries, ${name}[0] has ${width}`);
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
  const parsed: Partial<EWCConfig> = {};
  // JSON writes an infinite sampleSize as null.
  if (config['lambda'] !== undefined) parsed.lambda = checkNumber(CALL, 'config.lambda', config['lambda'], { min: 0 });
  if (config['sampleSize'] !== undefined) {
    parsed.sampleSize =
      config['sampleSize'] === null ? Infinity : checkSampleSize(CALL, 'config.sampleSize', config['sampleSize']);
  }
  if (config['normalize'] !== undefined) parsed.normalize = Boolean(config['normalize']);
  if (config['online'] !== undefined) parsed.online = Boolean(config['online']);
  return parsed;
}

export function checkSampleSize(call: string, name: string, value: unknown): number {
  return checkNumber(call, name, value, { integer: true, min: 1, infinity: true });
}

function parseStats(stats: unknown): EWCStats | undefined {
  if (stats === undefined || stats === null) return undefined;
  checkObject(CALL, 'stats', stats);
  return {
    tasksLearned: checkCount(CALL, 'stats.tasksLearned', stats['tasksLearned'] ?? 0, 0),
    totalPenalties: checkCount(CALL, 'stats.totalPenalties', stats['totalPenalties'] ?? 0, 0),
  };
}
