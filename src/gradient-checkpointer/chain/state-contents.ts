import { shortened } from '../../internal/json.js';
import { mix } from '../../internal/random.js';
import { isVector, wrongType } from '../../internal/validate.js';
import type { Vector } from '../../types.js';

const KINDS = 'a typed array, a number, or an array or plain object of these';
/** Most levels of nested arrays and objects. Each level is a call on the stack, which holds about 10,000. */
const MOST_LEVELS = 1000;

/**
 * Bytes of a state: those of its typed arrays, and 8 for each other number. What a state holds twice counts twice.
 *
 * @throws TypeError where the state holds anything else. RangeError where it holds itself, or more than 1,000 levels.
 */
export function bytesOf(call: string, name: string, state: unknown): number {
  const bytes = sizeOf(state, 0);
  if (Number.isNaN(bytes)) throwOther(call, name, state, new Set());
  return bytes;
}

/**
 * The bytes, and NaN where the state holds anything else or too many levels. The names for a message are made later:
 * they took a sixth of a small step's time.
 */
function sizeOf(state: unknown, level: number): number {
  if (typeof state === 'number') return 8;
  if (isTypedArray(state)) return state.byteLength;
  if (level > MOST_LEVELS) return Number.NaN;
  let bytes = 0;
  // Ends at the first NaN. Otherwise, an array that holds itself twice would take for ever.
  if (Array.isArray(state)) {
    for (let i = 0; i < state.length && !Number.isNaN(bytes); i++) bytes += sizeOf(state[i], level + 1);
    return bytes;
  }
  if (!isPlainObject(state)) return Number.NaN;
  for (const key of Object.keys(state)) {
    bytes += sizeOf(state[key], level + 1);
    if (Number.isNaN(bytes)) break;
  }
  return bytes;
}

/**
 * Throws for the first part of a state that is of no allowed kind, or is too deep.
 *
 * @param around The arrays and objects that hold the state.
 */
function throwOther(call: string, name: string, state: unknown, around: Set<unknown>): void {
  if (typeof state === 'number' || isTypedArray(state)) return;
  if (!Array.isArray(state) && !isPlainObject(state)) throw wrongType(call, name, KINDS, state);
  if (around.has(state)) throw new RangeError(`${call}: ${shortened(name)} holds itself`);
  if (around.size > MOST_LEVELS) {
    throw new RangeError(`${call}: ${shortened(name)} is more than ${MOST_LEVELS} levels deep`);
  }
  around.add(state);
  if (Array.isArray(state)) for (let i = 0; i < state.length; i++) throwOther(call, `${name}[${i}]`, state[i], around);
  else for (const key of Object.keys(state)) throwOther(call, `${name}.${key}`, state[key], around);
  around.delete(state);
}

const number = new Float64Array(1);
const numberWords = new Uint32Array(number.buffer);

/**
 * A 32-bit hash of a state's structure (kinds, lengths, keys) and, with `values`, of every bit of its numbers. A change
 * of one 32-bit word always shows. A change of several words is missed in one of four billion cases. Takes about 3 ns per
 * float32.
 */
export function fingerprint(state: unknown, values: boolean): number {
  let hash = 0x811c9dc5;
  const add = (word: number): void => {
    hash = Math.imul(hash ^ word, 0x01000193);
    hash ^= hash >>> 15;
  };
  const addText = (text: string): void => {
    add(text.length);
    for (let i = 0; i < text.length; i++) add(text.charCodeAt(i));
  };
  const addWords = (words: Uint32Array | Uint8Array): void => {
    for (let i = 0; i < words.length; i++) {
      hash = Math.imul(hash ^ words[i]!, 0x01000193);
      hash ^= hash >>> 15;
    }
  };
  const visit = (value: unknown, level: number): void => {
    // The state was checked when it was made. Since then, it may have been written to.
    if (level > MOST_LEVELS + 1)
      throw new RangeError('GradientCheckpointer.chain: a state was changed, and holds itself or too many levels');
    if (typeof value === 'number') {
      add(1);
      number[0] = value;
      if (values) addWords(numberWords);
    } else if (isTypedArray(value)) {
      addText(value.constructor.name);
      add(value.length);
      if (values) addWords(wordsOf(value));
    } else if (Array.isArray(value)) {
      add(2);
      add(value.length);
      for (const entry of value) visit(entry, level + 1);
    } else {
      const object = value as Record<string, unknown>;
      const keys = Object.keys(object);
      add(3);
      add(keys.length);
      for (const key of keys) {
        addText(key);
        visit(object[key], level + 1);
      }
    }
  };
  visit(state, 0);
  return mix(hash);
}

/** The bytes in words of four where they fill these. The words do not depend on where the bytes start. */
function wordsOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint32Array | Uint8Array {
  if (byteLength % 4 !== 0) return new Uint8Array(buffer, byteOffset, byteLength);
  if (byteOffset % 4 === 0) return new Uint32Array(buffer, byteOffset, byteLength / 4);
  return new Uint32Array(buffer.slice(byteOffset, byteOffset + byteLength));
}

function isTypedArray(value: unknown): value is Float32Array | Float64Array {
  return isVector(value) && !Array.isArray(value as Vector);
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
