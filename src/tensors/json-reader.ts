import { describe } from '../internal/validate.js';

/** Longer than any number that `JSON.stringify` or Python's `json.dumps` writes. */
const LONGEST_NUMBER = 32;

const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/;
const NO_SPACE = /[^ \t\n\r]/g;
const WORD = /^(?:true|false|null)/;
/** Deeper values are an error. Otherwise, a text could overflow the stack. */
const DEEPEST = 64;

/**
 * Reads JSON of a known shape, value by value. A text from anywhere costs no more than the values that its reader asks
 * for. Unlike `JSON.parse`, it builds nothing from nested or unexpected values. Keys that repeat are an error.
 */
export class JsonReader {
  readonly #call: string;
  readonly #name: string;
  readonly #text: string;
  #position = 0;

  /** @param name Name of the text, for messages. */
  constructor(call: string, name: string, text: string) {
    this.#call = call;
    this.#name = name;
    this.#text = text;
  }

  /** Calls `readValue` with each key. The callback must read the value. */
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

  /** An array of at most `most` numbers. `name` is its name in messages. */
  numbers(name: string, most: number): number[] {
    this.#expect('[');
    const numbers: number[] = [];
    if (this.#takes(']')) return numbers;
    do {
      if (numbers.length === most) throw new RangeError(`${this.#call}: ${name} has more than ${most} numbers`);
      numbers.push(this.number());
    } while (this.#takes(','));
    this.#expect(']');
    return numbers;
  }

  /** An array of exactly two numbers. */
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
    // Half of a surrogate pair has no UTF-8. Parsers in other languages refuse it.
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

  /** Reads past a null, if one is next. */
  null(): boolean {
    this.#skipSpace();
    if (!this.#text.startsWith('null', this.#position)) return false;
    this.#position += 'null'.length;
    return true;
  }

  /** Reads past a value of any kind, and returns its text. */
  skip(depth = 0): string {
    if (depth > DEEPEST) this.#fail(`a value of at most ${DEEPEST} levels`);
    this.#skipSpace();
    const start = this.#position;
    const first = this.#text[start];
    if (first === '"') this.string();
    else if (first === '{') this.object(() => this.skip(depth + 1));
    else if (first === '[') this.#skipArray(depth);
    else this.#skipPlain();
    return this.#text.slice(start, this.#position);
  }

  /** Checks that only white space is left. */
  end(): void {
    this.#skipSpace();
    if (this.#position < this.#text.length) this.#fail('its end');
  }

  #skipArray(depth: number): void {
    this.#expect('[');
    if (this.#takes(']')) return;
    do this.skip(depth + 1);
    while (this.#takes(','));
    this.#expect(']');
  }

  #skipPlain(): void {
    const [word] = WORD.exec(this.#text.slice(this.#position, this.#position + LONGEST_NUMBER)) ?? [];
    if (word !== undefined) this.#position += word.length;
    else if (/[-\d]/.test(this.#text[this.#position] ?? '')) this.number();
    else this.#fail('a value');
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
