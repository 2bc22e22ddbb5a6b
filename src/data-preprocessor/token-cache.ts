/** Most tokens kept: 4 MiB of small integers. */
const MAX_TOKENS = 2 ** 19;

/**
 * Tokens by text. A vocabulary only grows, so a text keeps its tokens; a caller who puts another Map in its place
 * starts anew. Full, it is emptied, which costs less than keeping an order.
 */
export class TokenCache {
  readonly #tokens = new Map<string, readonly number[]>();
  #vocab: ReadonlyMap<string, number> | undefined;
  #words = 0;
  #count = 0;

  get(text: string, vocab: ReadonlyMap<string, number>): number[] | undefined {
    if (vocab !== this.#vocab || vocab.size < this.#words) this.#clear();
    this.#vocab = vocab;
    this.#words = vocab.size;
    return this.#tokens.get(text)?.slice();
  }

  set(text: string, tokens: readonly number[]): void {
    this.#count += tokens.length;
    if (this.#count > MAX_TOKENS) {
      this.#clear();
      this.#count = tokens.length;
    }
    this.#tokens.set(text, tokens.slice());
  }

  #clear(): void {
    this.#tokens.clear();
    this.#count = 0;
  }
}
