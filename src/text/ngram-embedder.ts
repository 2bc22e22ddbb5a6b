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

/** Changes with every change of the features or of their hashes, which make old counts worthless. */
const VERSION = 1;
/** Between two looks at the clock `fit` reads this many texts or characters. */
const TEXTS_PER_LOOK = 32;
const CHARACTERS_PER_LOOK = 10_000;
/** Of words, beside 1 of symbols and n-grams. */
const WORD_WEIGHT = 2;
/** A hash tells by its lowest bit the sign, by the highest whether it is a word's, and by those between the entry. */
const ENTRY_BITS = 30;
const ENTRY_MASK = 2 ** ENTRY_BITS - 1;
/** With more, the product of entry bits and `dim` would be rounded. */
const MOST_ENTRIES = 2 ** 20;
/** Rows of one call share buffers of this many: a row that is kept holds on to as many others. */
const ROWS_PER_BUFFER = 16;

const terms = new TermCounts();
/** Term weights of small counts. */
const TERM_WEIGHTS = Float64Array.from({ length: 256 }, (_, count) => (count === 0 ? 0 : 1 + logarithm(count)));

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

/**
 * Embeds texts without a model, so that similar texts get similar rows of unit length: signed feature hashing
 * (Weinberger et al. 2009, "Feature Hashing for Large Scale Multitask Learning").
 *
 * The features of a text are
 * - its words: runs of letters, their marks and digits, split at case changes and where letters meet digits. A word of
 *   several parts is a feature beside them: "addEventListener" gives that, "add", "event" and "listener". Words count
 *   double;
 * - its runs of punctuation and symbols, so that `==` is not `!=`;
 * - the character 3- to 5-grams of these parts and runs, each padded with a space on either side (as fastText and
 *   scikit-learn's `char_wb` do);
 * - the 1- to 3-grams of each run of Han, kana, Thai, Lao, Khmer and Myanmar, which are written without spaces.
 *
 * Text is read in NFKC and lower case, without default-ignorable code points such as zero-width joiners. A feature that
 * occurs tf times weighs 1 + ln tf. {@link fit} adds weights by rarity. A text without a feature is the zero row.
 * Equal texts give equal bits on every platform whose Unicode tables are equal for their characters: no function is
 * used whose result an engine may round as it likes.
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
  /** Counts `fit` and `loadStateDict`: the call that began last decides. */
  #calls = 0;
  /** The row at hand in float64; zeros between calls. */
  readonly #sums: Float64Array;
  /** Which of its entries a feature falls on. */
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
   * Learns in how many texts each feature occurs. From then on a feature that occurs in df of n texts weighs
   * (1/4 + ln((1 + n) / (1 + df)))^(3/4) times as much as without. A second fit replaces the first; of
   * calls of `fit` and `loadStateDict` that run at the same time, the one that began last counts.
   *
   * What is learned takes at most 1.2 MiB, whatever the number of texts, and `fit` 2 MiB more while it runs: features
   * are told apart by 19 bits of their hash, and counts above 2048 are rounded down by at most a thousandth. Other work
   * of the thread gets its turn about every 10 ms, between texts.
   *
   * @param texts All texts that will be compared, or many like them, inputs and outputs alike. Not the held-out ones.
   * @returns The embedder itself.
   * @throws TypeError when `texts` is not iterable or a text is not a string; RangeError when there is none; whatever
   *   the source throws. The embedder is then what it was before.
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
   * Embeds texts, each by itself.
   *
   * @returns One row of `dim` floats per text, of unit length or zero. Up to 16 neighbouring rows are views of one
   *   buffer.
   * @throws TypeError when `texts` is not an array of strings.
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

  /** Writes the row of a text to zeros. Most of its entries stay 0, so the loops go over the features. */
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
      // Over the hashes, of which at least as many have been read.
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
   * What {@link loadStateDict} takes, ready for JSON: about 3 bytes per distinct feature of the fitted texts, at most
   * 4 MB.
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
   * Takes over what another embedder has learned; all texts then get that one's rows.
   *
   * @param state What `stateDict` returned, also after a round trip through JSON.
   * @throws TypeError or RangeError, with nothing changed, when the state is of another `dim` or of another version of
   *   the features, or has counts that `stateDict` cannot have packed. Not every damage shows.
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
