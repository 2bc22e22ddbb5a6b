import { withDefaults } from '../internal/options.js';
import { Pace } from '../internal/pace.js';
import { checkArray, checkCount, checkNumber, checkObject, wrongType, wrongValue } from '../internal/validate.js';
import type { Float32Row } from '../types.js';
import { BUCKETS, DocumentFrequencies, MOST_DOCUMENTS } from './document-frequencies.js';
import { countFeatures, isWord } from './features.js';
import { logarithm } from './logarithm.js';
import { packCounts, unpackCounts } from './packed-counts.js';
import { TermCounts } from './term-counts.js';

/** Changes with every change of the features or of their hashes, which make old counts worthless. */
const VERSION = 1;
/** Between two looks at the clock `fit` reads this many texts or characters. */
const TEXTS_PER_LOOK = 32;
const CHARACTERS_PER_LOOK = 10_000;

export interface NgramEmbedderOptions {
  /** Length of the rows. Default 1024. */
  dim?: number;
}

/** What an `NgramEmbedder` has learned, ready for JSON. */
export interface NgramEmbedderState {
  /** Of the features: counts of other ones are of no use. */
  version: number;
  /** Length of the rows. */
  dim: number;
  /** Number of texts it was fitted on; 0 for an unfitted one. */
  documents: number;
  /** In how many of them each hashed feature occurs, packed. */
  frequencies: string;
}

/** Of words, beside 1 of symbols and n-grams. */
const WORD_WEIGHT = 2;
/** Rows of one call share buffers of this many: a row that is kept holds on to so many others. */
const ROWS_PER_BUFFER = 64;
const MOST_ENTRIES = 2 ** 20;
/** A hash tells by one bit the sign, by one whether it is a word's, and by these the entry. */
const HASH_BITS = 30;
const HASH_MASK = 2 ** HASH_BITS - 1;

const terms = new TermCounts();
/** Of small counts. */
const TERM_WEIGHTS = Float64Array.from({ length: 256 }, (_, count) => (count === 0 ? 0 : 1 + logarithm(count)));

/**
 * Embeds texts without a model, so that similar texts get similar rows: signed feature hashing (Weinberger et al. 2009,
 * "Feature Hashing for Large Scale Multitask Learning") of words and character n-grams.
 */
export class NgramEmbedder {
  /** Length of the rows. */
  readonly dim: number;

  #frequencies: DocumentFrequencies | undefined;
  readonly #sums: Float64Array;

  /**
   * @throws TypeError or RangeError that names the option and the value.
   */
  constructor(options: NgramEmbedderOptions = {}) {
    const { dim } = withDefaults('NgramEmbedder', { dim: 1024 }, options);
    this.dim = checkNumber('NgramEmbedder', 'dim', dim, { integer: true, min: 1, max: MOST_ENTRIES });
    this.#sums = new Float64Array(dim);
  }

  async fit(texts: Iterable<string> | AsyncIterable<string>): Promise<this> {
    const call = 'NgramEmbedder.fit';
    checkSource(call, texts);
    const pace = new Pace(undefined);
    const counts = new Uint32Array(BUCKETS);
    let documents = 0;
    let characters = 0;
    const count = (text: unknown): void => {
      if (typeof text !== 'string') throw wrongType(call, `texts[${documents}]`, 'a string', text);
      terms.clear();
      countFeatures(text, terms, BUCKETS - 1);
      for (let i = 0; i < terms.size; i++) counts[terms.hashes[i]!]!++;
      documents++;
      characters += text.length;
    };
    const isLookDue = (): boolean => {
      if (documents % TEXTS_PER_LOOK !== 0 && characters < CHARACTERS_PER_LOOK) return false;
      characters = 0;
      return pace.isDue();
    };
    // Not one `for await`: it would wait at every text of an array.
    if (Symbol.asyncIterator in texts) {
      for await (const text of texts) {
        count(text);
        if (isLookDue()) await pace.pause();
      }
    } else {
      for (const text of texts) {
        count(text);
        if (isLookDue()) await pace.pause();
      }
    }
    if (documents === 0) throw new RangeError(`${call}: texts is empty`);
    this.#frequencies = new DocumentFrequencies(documents, counts);
    return this;
  }

  embed(texts: readonly string[]): Float32Row[] {
    const call = 'NgramEmbedder.embed';
    checkArray(call, 'texts', texts);
    for (let i = 0; i < texts.length; i++) {
      if (typeof texts[i] !== 'string') throw wrongType(call, `texts[${i}]`, 'a string', texts[i]);
    }
    const rows = new Array<Float32Row>(texts.length);
    for (let start = 0; start < texts.length; start += ROWS_PER_BUFFER) {
      const buffer = new Float32Array(this.dim * Math.min(ROWS_PER_BUFFER, texts.length - start));
      for (let i = start; i < texts.length && i < start + ROWS_PER_BUFFER; i++) {
        const offset = this.dim * (i - start);
        this.#embedInto(buffer, offset, texts[i]!);
        rows[i] = buffer.subarray(offset, offset + this.dim);
      }
    }
    return rows;
  }

  /** Writes the row of a text to zeros. Most of its entries stay 0, so the loops go over the features. */
  #embedInto(row: Float32Row, offset: number, text: string): void {
    terms.clear();
    countFeatures(text, terms);
    const { hashes, counts, size } = terms;
    const frequencies = this.#frequencies;
    const sums = this.#sums;
    const entriesPerHash = this.dim / 2 ** HASH_BITS;
    for (let i = 0; i < size; i++) {
      const hash = hashes[i]!;
      const weight = termWeight(counts[i]!) * (isWord(hash) ? WORD_WEIGHT : 1) * (frequencies?.weightOf(hash) ?? 1);
      // Exact as long as dim has no more bits than are left in a float64.
      const entry = (((hash >>> 1) & HASH_MASK) * entriesPerHash) | 0;
      sums[entry]! += hash & 1 ? weight : -weight;
      hashes[i] = entry;
    }
    let squares = 0;
    for (let i = 0; i < size; i++) {
      const entry = hashes[i]!;
      if (row[offset + entry] !== 0) continue;
      row[offset + entry] = 1;
      squares += sums[entry]! * sums[entry]!;
    }
    const scale = squares === 0 ? 0 : 1 / Math.sqrt(squares);
    for (let i = 0; i < size; i++) row[offset + hashes[i]!] = sums[hashes[i]!]! * scale;
    for (let i = 0; i < size; i++) sums[hashes[i]!] = 0;
  }

  /** What {@link loadStateDict} takes, ready for JSON. */
  stateDict(): NgramEmbedderState {
    const frequencies = this.#frequencies;
    return {
      version: VERSION,
      dim: this.dim,
      documents: frequencies?.documents ?? 0,
      frequencies: frequencies ? packCounts(frequencies.counts()) : '',
    };
  }

  loadStateDict(state: NgramEmbedderState): void {
    const call = 'NgramEmbedder.loadStateDict';
    checkObject(call, 'state', state);
    const { version, dim, documents, frequencies } = state as Record<string, unknown>;
    checkCount(call, 'state.version', version);
    if (version !== VERSION) throw new RangeError(`${call}: state has version ${version}, this embedder ${VERSION}`);
    checkCount(call, 'state.dim', dim);
    if (dim !== this.dim) throw new RangeError(`${call}: state has dim ${dim}, this embedder ${this.dim}`);
    const most = checkNumber(call, 'state.documents', documents, { integer: true, min: 0, max: MOST_DOCUMENTS });
    if (typeof frequencies !== 'string') throw wrongType(call, 'state.frequencies', 'a string', frequencies);
    const counts = unpackCounts(frequencies, BUCKETS, most);
    if (!counts) throw wrongValue(call, 'state.frequencies', 'counts as stateDict packs them', frequencies);
    this.#frequencies = most === 0 ? undefined : new DocumentFrequencies(most, counts);
  }
}

function checkSource(call: string, texts: unknown): void {
  const isIterable =
    typeof texts === 'object' && texts !== null && (Symbol.iterator in texts || Symbol.asyncIterator in texts);
  if (!isIterable) throw wrongType(call, 'texts', 'an array or an (async) iterable of strings', texts);
}

/** Sublinear term frequency: 1 + ln tf. */
function termWeight(count: number): number {
  return count < TERM_WEIGHTS.length ? TERM_WEIGHTS[count]! : 1 + logarithm(count);
}
