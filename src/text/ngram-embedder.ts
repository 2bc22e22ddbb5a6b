import { withDefaults } from '../internal/options.js';
import { Pace } from '../internal/pace.js';
import { checkArray, checkCount, checkNumber, checkObject, wrongType, wrongValue } from '../internal/validate.js';
import type { Float32Row } from '../types.js';
import { BUCKETS, DocumentFrequencies, MOST_DOCUMENTS } from './document-frequencies.js';
import { countFeatures } from './features.js';
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

const terms = new TermCounts();
/** 1 + ln tf of small counts. */
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
    this.dim = checkNumber('NgramEmbedder', 'dim', dim, { integer: true, min: 1, max: 2 ** 24 });
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
    return Array.from(texts, text => this.#embed(text));
  }

  #embed(text: string): Float32Row {
    const frequencies = this.#frequencies;
    const sums = this.#sums;
    const { dim } = this;
    sums.fill(0);
    terms.clear();
    countFeatures(text, terms);
    const { hashes, counts, size } = terms;
    for (let i = 0; i < size; i++) {
      const hash = hashes[i]!;
      const count = counts[i]!;
      const weight = count < TERM_WEIGHTS.length ? TERM_WEIGHTS[count]! : 1 + logarithm(count);
      const weighted = frequencies === undefined ? weight : weight * frequencies.weightOf(hash);
      const unsigned = hash >>> 0;
      sums[(unsigned >>> 1) % dim]! += unsigned & 1 ? weighted : -weighted;
    }
    let squares = 0;
    for (let j = 0; j < dim; j++) squares += sums[j]! * sums[j]!;
    const row = new Float32Array(dim);
    if (squares === 0) return row;
    const scale = 1 / Math.sqrt(squares);
    for (let j = 0; j < dim; j++) row[j] = sums[j]! * scale;
    return row;
  }

  /** What {@link loadStateDict} takes, ready for JSON. */
  stateDict(): NgramEmbedderState {
    const frequencies = this.#frequencies;
    return {
      version: VERSION,
      dim: this.dim,
      documents: frequencies?.documents ?? 0,
      frequencies: frequencies ? packCounts(frequencies.counts) : '',
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
