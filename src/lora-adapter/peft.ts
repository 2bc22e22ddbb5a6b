import { checkAdapters, describeAdapter } from '../internal/adapters.js';
import { checkFinite, checkFiniteRows, checkNumber, describe, inWords } from '../internal/validate.js';
import { toFloat32Rows } from '../kernels/matrix.js';
import { labelOf, MOST_TENSORS } from '../tensors/safetensors.js';
import type { Adapter, Bytes, Float32Row } from '../types.js';
import { type AdapterConfig, scalingsOf } from './peft-config.js';
import { escapeName } from './peft-patterns.js';
import { readMatrixHeader, readTransposed, type StoredMatrix, writeTransposed } from './safetensors.js';

const PREFIX = 'base_model.model.';
const SUFFIXES = { loraA: '.lora_A.weight', loraB: '.lora_B.weight' } as const;
type Matrix = keyof typeof SUFFIXES;

/** The bytes of a safetensors file with adapters, in PEFT's layout. */
export function writeAdapters(adapters: ReadonlyMap<string, Adapter>): Bytes {
  const call = 'LoRAAdapter.toSafetensors';
  checkAdapters(call, adapters, checkFiniteRows);
  if (adapters.size === 0) throw new RangeError(`${call}: adapters is empty`);
  if (adapters.size > MOST_TENSORS / 2) {
    throw new RangeError(`${call}: adapters must have at most ${MOST_TENSORS / 2} entries, got ${adapters.size}`);
  }
  const matrices = new Map<string, Float32Row[]>();
  for (const [name, adapter] of adapters) {
    if (/\p{Surrogate}/u.test(name)) {
      throw new RangeError(`${call}: the name ${describe(name)} has half of a surrogate pair`);
    }
    for (const matrix of ['loraA', 'loraB'] as const) {
      const rows = toFloat32Rows(adapter[matrix]);
      rows.forEach((row, i) => {
        // The copy is checked. Numbers beyond float32 become infinite there.
        checkFinite(call, `${describeAdapter(name)}.${matrix}[${i}]`, row);
      });
      matrices.set(PREFIX + name + SUFFIXES[matrix], rows);
    }
  }
  return writeTransposed(matrices, metadataOf(call, adapters));
}

/** PEFT's configuration, and the scalings that it cannot express. Texts stay as they are, and the rest is JSON. */
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
  // Not every scaling is alpha / rank to the bit. No alpha gives 0.1 at rank 3.
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
    // PyTorch's layout. transformers requires this field.
    format: 'pt',
  };
  return Object.fromEntries(
    Object.entries(fields).map(([field, value]) => [field, typeof value === 'string' ? value : JSON.stringify(value)]),
  );
}

const CALL = 'LoRAAdapter.fromSafetensors';

/**
 * Reads a file that may come from anywhere. Everything except the entries is checked before anything is allocated. Each
 * adapter is read when it is asked for.
 */
export function* readAdapters(
  bytes: Uint8Array,
  config: AdapterConfig | string | undefined,
): Generator<[name: string, adapter: Adapter]> {
  const { metadata, matrices } = readMatrixHeader(bytes, checkKey);
  const pairs = pairsOf(matrices);
  if (pairs.size === 0) throw new RangeError(`${CALL}: the file has no adapter`);
  const ranks = new Map(Array.from(pairs, ([name, pair]) => [name, rankOf(name, pair)]));
  const scalings = scalingsOf(config, metadata, ranks);
  for (const [name, { loraA, loraB }] of pairs) {
    const read = (matrix: Matrix, stored: StoredMatrix): readonly Float32Row[] =>
      readTransposed(bytes, PREFIX + name + SUFFIXES[matrix], stored);
    yield [name, { loraA: read('loraA', loraA!), loraB: read('loraB', loraB!), scaling: scalings.get(name)! }];
  }
}

/** What a tensor may be that is not a matrix of LoRA, by its key. */
const OTHERS: readonly [key: RegExp, what: string][] = [
  [/\.lora_magnitude_vector(?:\.|$)/, 'it belongs to DoRA, which is not supported'],
  [/\.lora_embedding_[AB]$/, 'it belongs to LoRA on an embedding layer, which is not supported'],
  [/\.lora_[AB]\.[^.]+\.weight$/, "it has an adapter's name in it; save the file with PEFT's save_pretrained"],
  [/\.(?:alpha|lora_(?:up|down)\.weight)$/, "it is of kohya's format; convert the file to PEFT's"],
  [/\.bias$/, 'biases are not supported'],
];

function checkKey(key: string): void {
  const suffix = SUFFIXES[matrixOf(key)];
  if (key.startsWith(PREFIX) && key.endsWith(suffix) && key.length >= PREFIX.length + suffix.length) return;
  const other = OTHERS.find(([pattern]) => pattern.test(key));
  throw new RangeError(
    `${CALL}: the file has ${labelOf(key)}, which is neither ${PREFIX}<name>.lora_A.weight nor lora_B.weight` +
      (other ? `; ${other[1]}` : ''),
  );
}

function matrixOf(key: string): Matrix {
  return key.endsWith(SUFFIXES.loraA) ? 'loraA' : 'loraB';
}

type Pair = Partial<Record<Matrix, StoredMatrix>>;

function pairsOf(matrices: ReadonlyMap<string, StoredMatrix>): Map<string, Pair> {
  const pairs = new Map<string, Pair>();
  for (const [key, stored] of matrices) {
    const matrix = matrixOf(key);
    const name = key.slice(PREFIX.length, -SUFFIXES[matrix].length);
    pairs.set(name, { ...pairs.get(name), [matrix]: stored });
  }
  return pairs;
}

/** The rank of an adapter. Checks that both matrices are there and fit each other. */
function rankOf(name: string, { loraA, loraB }: Pair): number {
  const label = labelOf(PREFIX + name);
  if (!loraA || !loraB) throw new RangeError(`${CALL}: the file has no ${label}${SUFFIXES[loraA ? 'loraB' : 'loraA']}`);
  if (loraB.width === loraA.height) return loraA.height;
  throw new RangeError(
    `${CALL}: ${label}.lora_B.weight has ${inWords(loraB.width, 'column')}, lora_A.weight has ${inWords(loraA.height, 'row')}`,
  );
}
