import { describe } from '../internal/validate.js';
import { areEqual } from '../kernels/vector.js';
import { comparable } from '../text/comparable.js';
import type { EmbeddedExample, Vector } from '../types.js';

/**
 * What makes two examples duplicates of each other: `'exact'`, an equal input or output text, or row where there is no
 * text; `'text'`, texts that are equal but for their form; `'row'`, an equal input or output row; a function, an equal
 * key.
 */
export type DuplicatesBy<E extends EmbeddedExample = EmbeddedExample> = 'exact' | 'text' | 'row' | DuplicateKey<E>;

/** What stands for an example: those of equal keys are duplicates. */
export type DuplicateKey<E extends EmbeddedExample = EmbeddedExample> = {
  // As a method, so that generators of any examples remain generators of examples.
  of(example: E): string | number | bigint;
}['of'];

/** Small integers for the inputs and outputs of examples; those of duplicates are equal on either side. */
export interface Labels {
  inputs: Int32Array;
  outputs: Int32Array;
}

/** Labels, and what they were made from. */
export interface LabelledExamples extends Labels {
  keys: Keys;
}

type Key = string | number | bigint | Vector;
/** What is compared of each example; `outputs` is absent where one key stands for the whole example. */
interface Keys {
  inputs: Key[];
  outputs: Key[] | undefined;
}

const CALL = 'BatchGenerator';

/**
 * Labels of examples.
 *
 * @param known Labels of an earlier time, which are taken again if nothing has changed.
 * @param indices Where the examples are in the data, for messages. Default: they are all of it.
 */
export function labelsOf<E extends EmbeddedExample>(
  examples: readonly E[],
  by: DuplicatesBy<E>,
  { known, indices }: { known?: LabelledExamples | undefined; indices?: readonly number[] } = {},
): LabelledExamples {
  const keys = keysOf(examples, by, indices);
  if (known && isUnchanged(known.keys.inputs, keys.inputs) && isUnchanged(known.keys.outputs, keys.outputs))
    return known;
  return {
    keys,
    inputs: numbersOf(keys.inputs, by === 'text'),
    outputs: keys.outputs ? numbersOf(keys.outputs, by === 'text') : Int32Array.from(examples.keys()),
  };
}

/** Whether two examples have an equal input or an equal output. */
export function shareLabel({ inputs, outputs }: Labels, one: number, other: number): boolean {
  return inputs[one] === inputs[other] || outputs[one] === outputs[other];
}

function keysOf<E extends EmbeddedExample & { input?: unknown; output?: unknown }>(
  examples: readonly E[],
  by: DuplicatesBy<E>,
  indices: readonly number[] | undefined,
): Keys {
  if (typeof by === 'function') {
    const inputs = examples.map((example, i) => checkedKey(by(example), indices?.[i] ?? i));
    return { inputs, outputs: undefined };
  }
  const keyOf = (text: unknown, row: Vector): Key => (by !== 'row' && typeof text === 'string' ? text : row);
  return {
    inputs: examples.map(({ input, inputEmb }) => keyOf(input, inputEmb)),
    outputs: examples.map(({ output, outputEmb }) => keyOf(output, outputEmb)),
  };
}

function checkedKey(key: unknown, index: number): string | number | bigint {
  if (typeof key === 'string' || typeof key === 'bigint' || (typeof key === 'number' && !Number.isNaN(key))) return key;
  throw new TypeError(
    `${CALL}: duplicatesBy must return a string, number or bigint, got ${describe(key)} for data[${index}]`,
  );
}

/** Whether two lists hold the same texts and numbers; rows may have been written to. */
function isUnchanged(known: readonly Key[] | undefined, keys: readonly Key[] | undefined): boolean {
  if (known === undefined || keys === undefined) return known === keys;
  return known.length === keys.length && known.every((key, i) => key === keys[i] && typeof key !== 'object');
}

/** Equal numbers for equal keys. */
function numbersOf(keys: readonly Key[], byForm: boolean): Int32Array {
  const numbers = new Map<Key, number>();
  const rows = new RowNumbers(keys.length);
  const numberOf = (key: Key): number => {
    const known = numbers.get(key);
    if (known !== undefined) return known;
    const number = numbers.size + rows.size;
    numbers.set(key, number);
    return number;
  };
  return Int32Array.from(keys, key => {
    if (typeof key === 'object') return rows.numberOf(key, numbers.size);
    return numberOf(byForm && typeof key === 'string' ? formOf(key) : key);
  });
}

/** A text as `duplicatesBy: 'text'` compares it. */
function formOf(text: string): string {
  const form = comparable(text);
  return form.replace(/[\s.!?。؟।]+$/u, '') || form;
}

/** Numbers rows that it has not seen before: a table of hashes, with the rows compared where those are equal. */
class RowNumbers {
  size = 0;
  readonly #capacity: number;
  readonly #rows: Vector[] = [];
  readonly #hashes: number[] = [];
  readonly #numbers: number[] = [];
  /** Index of a row plus 1, or 0. */
  #table = new Int32Array(0);

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** The row's number; a new one is the number of rows so far plus the offset. */
  numberOf(row: Vector, offset: number): number {
    if (this.#table.length === 0) this.#table = new Int32Array(2 ** Math.ceil(Math.log2(2 * this.#capacity)));
    const hash = hashOf(row);
    const mask = this.#table.length - 1;
    let slot = hash & mask;
    for (; this.#table[slot] !== 0; slot = (slot + 1) & mask) {
      const index = this.#table[slot]! - 1;
      if (this.#hashes[index] === hash && areEqual(this.#rows[index]!, row)) return this.#numbers[index]!;
    }
    this.#table[slot] = this.#rows.push(row);
    this.#hashes.push(hash);
    this.#numbers.push(this.size + offset);
    return this.#numbers[this.size++]!;
  }
}

const scratch = new Float64Array(1);
const words = new Int32Array(scratch.buffer);

/** Equal for rows of equal numbers, of whatever kind. */
function hashOf(row: Vector): number {
  let hash = row.length;
  for (let k = 0; k < row.length; k++) {
    // Adding 0 makes -0 the 0 that it equals.
    scratch[0] = row[k]! + 0;
    hash = Math.imul(hash ^ words[0]!, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 15) ^ words[1]!, 0xc2b2ae35);
    hash ^= hash >>> 13;
  }
  return hash;
}
