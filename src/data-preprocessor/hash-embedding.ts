import { sha256 } from '#platform/sha256';
import type { Float32Row } from '../types.js';

const HASH_BYTES = 32;
/** Memory where a row is made. Copying it takes less time than filling a new row, which is zeroed first. */
let scratch = new Float32Array(0);

/**
 * The original's embedding: the bytes of the text's SHA-256 over and over, plus a term for each leading UTF-16 code
 * unit. Equal texts get equal rows. Similar texts do not get similar rows.
 *
 * Beyond the text the row repeats every 32 entries, so most of it is copied. All entries are multiples of 1/256 and
 * their squares add up without rounding, in any order: the result is the original's to the last bit.
 */
export function hashEmbedding(text: string, dim: number, normalize: boolean): Float32Row {
  const hash = sha256(text);
  if (scratch.length !== dim) scratch = new Float32Array(dim);
  const embedding = scratch;
  const head = Math.min(text.length, dim);
  let squares = 0;
  for (let i = 0; i < head; i++) {
    const entry = (hash.charCodeAt(i % HASH_BYTES) - 128) / 128 + (text.charCodeAt(i) - 64) / 256;
    embedding[i] = entry;
    squares += entry * entry;
  }
  const period = Math.min(HASH_BYTES, dim - head);
  for (let k = 0; k < period; k++) {
    const entry = (hash.charCodeAt((head + k) % HASH_BYTES) - 128) / 128;
    const repeats = Math.ceil((dim - head - k) / HASH_BYTES);
    embedding[head + k] = entry;
    squares += repeats * entry * entry;
  }
  if (normalize) {
    const norm = Math.sqrt(squares) || 1;
    for (let i = 0; i < head + period; i++) embedding[i]! /= norm;
  }
  for (let known = head + period; known < dim; known += known - head) embedding.copyWithin(known, head, known);
  return embedding.slice();
}
