import { withDefaults } from '../internal/options.js';
import { Pace } from '../internal/pace.js';
import { checkArray, checkCount, checkNumber, checkObject, wrongType, wrongValue } from '../internal/validate.js';
import { withJson } from '../kernels/matrix.js';
import type { Float32Row, Stateful } from '../types.js';
import { BUCKETS, DocumentFrequencies, MOST_DOCUMENTS } from './document-frequencies.js';
import { countFeatures, isWord } from './features.js';
import { logarithm } from './logarithm.js';
import { packCounts, unpackCounts } from './packed-counts.js';
import { TermCounts } from './term-counts.js';

/** The version of the features and their hashes. Counts of another version are of no use. */
const VERSION = 1;
/** Number of texts, or of characters, that `fit` reads between two looks at the clock. */
const TEXTS_PER_LOOK = 32;
const CHARACTERS_PER_LOOK = 10_000;
/** The weight of words. Symbols and n-grams have weight 1. */
const WORD_WEIGHT = 2;
/**
 * The lowest bit of a hash is the sign. The highest bit tells whether it is a word's. The bits between are the entry.
 */
const ENTRY_BITS = 30;
const ENTRY_MASK = 2 ** ENTRY_BITS - 1;
/** With more, the product of entry bits and `dim` would be rounded. */
const MOST_ENTRIES = 2 ** 20;
/** Number of rows of one call that share a buffer. A row that is kept keeps the others in memory. */
const ROWS_PER_BUFFER = 16;

const terms = new TermCounts();
/** Term weights of small counts. */
const TERM_WEIGHTS = Float64Array.from({ length: 256 }, (_, count) => (count === 0 ? 0 : 1 + logarithm(count)));

export interface NgramEmbedderOptions {
  /**
   * Length of the rows, an integer from 1 to 1,048,576.
   *
   * @default 1024
   */
  dim?: number;
}

/** The state of an `NgramEmbedder`: what it has learned, as plain data for JSON. */
export interface NgramEmbedderState {
  /** Version of the features. An embedder loads only counts of its own version. */
  version: number;
  /** Length of the rows. */
  dim: number;
  /** Number of texts that it was fitted on. 0 if it is not fitted. */
  documents: number;
  /** The number of texts that each hashed feature occurs in, packed. */
  frequencies: string;
}

/**
 * Embeds texts without a model, so that similar texts get similar rows of unit length: signed feature hashing
 * (Weinberger et al. 2009, "Feature Hashing for Large Scale Multitask Learning").
 *
 * The features of a text are
 * - its words: runs of letters, their marks and digits, split at case changes and where letters meet digits. A word of
 *   several parts is a feature too: "addEventListener" gives itself, "add", "event" and "listener". Words count double;
 * - its runs of punctuation and symbols, so that `==` is not `!=`;
 * - the character 3- to 5-grams of these parts and runs, each padded with a space on either side (as fastText and
 *   scikit-learn's `char_wb` do);
 * - the 1- to 3-grams of each run of Han, kana, Thai, Lao, Khmer and Myanmar, which are written without spaces.
 *
 * Text is read in NFKC and lower case, without default-ignorable code points such as zero-width joiners. A feature
 * that occurs tf times weighs 1 + ln tf. {@link fit} adds weights by rarity. A text without a feature is the zero row.
 * Equal texts give equal bits on every platform whose Unicode tables are equal for their characters. All functions in
 * use are exactly specified, so engines cannot round them differently.
 *
 * @example
 * ```js
 * import { NgramEmbedder } from 'microlora-training-utils';
 *
 * const texts = ['Returns the length of the array', 'Opens a TCP socket', 'Closes the socket'];
 * const embedder = await new NgramEmbedder({ dim: 512 }).fit(texts);
 * const [query, ...answers] = embedder.embed(['close a socket', ...texts]);
 * const scores = answers.map(answer => answer.reduce((sum, value, i) => sum + value * query[i], 0));
 * console.log(texts[scores.indexOf(Math.max(...scores))]); // Closes the socket
 * ```
 */
export class NgramEmbedder implements Stateful<NgramEmbedderState> {
  /** Length of the rows. */
  readonly dim: number;

  #frequencies: DocumentFrequencies | undefined;
  /** Number of calls of `fit` and `loadStateDict`. The call that began last counts. */
  #calls = 0;
  /** The current row in float64. It is zero between calls. */
  readonly #sums: Float64Array;
  /** Marks the entries of the row that have a feature. */
  readonly #touched: Uint8Array;

  /**
   * @throws TypeError or RangeError that names the option and the value.
   */
  constructor(options: NgramEmbedderOptions = {}) {
    const { dim } = withDefaults('NgramEmbedder', { dim: 1024 }, options);
    this.dim = checkNumber('NgramEmbedder', 'dim', dim, { integer: true, min: 1, max: MOST_ENTRIES });
    this.#sums = new Float64Array(dim);
    this.#touched = new Uint8Array(dim);
  }

  /**
   * Learns how many texts each feature occurs in. Afterwards, the weight of a feature that occurs in df of n texts is
   * multiplied by (1/4 + ln((1 + n) / (1 + df)))^(3/4). A second fit replaces the first. If calls of `fit` and
   * `loadStateDict` run at the same time, the one that began last counts.
   *
   * The learned counts take at most 1.2 MiB for any number of texts, and `fit` takes 2 MiB more while it runs.
   * Features are distinguished by 19 bits of their hash. Counts above 2048 are rounded down by at most a thousandth.
   * About every 10 ms, between texts, `fit` lets other work of the thread run.
   *
   * @param texts All texts that will be compared, or many similar ones: inputs and outputs, without held-out texts.
   * @returns The embedder itself.
   * @throws TypeError where `texts` is not iterable or a text is not a string. RangeError where there is no text.
   *   Errors of the source. Nothing has changed then.
   */
  async fit(texts: Iterable<string> | AsyncIterable<string>): Promise<this> {
    const call = 'NgramEmbedder.fit';
    checkSource(call, texts);
    const self = ++this.#calls;
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
    if (self === this.#calls) this.#frequencies = new DocumentFrequencies(documents, counts);
    return this;
  }

  /**
   * Embeds texts independently of each other.
   *
   * @returns One row of `dim` floats per text, of unit length or zero. Up to 16 neighbouring rows are views of one
   *   buffer.
   * @throws TypeError where `texts` is not an array of strings.
   */
  embed(texts: readonly string[]): Float32Row[] {
    const call = 'NgramEmbedder.embed';
    // A class that names itself in its body gets another name in the bundle.
    if (!(Object(this) === this && #sums in this))
      throw new TypeError(`${call}: this is no NgramEmbedder; pass the embedder itself`);
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
    return withJson(rows);
  }

  /** Writes the row of a text to a buffer of zeros. Most entries stay 0, so the loops run over the features. */
  #embedInto(row: Float32Row, offset: number, text: string): void {
    terms.clear();
    countFeatures(text, terms);
    const { hashes, counts, size } = terms;
    const frequencies = this.#frequencies;
    const sums = this.#sums;
    const touched = this.#touched;
    let entries = 0;
    const entriesPerHash = this.dim / 2 ** ENTRY_BITS;
    for (let i = 0; i < size; i++) {
      const hash = hashes[i]!;
      const weight = termWeight(counts[i]!) * (isWord(hash) ? WORD_WEIGHT : 1) * (frequencies?.weightOf(hash) ?? 1);
      const entry = (((hash >>> 1) & ENTRY_MASK) * entriesPerHash) | 0;
      sums[entry]! += hash & 1 ? weight : -weight;
      if (touched[entry] !== 0) continue;
      touched[entry] = 1;
      // The hashes up to here have been read, so their places are free.
      hashes[entries++] = entry;
    }
    let squares = 0;
    for (let k = 0; k < entries; k++) squares += sums[hashes[k]!]! * sums[hashes[k]!]!;
    const scale = squares === 0 ? 0 : 1 / Math.sqrt(squares);
    for (let k = 0; k < entries; k++) {
      const entry = hashes[k]!;
      row[offset + entry] = sums[entry]! * scale;
      sums[entry] = 0;
      touched[entry] = 0;
    }
  }

  /**
   * The state for {@link loadStateDict}, as plain data for JSON. It has about 3 bytes per distinct feature of the
   * fitted texts, and at most 4 MB.
   */
  stateDict(): NgramEmbedderState {
    const frequencies = this.#frequencies;
    return {
      version: VERSION,
      dim: this.dim,
      documents: frequencies?.documents ?? 0,
      frequencies: frequencies ? packCounts(frequencies.counts()) : '',
    };
  }

  /**
   * Takes over what another embedder has learned. All texts then get the rows of that embedder.
   *
   * @param state What `stateDict` returned, also after a round trip through JSON.
   * @throws TypeError or RangeError where the state has another `dim` or another version of the features, or counts
   *   that `stateDict` cannot have packed. Nothing has changed then. Some damage cannot be detected.
   */
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
    this.#calls++;
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
