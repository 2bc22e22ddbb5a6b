/** Most words held. */
const MAX_WORDS = 2 ** 16;
/** Most characters of a word that is held, so that the characters take at most 8 MiB. */
const MAX_LENGTH = 64;
const SLOTS = 2 ** 17;
/** The constants of 32-bit FNV-1a. */
const HASH_START = 0x811c9dc5;
const HASH_PRIME = 0x01000193;

/**
 * Tokens of words. A word is found at its place in a text, as cutting it out and looking it up in a Map takes longer. It is
 * a hash table with linear probing. When it is full, it is emptied.
 */
export class WordIndex {
  /** Number of the word from 1 at each slot. */
  #slots = new Int32Array(0);
  #ends = new Int32Array(0);
  #characters = new Uint16Array(0);
  #tokens: number[] = [];

  /** The token of `text.slice(start, end)`, whose hash comes from {@link endOfWord}. Undefined for an unknown word. */
  find(text: string, start: number, end: number, hash: number): number | undefined {
    const slots = this.#slots;
    if (slots.length === 0) return undefined;
    for (let slot = hash & (SLOTS - 1); slots[slot] !== 0; slot = (slot + 1) & (SLOTS - 1)) {
      const word = slots[slot]! - 1;
      if (this.#isAt(word, text, start, end)) return this.#tokens[word];
    }
    return undefined;
  }

  #isAt(word: number, text: string, start: number, end: number): boolean {
    const characters = this.#characters;
    const first = word === 0 ? 0 : this.#ends[word - 1]!;
    if (this.#ends[word]! - first !== end - start) return false;
    for (let i = start; i < end; i++) if (characters[first + i - start] !== text.charCodeAt(i)) return false;
    return true;
  }

  /** Adds a word that is not in the index. */
  add(word: string, hash: number, token: number): void {
    if (word.length > MAX_LENGTH) return;
    if (this.#tokens.length === MAX_WORDS) this.clear();
    if (this.#slots.length === 0) this.#slots = new Int32Array(SLOTS);
    const number = this.#tokens.push(token);
    const first = number === 1 ? 0 : this.#ends[number - 2]!;
    const end = first + word.length;
    if (number > this.#ends.length) this.#ends = grown(this.#ends, new Int32Array(2 * number));
    if (end > this.#characters.length) this.#characters = grown(this.#characters, new Uint16Array(2 * end));
    for (let i = 0; i < word.length; i++) this.#characters[first + i] = word.charCodeAt(i);
    this.#ends[number - 1] = end;
    let slot = hash & (SLOTS - 1);
    while (this.#slots[slot] !== 0) slot = (slot + 1) & (SLOTS - 1);
    this.#slots[slot] = number;
  }

  clear(): void {
    this.#slots = new Int32Array(0);
    this.#tokens = [];
  }
}

function grown<Numbers extends Int32Array | Uint16Array>(from: Numbers, to: Numbers): Numbers {
  to.set(from);
  return to;
}

/**
 * The end of the word that starts at a place: the next white space, as `\s` defines it, or the end of the text. The
 * word's hash is stored in {@link hashOfWord}, as returning both would allocate an object per word.
 */
export function endOfWord(text: string, start: number): number {
  let hash = HASH_START;
  let at = start;
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (isSpace(code)) break;
    hash = Math.imul(hash ^ code, HASH_PRIME);
  }
  hashOfWord = hash ^ (hash >>> 15);
  return at;
}

/** The hash of the word that {@link endOfWord} read last. */
export let hashOfWord = 0;

/** The end of the white space that starts at a place. */
export function endOfSpace(text: string, start: number): number {
  let at = start;
  while (at < text.length && isSpace(text.charCodeAt(at))) at++;
  return at;
}

/** Whether a code unit is white space, as `\s` defines it. */
function isSpace(code: number): boolean {
  if (code < 0xa0) return code === 0x20 || (code <= 13 && code >= 9);
  if (code < 0x1680) return code === 0xa0;
  if (code < 0x3000) return code === 0x1680 || (code >= 0x2000 && isGeneralSpace(code));
  return code === 0x3000 || code === 0xfeff;
}

/** Whether a code unit from U+2000 to U+2FFF is white space. */
function isGeneralSpace(code: number): boolean {
  return code <= 0x200a || code === 0x2028 || code === 0x2029 || code === 0x202f || code === 0x205f;
}
