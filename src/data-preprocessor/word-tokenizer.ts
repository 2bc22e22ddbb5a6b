import { TokenCache } from './token-cache.js';

const MAX_VOCABULARY = 50_000;
const SPACE_TOKEN = 32;

/** Whose words are counted: both fields are its callers' to change. */
interface VocabularyOwner {
  vocab: Map<string, number>;
  vocabSize: number;
}

/** The original's tokens: a word's number in the vocabulary, and a space token after each word. */
export class WordTokenizer {
  /** Word → token. A Map put in its place is used, but what it gives is not cached, as it does not tell of edits. */
  readonly vocabulary = watchedMap(() => this.#cache.clear());
  readonly #cache = new TokenCache();
  #wasFull = false;

  tokenize(text: string, owner: VocabularyOwner): number[] {
    const isFull = owner.vocabSize >= MAX_VOCABULARY;
    // Room for words that were spelled so far.
    if (this.#wasFull && !isFull) this.#cache.clear();
    this.#wasFull = isFull;
    const isWatched = owner.vocab === this.vocabulary;
    const known = isWatched ? this.#cache.get(text) : undefined;
    if (known) return known;
    const tokens = this.#spell(text, owner);
    if (isWatched) this.#cache.set(text, tokens);
    return tokens;
  }

  #spell(text: string, owner: VocabularyOwner): number[] {
    const { vocab } = owner;
    const words = text.split(/\s+/);
    // As many as there will be unless words are spelled: growing takes longer than the rest.
    const tokens = new Array<number>(2 * words.length);
    let count = 0;
    for (let i = 0; i < words.length; i++) {
      const word = words[i]!;
      const known = vocab.get(word);
      if (known !== undefined) {
        tokens[count++] = known;
      } else if (owner.vocabSize < MAX_VOCABULARY) {
        // A word that no cached text has: the cache need not hear of it.
        if (vocab === this.vocabulary) Map.prototype.set.call(vocab, word, owner.vocabSize);
        else vocab.set(word, owner.vocabSize);
        tokens[count++] = owner.vocabSize++;
      } else {
        for (const character of word) tokens[count++] = character.charCodeAt(0) % 256;
      }
      tokens[count++] = SPACE_TOKEN;
    }
    tokens.length = count;
    return tokens;
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
