import { TokenCache } from './token-cache.js';
import { endOfSpace, endOfWord, hashOfWord, WordIndex } from './word-index.js';

const MAX_VOCABULARY = 50_000;
const SPACE_TOKEN = 32;
/** Tokens of the text at hand: an array that grows takes longer than a copy of one that is there. */
const scratch: number[] = [];
/** Most tokens that it keeps room for. */
const MAX_SCRATCH = 2 ** 16;

/** Whose words are counted: both fields are its callers' to change. */
interface VocabularyOwner {
  vocab: Map<string, number>;
  vocabSize: number;
}

/** The original's tokens: a word's number in the vocabulary, and a space token after each word. */
export class WordTokenizer {
  /** Word → token. A Map put in its place is used, but slowly, as it does not tell of edits. */
  readonly vocabulary = watchedMap(() => {
    this.#index.clear();
    this.#cache.clear();
  });
  /** Words of `vocabulary`. */
  readonly #index = new WordIndex();
  readonly #cache = new TokenCache();
  #wasFull = false;

  /** @param isKnown Whether the text was there before. Only then are its tokens kept: most texts never come again. */
  tokenize(text: string, owner: VocabularyOwner, isKnown: boolean): number[] {
    const isWatched = owner.vocab === this.vocabulary;
    const isFull = owner.vocabSize >= MAX_VOCABULARY;
    // Room for words that were spelled so far.
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
    // As `split(/\s+/)` does: white space at an end leaves an empty word there.
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

  /** Writes the tokens of a word that is not in the index from `count` on; returns where they end. */
  #spell(word: string, hash: number, owner: VocabularyOwner, count: number): number {
    const { vocab } = owner;
    const isWatched = vocab === this.vocabulary;
    let token = vocab.get(word);
    if (token === undefined && owner.vocabSize < MAX_VOCABULARY) {
      token = owner.vocabSize++;
      // The index need not be told of a word that it cannot have.
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

/** A Map that tells before it is edited. Not a subclass: test libraries call those unlike any plain Map. */
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
