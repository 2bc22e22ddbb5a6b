import { checkAdapters, describeAdapter } from '../internal/adapters.js';
import {
  checkCount,
  checkFinite,
  checkFiniteRows,
  checkNumber,
  checkObject,
  checkOneOf,
  describe,
  wrongType,
  wrongValue,
} from '../internal/validate.js';
import { toFloat32Rows } from '../kernels/matrix.js';
import type { Adapter, Bytes, Float32Row } from '../types.js';
import { JsonReader } from './json-reader.js';
import { labelOf, readHeader, readTransposed, type StoredMatrix, writeTransposed } from './safetensors.js';

/** What of PEFT's `adapter_config.json` decides on the scaling; other fields are not read. */
export interface AdapterConfig {
  /** Must be `'LORA'` where present. */
  peft_type?: string;
  /** Rank of the adapters that `rank_pattern` does not name. Default: that of their matrices. */
  r?: number;
  /** `scaling` is this over the rank, for the adapters that `alpha_pattern` does not name. */
  lora_alpha?: number;
  /** Ranks by the end of a name at a dot, or by `^` and the whole name; the first that fits counts. */
  rank_pattern?: Record<string, number> | null;
  /** As `rank_pattern`, for `lora_alpha`. */
  alpha_pattern?: Record<string, number> | null;
  /** Whether `scaling` is `lora_alpha` over the root of the rank (Kalajdzievski 2023). Default false. */
  use_rslora?: boolean;
}

/** Numbers for some adapters. */
interface Pattern {
  whole: Map<string, { value: number; place: number }>;
  endings: { ending: string; value: number; place: number }[];
}

const PREFIX = 'base_model.model.';
const SUFFIXES = { loraA: '.lora_A.weight', loraB: '.lora_B.weight' } as const;
type Matrix = keyof typeof SUFFIXES;
const PATTERNS = new Set(['rank_pattern', 'alpha_pattern', 'scaling_pattern']);

export function writeAdapters(adapters: ReadonlyMap<string, Adapter>): Bytes {
  const call = 'toSafetensors';
  checkAdapters(call, adapters, checkFiniteRows);
  if (adapters.size === 0) throw new RangeError(`${call}: adapters is empty`);
  const matrices = new Map<string, Float32Row[]>();
  for (const [name, adapter] of adapters) {
    if (typeof name !== 'string') throw wrongType(call, 'each name of adapters', 'a string', name);
    if (/\p{Surrogate}/u.test(name)) {
      throw new RangeError(`${call}: the name ${describe(name)} has half of a surrogate pair`);
    }
    for (const matrix of ['loraA', 'loraB'] as const) {
      const rows = toFloat32Rows(adapter[matrix]);
      rows.forEach((row, i) => {
        // The copy, as numbers beyond float32 do not survive it.
        checkFinite(call, `${describeAdapter(name)}.${matrix}[${i}]`, row);
      });
      matrices.set(PREFIX + name + SUFFIXES[matrix], rows);
    }
  }
  return writeTransposed(matrices, metadataOf(call, adapters));
}

/** PEFT's configuration, and what it cannot say; text as it is, all else as JSON. */
function metadataOf(call: string, adapters: ReadonlyMap<string, Adapter>): Record<string, string> {
  const all = Array.from(adapters, ([name, { loraB, scaling }]) => {
    checkNumber(call, `${describeAdapter(name)}.scaling`, scaling);
    const rank = loraB.length;
    const alpha = checkNumber(call, `${describeAdapter(name)}.scaling times rank`, scaling * rank);
    const whole = Math.round(alpha);
    return { name, rank, scaling, alpha: whole / rank === scaling ? whole : alpha };
  });
  const { rank: r, alpha: lora_alpha } = all[0]!;
  const patternOf = (kind: 'rank' | 'alpha' | 'scaling', included: (typeof all)[number][]): Record<string, number> =>
    Object.fromEntries(included.map(adapter => [`^${escapeName(adapter.name)}`, adapter[kind]]));
  // Not every number is a quotient by the rank: 0.1 is none by 3.
  const inexact = all.filter(({ alpha, rank, scaling }) => alpha / rank !== scaling);
  const fields = {
    peft_type: 'LORA',
    r,
    lora_alpha,
    target_modules: all.map(({ name }) => name),
    rank_pattern: patternOf(
      'rank',
      all.filter(({ rank }) => rank !== r),
    ),
    alpha_pattern: patternOf(
      'alpha',
      all.filter(({ alpha }) => alpha !== lora_alpha),
    ),
    ...(inexact.length > 0 && { scaling_pattern: patternOf('scaling', inexact) }),
    // PyTorch's layout; transformers wants to see it.
    format: 'pt',
  };
  return Object.fromEntries(
    Object.entries(fields).map(([field, value]) => [field, typeof value === 'string' ? value : JSON.stringify(value)]),
  );
}

const CALL = 'fromSafetensors';

/** Reads a file that may come from anywhere; everything but the entries is checked before anything is allocated. */
export function readAdapters(bytes: Uint8Array, config: AdapterConfig | undefined): Map<string, Adapter> {
  const { metadata, matrices } = readHeader(bytes);
  const pairs = pairsOf(matrices);
  if (pairs.size === 0) throw new RangeError(`${CALL}: the file has no adapter`);
  const scalingOf = config === undefined ? scalings('metadata', configOf(metadata)) : scalings('config', config);
  const checked = Array.from(pairs, ([name, { loraA, loraB }]) => {
    for (const [matrix, found] of [
      ['loraA', loraA],
      ['loraB', loraB],
    ] as const) {
      if (!found) throw new RangeError(`${CALL}: the file has no ${labelOf(PREFIX + name)}${SUFFIXES[matrix]}`);
    }
    const rank = loraA!.height;
    if (loraB!.width !== rank) {
      const label = labelOf(PREFIX + name);
      throw new RangeError(
        `${CALL}: ${label}.lora_B.weight has ${loraB!.width} columns, lora_A.weight has ${rank} rows`,
      );
    }
    return { name, loraA: loraA!, loraB: loraB!, scaling: scalingOf(name, rank) };
  });
  const read = (name: string, matrix: Matrix, stored: StoredMatrix): readonly Float32Row[] =>
    readTransposed(bytes, PREFIX + name + SUFFIXES[matrix], stored);
  return new Map(
    checked.map(({ name, loraA, loraB, scaling }) => [
      name,
      { loraA: read(name, 'loraA', loraA), loraB: read(name, 'loraB', loraB), scaling },
    ]),
  );
}

function pairsOf(matrices: ReadonlyMap<string, StoredMatrix>): Map<string, Partial<Record<Matrix, StoredMatrix>>> {
  const pairs = new Map<string, Partial<Record<Matrix, StoredMatrix>>>();
  for (const [key, stored] of matrices) {
    const matrix = key.endsWith(SUFFIXES.loraA) ? 'loraA' : 'loraB';
    const suffix = SUFFIXES[matrix];
    if (!key.startsWith(PREFIX) || !key.endsWith(suffix) || key.length < PREFIX.length + suffix.length) {
      throw new RangeError(
        `${CALL}: the file has ${labelOf(key)}, which is neither ${PREFIX}<name>.lora_A.weight nor lora_B.weight`,
      );
    }
    const name = key.slice(PREFIX.length, -suffix.length);
    pairs.set(name, { ...pairs.get(name), [matrix]: stored });
  }
  return pairs;
}

/** The configuration in the metadata, as {@link metadataOf} writes it; checked as the caller's is, later. */
function configOf(metadata: ReadonlyMap<string, string>): Record<string, unknown> {
  const config: Record<string, unknown> = {};
  for (const [field, text] of metadata) {
    if (field === 'peft_type') config[field] = text;
    const reader = new JsonReader(CALL, `metadata.${labelOf(field)}`, text);
    if (field === 'r' || field === 'lora_alpha') config[field] = reader.number();
    else if (PATTERNS.has(field)) config[field] = readPattern(reader, field);
    else continue;
    reader.end();
  }
  return config;
}

function readPattern(reader: JsonReader, field: string): Record<string, number> {
  const entries: [string, number][] = [];
  reader.object(key => {
    // Only whole names are written, and they alone are found in a Map, whatever their number.
    if (!key.startsWith('^')) throw wrongValue(CALL, `each key of metadata.${field}`, "'^' and a name", key);
    entries.push([key, reader.number()]);
  });
  return Object.fromEntries(entries);
}

/** Checks a configuration; returns the scaling of an adapter by name and rank. */
function scalings(source: string, config: unknown): (name: string, rank: number) => number {
  checkObject(CALL, source, config);
  const { peft_type, r, lora_alpha, use_rslora = false } = config;
  if (peft_type !== undefined) checkOneOf(CALL, `${source}.peft_type`, peft_type, ['LORA']);
  if (r !== undefined) checkCount(CALL, `${source}.r`, r);
  if (lora_alpha !== undefined) checkNumber(CALL, `${source}.lora_alpha`, lora_alpha);
  if (typeof use_rslora !== 'boolean') throw wrongType(CALL, `${source}.use_rslora`, 'true or false', use_rslora);
  const ranks = parsePattern(`${source}.rank_pattern`, config['rank_pattern']);
  const alphas = parsePattern(`${source}.alpha_pattern`, config['alpha_pattern']);
  const exact = parsePattern(`${source}.scaling_pattern`, config['scaling_pattern']);
  return (name, rank) => {
    const declared = lookUp(ranks, name) ?? r;
    if (declared !== undefined && declared !== rank) {
      const label = labelOf(PREFIX + name);
      throw new RangeError(`${CALL}: ${label}.lora_A.weight has ${rank} rows, ${source} gives it rank ${declared}`);
    }
    const alpha = lookUp(alphas, name) ?? lora_alpha;
    if (alpha === undefined) {
      throw new RangeError(
        `${CALL}: ${source} has no lora_alpha for ${describe(name)}; pass what adapter_config.json holds as config`,
      );
    }
    return lookUp(exact, name) ?? (alpha as number) / (use_rslora ? Math.sqrt(rank) : rank);
  };
}

function parsePattern(label: string, pattern: unknown): Pattern {
  const parsed: Pattern = { whole: new Map(), endings: [] };
  if (pattern === undefined || pattern === null) return parsed;
  checkObject(CALL, label, pattern);
  Object.entries(pattern).forEach(([key, entry], place) => {
    const value = checkNumber(CALL, `${label}.${labelOf(key)}`, entry);
    const isWhole = key.startsWith('^');
    const name = unescapeName(label, isWhole ? key.slice(1) : key);
    if (isWhole) parsed.whole.set(name, { value, place });
    else parsed.endings.push({ ending: `.${name}`, value, place });
  });
  return parsed;
}

/** PEFT's rule: of all keys that fit, the first counts. */
function lookUp({ whole, endings }: Pattern, name: string): number | undefined {
  const exact = whole.get(name);
  const found = endings.find(({ ending }) => `.${name}`.endsWith(ending));
  return exact && !(found && found.place < exact.place) ? exact.value : found?.value;
}

/** PEFT takes keys for regular expressions. */
function escapeName(name: string): string {
  return name.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}

/**
 * The name behind an expression that stands for one name. Others are not run: a file could stall the process with one.
 */
function unescapeName(label: string, expression: string): string {
  const rest = expression.replace(/\\[^a-z0-9]/gi, '');
  if (/[\\^$*+?()[\]{}|]/.test(rest)) throw wrongValue(CALL, `each key of ${label}`, 'a plain name', expression);
  return expression.replace(/\\(.)/gs, '$1');
}
