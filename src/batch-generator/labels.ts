import { mix } from '../internal/random.js';
import { describe } from '../internal/validate.js';
import { areEqual } from '../kernels/vector.js';
import { comparable } from '../text/comparable.js';
import type { EmbeddedExample, Vector } from '../types.js';

/**
 * What makes two examples duplicates of each other.
 * - `'exact'`: an equal input or output text. Without a text, an equal row.
 * - `'text'`: texts that differ only in form.
 * - `'row'`: an equal input or output row.
 * - A function: an equal key.
 */
export type DuplicatesBy<E extends EmbeddedExample = EmbeddedExample> = 'exact' | 'text' | 'row' | DuplicateKey<E>;

/** Returns the key of an example. Examples with equal keys are duplicates. */
export type DuplicateKey<E extends EmbeddedExample = EmbeddedExample> = {
  // A method's parameter is bivariant. So a generator of special examples is also a generator of examples.
  of(example: E): string | number | bigint;
}['of'];

/** Small integers for the inputs and outputs of examples. Equal integers on one side mark duplicates. */
export interface Labels {
  inputs: Int32Array;
  outputs: Int32Array;
}

/** Labels, and the keys that they were made from. */
export interface LabelledExamples extends Labels {
  keys: Keys;
}

type Key = string | number | bigint | Vector;
/** What is compared of each example. `outputs` is undefined if one key stands for the whole example. */
interface Keys {
  inputs: Key[];
  outputs: Key[] | undefined;
}

/**
 * Labels of examples.
 *
 * @param known Labels made earlier. They are returned again if nothing has changed.
 * @param indices Indices of the examples in the data, for messages. By default, the examples are all of the data.
 */
export function labelsOf<E extends EmbeddedExample>(
  call: string,
  examples: readonly E[],
  by: DuplicatesBy<E>,
  { known, indices }: { known?: LabelledExamples | undefined; indices?: readonly number[] } = {},
): LabelledExamples {
  const keys = keysOf(call, examples, by, indices);
  if (known && isUnchanged(known.keys.inputs, keys.inputs) && isUnchanged(known.keys.outputs, keys.outputs))
    return known;
  const numbered = (side: readonly Key[]): Int32Array => numbersOf(by === 'text' ? side.map(formOf) : side);
  return {
    keys,
    inputs: numbered(keys.inputs),
    outputs: keys.outputs ? numbered(keys.outputs) : new Int32Array(examples.length).map((_, i) => i),
  };
}

/** Whether two examples have an equal input or an equal output. */
export function shareLabel({ inputs, outputs }: Labels, one: number, other: number): boolean {
  return inputs[one] === inputs[other] || outputs[one] === outputs[other];
}

function keysOf<E extends EmbeddedExample & { input?: unknown; output?: unknown }>(
  call: string,
  examples: readonly E[],
  by: DuplicatesBy<E>,
  indices: readonly number[] | undefined,
): Keys {
  if (typeof by === 'function') {
    const inputs = examples.map((example, i) => checkedKey(call, by(example), indices?.[i] ?? i));
    return { inputs, outputs: undefined };
  }
  const keyOf = (text: unknown, row: Vector): Key => (by !== 'row' && typeof text === 'string' ? text : row);
  return {
    inputs: examples.map(({ input, inputEmb }) => keyOf(input, inputEmb)),
    outputs: examples.map(({ output, outputEmb }) => keyOf(output, outputEmb)),
  };
}

function checkedKey(call: string, key: unknown, index: number): string | number | bigint {
  if (typeof key === 'string' || typeof key === 'bigint' || (typeof key === 'number' && !Number.isNaN(key))) return key;
  throw new TypeError(
    `${call}: duplicatesBy must return a string, number or bigint, got ${describe(key)} for data[${index}]`,
  );
}

/** Whether two lists hold the same texts and numbers. Rows count as changed, because they may have been written to. */
function isUnchanged(known: readonly Key[] | undefined, keys: readonly Key[] | undefined): boolean {
  if (known === undefined || keys === undefined) return known === keys;
  return known.length === keys.length && known.every((key, i) => key === keys[i] && typeof key !== 'object');
}

/** The longest text that is hashed here. V8 hashes longer ones faster. */
const LONGEST_HASHED = 256;

/** Equal numbers for equal keys. A table of hashes holds rows and short texts: it takes half the time of a `Map`. */
function numbersOf(keys: readonly Key[]): Int32Array {
  const numbers = new Int32Array(keys.length);
  const hashes = new Int32Array(keys.length);
  const mapped = new Map<Key, number>();
  /** By slot, 1 plus the index of the first of equal keys. 0 in an empty slot. */
  const table = new Int32Array(2 ** Math.ceil(Math.log2(2 * keys.length + 1)));
  const mask = table.length - 1;
  let count = 0;
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i]!;
    if (typeof key !== 'object' && !(typeof key === 'string' && key.length <= LONGEST_HASHED)) {
      const known = mapped.get(key);
      if (known === undefined) mapped.set(key, count);
      numbers[i] = known ?? count++;
      continue;
    }
    const hash = typeof key === 'string' ? hashOfText(key) : hashOfRow(key);
    let slot = hash & mask;
    let first = table[slot]! - 1;
    while (first >= 0 && !(hashes[first] === hash && isSame(keys[first]!, key))) {
      slot = (slot + 1) & mask;
      first = table[slot]! - 1;
    }
    hashes[i] = hash;
    if (first < 0) table[slot] = i + 1;
    numbers[i] = first < 0 ? count++ : numbers[first]!;
  }
  return numbers;
}

/** The form of a text, which `duplicatesBy: 'text'` compares. */
function formOf(key: Key): Key {
  if (typeof key !== 'string') return key;
  const form = comparable(key);
  return form.replace(/[\s.!?。؟।]+$/u, '') || form;
}

function isSame(one: Key, other: Key): boolean {
  return one === other || (typeof one === 'object' && typeof other === 'object' && areEqual(one, other));
}

function hashOfText(text: string): number {
  let hash = text.length;
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x85ebca6b);
    hash ^= hash >>> 13;
  }
  return mix(hash);
}

const scratch = new Float64Array(1);
const words = new Int32Array(scratch.buffer);

/** A hash that is equal for rows of equal numbers, whatever their types. */
function hashOfRow(row: Vector): number {
  let hash = row.length;
  for (let k = 0; k < row.length; k++) {
    // Adding 0 turns -0 into 0, which it equals.
    scratch[0] = row[k]! + 0;
    hash = Math.imul(hash ^ words[0]!, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 15) ^ words[1]!, 0xc2b2ae35);
    hash ^= hash >>> 13;
  }
  return mix(hash);
}
