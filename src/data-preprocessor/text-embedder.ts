import type { Pace } from '../internal/pace.js';
import { checkArray, checkFinite, checkVector, describe, inWords } from '../internal/validate.js';
import { NgramEmbedder } from '../text/ngram-embedder.js';
import type { Float32Row } from '../types.js';
import { hashEmbedding } from './hash-embedding.js';
import type { DataPreprocessorConfig, Embedder, EmbedderObject } from './options.js';

/** The call that wants rows ahead. */
interface Caller {
  readonly call: string;
  readonly pace: Pace;
  /** Length of the rows that the caller's embedder returned in this call. */
  rowLength: number | undefined;
}

const EMBED = 'DataPreprocessor._embed';

/** Makes the rows of texts that are not cached. */
export class TextEmbedder {
  /** Rows of the chunks in work: the cache may be too small to hold them. */
  readonly #ahead = new Set<ReadonlyMap<string, Float32Array>>();
  #ngramEmbedder: NgramEmbedder | undefined;

  /**
   * The row of one text.
   *
   * @throws Error when only `process` can run the embedder, and it has not done so for this text.
   */
  embed(text: string, config: DataPreprocessorConfig): Float32Array {
    return this.#embeddedAhead(text) ?? this.#embedNow(text, config);
  }

  /** Runs some work, during which `embed` knows the given rows. */
  async withRows<Result>(rows: ReadonlyMap<string, Float32Array>, work: () => Promise<Result>): Promise<Result> {
    this.#ahead.add(rows);
    try {
      return await work();
    } finally {
      this.#ahead.delete(rows);
    }
  }

  #embeddedAhead(text: string): Float32Array | undefined {
    for (const rows of this.#ahead) {
      const row = rows.get(text);
      if (row !== undefined) return row;
    }
    return undefined;
  }

  #embedNow(text: string, config: DataPreprocessorConfig): Float32Array {
    const { embedder, embeddingDim } = config;
    if (embedder === 'ngram') return this.#ngrams(embeddingDim!).embed([text])[0]!;
    if (typeof embedder === 'string') return hashEmbedding(text, embeddingDim!, Boolean(config.normalizeEmbeddings));
    if (typeof embedder === 'object') return embedOne(embedder, text, config);
    throw notEmbedded(text);
  }

  #ngrams(dim: number): NgramEmbedder {
    if (this.#ngramEmbedder?.dim !== dim) this.#ngramEmbedder = new NgramEmbedder({ dim });
    return this.#ngramEmbedder!;
  }
}

/** The rows of all texts of a chunk. Cached rows are used; the caller's embedder makes the others, in batches. */
export async function embedAhead(
  embedder: Embedder,
  texts: ReadonlySet<string>,
  cache: Map<string, Float32Array>,
  config: DataPreprocessorConfig,
  caller: Caller,
): Promise<Map<string, Float32Array>> {
  const { call, pace } = caller;
  const embedded = new Map<string, Float32Array>();
  const embed = async (missing: readonly string[]): Promise<void> => {
    for (let start = 0; start < missing.length; start += config.embedBatchSize) {
      const batch = missing.slice(start, start + config.embedBatchSize);
      // The embedder gets a copy, as it may keep or change the array.
      const returned = await pace.untilAborted(embedder([...batch]));
      const rows = checkedRows(call, returned, batch, config.embeddingDim ?? caller.rowLength);
      caller.rowLength = rows[0]!.length;
      for (const [i, row] of rows.entries()) {
        embedded.set(batch[i]!, config.normalizeEmbeddings ? toUnitLength(row) : row);
      }
      if (pace.isDue()) await pace.pause();
    }
  };
  const missing: string[] = [];
  for (const text of texts) {
    // A cached row is noted, as it may have left the cache by the time it is needed.
    const cached = cache.get(text);
    if (cached) embedded.set(text, cached);
    else missing.push(text);
  }
  // Until a length is settled, the cached rows may be of a failed call and have another length. One text embedded anew
  // tells the length.
  const isSettled = (config.embeddingDim ?? caller.rowLength) !== undefined;
  const [probe] = texts;
  if (!isSettled && missing.length === 0 && probe !== undefined) {
    cache.delete(probe);
    missing.push(probe);
  }
  await embed(missing);
  const dim = config.embeddingDim ?? caller.rowLength;
  const stale = [...texts].filter(text => embedded.get(text)!.length !== dim);
  for (const text of stale) cache.delete(text);
  await embed(stale);
  return embedded;
}

/** The row of one text from an embedder whose method returns rows, not a promise of them. */
function embedOne(embedder: EmbedderObject, text: string, config: DataPreprocessorConfig): Float32Row {
  const returned = embedder.embed([text]);
  if (typeof (returned as PromiseLike<unknown> | undefined)?.then === 'function') {
    // Nobody waits for the promise.
    Promise.resolve(returned).catch(() => {});
    throw notEmbedded(text);
  }
  const [row] = checkedRows(EMBED, returned, [text], config.embeddingDim);
  return config.normalizeEmbeddings ? toUnitLength(row!) : row!;
}

function notEmbedded(text: string): Error {
  return new Error(`${EMBED}: ${describe(text)} is not embedded yet; the embedder runs in process()`);
}

/** Copies of the rows in float32. A number above the largest float32 is not finite there, and is refused. */
function checkedRows(call: string, rows: unknown, texts: readonly string[], dim: number | undefined): Float32Row[] {
  const embedder = `${call}: embedder`;
  checkArray(embedder, 'its result', rows);
  if (rows.length !== texts.length)
    throw new RangeError(`${embedder} returned ${inWords(rows.length, 'row')} for ${inWords(texts.length, 'text')}`);
  let expected = dim;
  // `map` would skip the holes of a sparse array.
  return Array.from(rows, (row, i) => {
    const name = `row ${i} (${describe(texts[i])})`;
    checkVector(embedder, name, row);
    const copy = new Float32Array(row);
    checkFinite(embedder, name, copy);
    expected ??= row.length;
    if (row.length !== expected)
      throw new RangeError(`${embedder}: ${name} has ${inWords(row.length, 'entry')}, expected ${expected}`);
    return copy;
  });
}

/** Scales a row to unit length in place. A zero row stays as it is. */
function toUnitLength(row: Float32Row): Float32Row {
  let squares = 0;
  for (let i = 0; i < row.length; i++) squares += row[i]! * row[i]!;
  const norm = Math.sqrt(squares) || 1;
  for (let i = 0; i < row.length; i++) row[i]! /= norm;
  return row;
}
