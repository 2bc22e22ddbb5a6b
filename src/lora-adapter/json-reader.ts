import { describe } from '../internal/validate.js';

/** Longer than any number that `JSON.stringify` or Python's `json.dumps` writes. */
const LONGEST_NUMBER = 32;

const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/;
const NO_SPACE = /[^ \t\n\r]/g;

/**
 * Reads JSON of a known shape, value by value. Text from anywhere costs no more than what its reader asks for: unlike
 * with `JSON.parse`, nothing is built from nested or unexpected values, and keys that repeat are an error.
 */
export class JsonReader {
  readonly #call: string;
  readonly #name: string;
  readonly #text: string;
  #position = 0;

  /** @param name What the text is, for messages. */
  constructor(call: string, name: string, text: string) {
    this.#call = call;
    this.#name = name;
    this.#text = text;
  }

  /** Calls `readValue` with each key; it must read the value. */
  object(readValue: (key: string) => void): void {
    this.#expect('{');
    if (this.#takes('}')) return;
    const keys = new Set<string>();
    do {
      const key = this.string();
      if (keys.has(key)) throw new RangeError(`${this.#call}: ${this.#name} has the key ${describe(key)} twice`);
      if (key === '__proto__') throw new RangeError(`${this.#call}: ${this.#name} has the key "__proto__"`);
      keys.add(key);
      this.#expect(':');
      readValue(key);
    } while (this.#takes(','));
    this.#expect('}');
  }

  /** An array of exactly two numbers, which is all that a matrix needs. */
  pair(): [number, number] {
    this.#expect('[');
    const first = this.number();
    this.#expect(',');
    const second = this.number();
    this.#expect(']');
    return [first, second];
  }

  string(): string {
    this.#skipSpace();
    const start = this.#position;
    if (this.#text[start] !== '"') this.#fail('a string');
    let end = start + 1;
    while (end < this.#text.length && this.#text[end] !== '"') end += this.#text[end] === '\\' ? 2 : 1;
    let value: string;
    try {
      value = JSON.parse(this.#text.slice(start, end + 1)) as string;
    } catch {
      this.#fail('a string');
    }
    // Half of a surrogate pair has no UTF-8; parsers in other languages refuse it.
    if (/\p{Surrogate}/u.test(value)) this.#fail('a string of whole characters');
    this.#position = end + 1;
    return value;
  }

  number(): number {
    this.#skipSpace();
    const [digits] = NUMBER.exec(this.#text.slice(this.#position, this.#position + LONGEST_NUMBER)) ?? [];
    if (digits === undefined) this.#fail('a number');
    this.#position += digits.length;
    return Number(digits);
  }

  /** Only white space may be left. */
  end(): void {
    this.#skipSpace();
    if (this.#position < this.#text.length) this.#fail('its end');
  }

  #takes(character: string): boolean {
    this.#skipSpace();
    if (this.#text[this.#position] !== character) return false;
    this.#position++;
    return true;
  }

  #expect(character: string): void {
    if (!this.#takes(character)) this.#fail(`'${character}'`);
  }

  #skipSpace(): void {
    NO_SPACE.lastIndex = this.#position;
    this.#position = NO_SPACE.exec(this.#text)?.index ?? this.#text.length;
  }

  #fail(expected: string): never {
    const got = this.#position < this.#text.length ? describe(this.#text.slice(this.#position)) : 'its end';
    throw new RangeError(
      `${this.#call}: ${this.#name} must have ${expected} at character ${this.#position}, got ${got}`,
    );
  }
}
