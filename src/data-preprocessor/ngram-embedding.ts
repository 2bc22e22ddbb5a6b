import { mix } from '../internal/random.js';
import type { Float32Row } from '../types.js';

const MIN_GRAM = 3;
const MAX_GRAM = 5;
const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;
/** Starts the hash of whole words elsewhere, so that the word "the" and the 3-gram "the" are different features. */
const WORD_OFFSET = 0x2f0b4a27;

/**
 * Signed feature hashing (Weinberger et al. 2009, "Feature Hashing for Large Scale Multitask Learning") of the words
 * and of their character 3- to 5-grams, each word padded with a space on both sides (as fastText and scikit-learn's
 * `char_wb` do). Text is NFKC-normalised and lower-cased; a word is a run of letters, marks and digits.
 */
export function ngramEmbedding(text: string, dim: number): Float32Row {
  const embedding = new Float32Array(dim);
  const words =
    text
      .normalize('NFKC')
      .toLowerCase()
      .match(/[\p{L}\p{N}][\p{L}\p{M}\p{N}]*/gu) ?? [];
  for (const word of words) {
    const characters = Array.from(` ${word} `, character => character.codePointAt(0)!);
    let wordHash = WORD_OFFSET;
    for (let i = 1; i < characters.length - 1; i++) wordHash = absorb(wordHash, characters[i]!);
    addFeature(embedding, wordHash);
    for (let start = 0; start + MIN_GRAM <= characters.length; start++) {
      const end = Math.min(start + MAX_GRAM, characters.length);
      let gramHash = FNV_OFFSET;
      for (let i = start; i < end; i++) {
        gramHash = absorb(gramHash, characters[i]!);
        if (i - start + 1 >= MIN_GRAM) addFeature(embedding, gramHash);
      }
    }
  }
  return embedding;
}

/** FNV-1a over code points. */
function absorb(hash: number, codePoint: number): number {
  return Math.imul(hash ^ codePoint, FNV_PRIME);
}

/** One bit of the hash gives the sign, the others the place; mixed first, as FNV's low bits are weak. */
function addFeature(embedding: Float32Row, hash: number): void {
  const h = mix(hash) >>> 0;
  embedding[(h >>> 1) % embedding.length]! += h & 1 ? 1 : -1;
}
