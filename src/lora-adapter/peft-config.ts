import {
  checkCount,
  checkNumber,
  checkObject,
  checkOneOf,
  describe,
  inWords,
  wrongType,
  wrongValue,
} from '../internal/validate.js';
import { JsonReader } from '../tensors/json-reader.js';
import { labelOf, MOST_TENSORS } from '../tensors/safetensors.js';
import { type IndexedNames, indexNames, resolvePattern } from './peft-patterns.js';

/** The fields of PEFT's `adapter_config.json` that decide on the scaling. Other fields are not read. */
export interface AdapterConfig {
  /** Must be `'LORA'` if present. */
  peft_type?: string;
  /** Rank of the adapters that `rank_pattern` does not name, at least 1. By default, the rank of their matrices. */
  r?: number;
  /**
   * Any finite number. `scaling` is `lora_alpha / rank`, for the adapters that `alpha_pattern` does not name. It may be
   * missing only if every adapter is named there.
   */
  lora_alpha?: number;
  /**
   * Ranks by name: a key is the end of a name, from a dot on, or `^` and the whole name. The first key that fits
   * counts. Each key must fit an adapter of the file.
   */
  rank_pattern?: Record<string, number> | null;
  /** Values of `lora_alpha` by name, with keys as in `rank_pattern`. */
  alpha_pattern?: Record<string, number> | null;
  /**
   * Whether `scaling` is `lora_alpha / √rank` (Kalajdzievski 2023, "A rank stabilization scaling factor for fine-tuning
   * with LoRA").
   *
   * @default false
   */
  use_rslora?: boolean;
  /** Must be false or absent. So must every field that selects another variant of LoRA, which are not supported. */
  use_dora?: boolean;
}

const CALL = 'LoRAAdapter.fromSafetensors';
const NUMBERS: readonly string[] = ['r', 'lora_alpha'];
const PATTERNS: readonly string[] = ['rank_pattern', 'alpha_pattern', 'scaling_pattern'];
/** Fields of PEFT that make an adapter compute something other than `x + scaling · x · A · B`. */
const VARIANTS: readonly string[] = [
  'use_dora',
  'use_qalora',
  'use_bdlora',
  'lora_bias',
  'alora_invocation_tokens',
  'arrow_config',
  'kasa_config',
  'monteclora_config',
];
const FIELDS: readonly string[] = ['peft_type', 'use_rslora', ...NUMBERS, ...PATTERNS, ...VARIANTS];
/** Python's words, as `str` writes them, with JSON's. */
const PYTHON: ReadonlyMap<string, string> = new Map([
  ['True', 'true'],
  ['False', 'false'],
  ['None', 'null'],
]);

/**
 * The scaling of each adapter, by the caller's configuration. Without one, by the file's metadata.
 *
 * @param config Parsed or as text. Only the text keeps the order of keys such as "0".
 * @param ranks The rank of each adapter's matrices, by name.
 */
export function scalingsOf(
  config: AdapterConfig | string | undefined,
  metadata: ReadonlyMap<string, string>,
  ranks: ReadonlyMap<string, number>,
): Map<string, number> {
  const ofFile = readMetadata(metadata);
  // The variant that the file names counts even where the caller passes a configuration.
  checkVariant('metadata', ofFile);
  const isText = typeof config === 'string';
  const source = config === undefined ? 'metadata' : 'config';
  const fields: unknown = config === undefined ? ofFile : isText ? readText(source, config) : config;
  checkObject(CALL, source, fields);
  checkVariant(source, fields);
  const { peft_type, r, lora_alpha, use_rslora = false } = fields;
  if (peft_type !== undefined) checkOneOf(CALL, `${source}.peft_type`, peft_type, ['LORA']);
  if (r !== undefined) checkCount(CALL, `${source}.r`, r);
  if (lora_alpha !== undefined) checkNumber(CALL, `${source}.lora_alpha`, lora_alpha);
  if (typeof use_rslora !== 'boolean') throw wrongType(CALL, `${source}.use_rslora`, 'true or false', use_rslora);

  const names = indexNames([...ranks.keys()]);
  const [rankOf, alphaOf, exactOf] = PATTERNS.map(field => valuesOf(`${source}.${field}`, fields[field], names));
  const scalings = new Map<string, number>();
  for (const [name, rank] of ranks) {
    const declared = rankOf!.get(name) ?? r;
    if (declared !== undefined && declared !== rank) {
      throw new RangeError(
        `${CALL}: base_model.model.${labelOf(name)}.lora_A.weight has ${inWords(rank, 'row')}, ${source} gives it rank ${declared}`,
      );
    }
    const alpha = alphaOf!.get(name) ?? (lora_alpha as number | undefined);
    if (alpha === undefined) {
      throw new RangeError(
        `${CALL}: ${source} has no lora_alpha for ${describe(name)}; pass what adapter_config.json holds as config`,
      );
    }
    scalings.set(name, exactOf!.get(name) ?? alpha / (use_rslora ? Math.sqrt(rank) : rank));
  }
  return scalings;
}

function checkVariant(source: string, config: Record<string, unknown>): void {
  for (const field of VARIANTS) {
    const value = config[field];
    const isOff = !value || (typeof value === 'object' && Object.keys(value).length === 0);
    if (!isOff) {
      throw wrongValue(CALL, `${source}.${field}`, 'false or absent, as only plain LoRA is supported', value);
    }
  }
}

/** The configuration in a file's metadata. Its texts hold JSON, as `toSafetensors` writes it, or Python's words. */
function readMetadata(metadata: ReadonlyMap<string, string>): Record<string, unknown> {
  const config: Record<string, unknown> = {};
  for (const field of FIELDS) {
    const text = metadata.get(field);
    if (text === undefined) continue;
    const label = `metadata.${field}`;
    const reader = new JsonReader(CALL, label, PYTHON.get(text) ?? text);
    if (field === 'peft_type') config[field] = text;
    else {
      config[field] = NUMBERS.includes(field) ? reader.number() : readField(reader, label, field);
      reader.end();
    }
  }
  return config;
}

/** The text of `adapter_config.json`, with patterns in the order of the text. */
function readText(label: string, text: string): Record<string, unknown> {
  const config: Record<string, unknown> = {};
  const reader = new JsonReader(CALL, label, text);
  reader.object(field => {
    if (FIELDS.includes(field)) config[field] = readField(reader, `${label}.${field}`, field);
    else reader.skip();
  });
  reader.end();
  return config;
}

/**
 * The value of a field: a pattern as a Map, and an array or object of another field as its text, unless it is empty.
 */
function readField(reader: JsonReader, label: string, field: string): unknown {
  if (!PATTERNS.includes(field)) {
    const text = reader.skip();
    return /^[[{]\s*[^\s\]}]/.test(text) ? text : (JSON.parse(text) as unknown);
  }
  if (reader.null()) return null;
  const pattern = new Map<string, number>();
  reader.object(key => {
    if (pattern.size === MOST_TENSORS) throw new RangeError(`${CALL}: ${label} has more than ${MOST_TENSORS} keys`);
    pattern.set(key, reader.number());
  });
  return pattern;
}

/** The number of each name that a key of a pattern fits. */
function valuesOf(label: string, pattern: unknown, names: IndexedNames): ReadonlyMap<string, number> {
  if (pattern === undefined || pattern === null) return new Map();
  checkObject(CALL, label, pattern);
  const isMap = pattern instanceof Map;
  const entries = isMap ? [...(pattern as Map<string, unknown>)] : Object.entries(pattern);
  const checked = entries.map(([key, value]): [string, number] => [
    key,
    checkNumber(CALL, `${label}.${labelOf(key)}`, value),
  ]);
  return resolvePattern({ label, entries: checked, isInOrder: isMap }, names);
}
