import { endOfSpace, endOfWord, hashOfWord, WordIndex } from './word-index.js';

const MAX_VOCABULARY = 50_000;
const SPACE_TOKEN = 32;
/** Tokens of the text that is read. Copying an array takes less time than growing a new one. */
const scratch: number[] = [];
/** Most tokens for which `scratch` keeps its memory. */
const MAX_SCRATCH = 2 ** 16;

/** Most tokens kept: 4 MiB. */
const MAX_TOKENS = 2 ** 20;
/** Most characters of texts kept, 4 to 8 MiB: a word may be long. */
const MAX_CHARACTERS = 2 ** 22;

/** The owner of the vocabulary. Callers may change both fields. */
interface VocabularyOwner {
  vocab: Map<string, number>;
  vocabSize: number;
}

/** The original's tokens: a word's number in the vocabulary, and a space token after each word. */
export class WordTokenizer {
  /** Word → token. A Map that replaces it works, but slowly, as its edits are not noticed. */
  readonly vocabulary = watchedMap(() => {
    this.#index.clear();
    this.#cache.clear();
  });
  /** Words of `vocabulary`. */
  readonly #index = new WordIndex();
  readonly #cache = new TokenCache();
  #wasFull = false;

  /** @param isKnown Whether the text occurred before. Only then are its tokens kept, as most texts occur once. */
  tokenize(text: string, owner: VocabularyOwner, isKnown: boolean): number[] {
    const isWatched = owner.vocab === this.vocabulary;
    const isFull = owner.vocabSize >= MAX_VOCABULARY;
    // Words that were spelled so far get a number now.
    if (this.#wasFull && !isFull) this.#cache.clear();
    this.#wasFull = isFull;
    const isCached = isWatched && isKnown;
    const known = isCached ? this.#cache.get(text) : undefined;
    if (known) return known;
    const tokens = this.#read(text, owner, isWatched);
    if (isCached) this.#cache.set(text, tokens);
    return tokens;
  }

  #read(text: string, owner: VocabularyOwner, isWatched: boolean): number[] {
    let count = 0;
    // As in `split(/\s+/)`, white space at the start or end of the text makes an empty word there.
    for (let start = 0; ; ) {
      const end = endOfWord(text, start);
      const hash = hashOfWord;
      const known = isWatched ? this.#index.find(text, start, end, hash) : undefined;
      if (known !== undefined) scratch[count++] = known;
      else count = this.#spell(text.slice(start, end), hash, owner, count);
      scratch[count++] = SPACE_TOKEN;
      if (end === text.length) break;
      start = endOfSpace(text, end);
    }
    const tokens = scratch.slice(0, count);
    if (count > MAX_SCRATCH) scratch.length = 0;
    return tokens;
  }

  /** Writes the tokens of a word that is not in the index from `count` on. Returns where they end. */
  #spell(word: string, hash: number, owner: VocabularyOwner, count: number): number {
    const { vocab } = owner;
    const isWatched = vocab === this.vocabulary;
    let token = vocab.get(word);
    if (token === undefined && owner.vocabSize < MAX_VOCABULARY) {
      token = owner.vocabSize++;
      // The index cannot hold this word yet, so this is not an edit that would clear it.
      if (isWatched) Map.prototype.set.call(vocab, word, token);
      else vocab.set(word, token);
    }
    let end = count;
    if (token === undefined) {
      for (const character of word) scratch[end++] = character.charCodeAt(0) % 256;
    } else {
      if (isWatched) this.#index.add(word, hash, token);
      scratch[end++] = token;
    }
    return end;
  }
}

/**
 * Tokens by text. When it is full, it is emptied, which takes less time than keeping an order.
 *
 * All tokens lie in one array, as tens of thousands of small ones would keep the garbage collector busy.
 */
class TokenCache {
  /** Where the entry of a text starts in the pool: the number of its tokens, then the tokens. */
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
      // The caller's vocabulary may hold numbers that do not fit.
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

/** A Map that calls `onEdit` before each edit. It is no subclass, as test libraries find those unequal to a plain Map. */
function watchedMap(onEdit: () => void): Map<string, number> {
  const map = new Map<string, number>();
  for (const name of ['set', 'delete', 'clear'] as const) {
    const edit = (...args: unknown[]): unknown => {
      onEdit();
      return Reflect.apply(Map.prototype[name], map, args);
    };
    Object.defineProperty(map, name, { value: edit, configurable: true, writable: true });
  }
  return map;
}
