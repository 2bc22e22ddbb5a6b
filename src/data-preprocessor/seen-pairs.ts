import { sha256 } from '#platform';
import type { TrainingExample } from '../types.js';

/** Tells whether an (input, output) pair came before, by SHA-256: 32 characters a pair, however long its texts are. */
export class SeenPairs {
  readonly #digests = new Set<string>();

  /** Notes the pair; whether it is new. */
  add({ input, output }: TrainingExample): boolean {
    const before = this.#digests.size;
    // As UTF-16, as all lone surrogates are the same in UTF-8.
    return this.#digests.add(sha256(codeUnitsOf(`${input.length}:${input}${output}`))).size > before;
  }
}

function codeUnitsOf(text: string): Uint8Array {
  const units = new Uint16Array(text.length);
  for (let i = 0; i < text.length; i++) units[i] = text.charCodeAt(i);
  return new Uint8Array(units.buffer);
}
