/** Most tokens kept: 4 MiB. */
const MAX_TOKENS = 2 ** 20;
/** Most characters of texts kept, 4 to 8 MiB: a word may be long. */
const MAX_CHARACTERS = 2 ** 22;

/**
 * Tokens by text. Full, it is emptied, which costs less than keeping an order.
 *
 * All tokens lie in one array, as tens of thousands of small ones would keep the garbage collector busy.
 */
export class TokenCache {
  /** Where a text's tokens start; their number comes first. */
  readonly #starts = new Map<string, number>();
  #pool = new Int32Array(0);
  #end = 0;
  #characters = 0;

  get(text: string): number[] | undefined {
    const start = this.#starts.get(text);
    if (start === undefined) return undefined;
    const pool = this.#pool;
    const count = pool[start]!;
    const tokens = new Array<number>(count);
    for (let i = 0; i < count; i++) tokens[i] = pool[start + 1 + i]!;
    return tokens;
  }

  set(text: string, tokens: readonly number[]): void {
    const needed = tokens.length + 1;
    if (needed > MAX_TOKENS || text.length > MAX_CHARACTERS) return;
    if (this.#end + needed > MAX_TOKENS || this.#characters + text.length > MAX_CHARACTERS) this.clear();
    const start = this.#end;
    const end = start + needed;
    if (end > this.#pool.length) {
      const grown = new Int32Array(Math.min(MAX_TOKENS, 2 * end));
      grown.set(this.#pool);
      this.#pool = grown;
    }
    const pool = this.#pool;
    pool[start] = tokens.length;
    for (let i = 0; i < tokens.length; i++) {
      pool[start + 1 + i] = tokens[i]!;
      // A vocabulary of the caller's may hold other numbers.
      if (pool[start + 1 + i] !== tokens[i]) return;
    }
    this.#starts.set(text, start);
    this.#end = end;
    this.#characters += text.length;
  }

  clear(): void {
    this.#starts.clear();
    this.#end = 0;
    this.#characters = 0;
  }
}
