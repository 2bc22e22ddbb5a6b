import { crypto } from '../internal/crypto.js';
import type { TrainingExample } from '../types.js';

/** Tells whether an (input, output) pair came before, by SHA-256: 32 characters a pair, however long its texts are. */
export class SeenPairs {
  readonly #digests = new Set<string>();

  /** Notes the pair; whether it is new. */
  add({ input, output }: TrainingExample): boolean {
    const before = this.#digests.size;
    // As UTF-16, as all lone surrogates are the same in UTF-8.
    const digest = crypto()
      .createHash('sha256')
      .update(`${input.length}:${input}${output}`, 'utf16le')
      .digest('binary');
    return this.#digests.add(digest).size > before;
  }
}
