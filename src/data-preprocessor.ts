import { insertFiller, replaceSynonym, varyCase } from './data-preprocessor/augmentation.js';
import { EmbeddingCache } from './data-preprocessor/embedding-cache.js';
import { hashEmbedding } from './data-preprocessor/hash-embedding.js';
import { ngramEmbedding } from './data-preprocessor/ngram-embedding.js';
import { TokenCache } from './data-preprocessor/token-cache.js';
import { withDefaults } from './internal/options.js';
import { type Random, randomFor } from './internal/random.js';
import { TypedEmitter } from './internal/typed-emitter.js';
import {
  checkArray,
  checkCount,
  checkFinite,
  checkNumber,
  checkObject,
  checkOneOf,
  checkSeed,
  checkVector,
  describe,
  wrongType,
} from './internal/validate.js';
import type { ProcessedExample, TrainingExample, Vector } from './types.js';

/** Turns distinct texts into rows of equal length, one a text, in order. */
export type Embedder = (texts: string[]) => readonly Vector[] | Promise<readonly Vector[]>;

export interface DataPreprocessorOptions {
  /** Most tokens kept of a text. Default 512. */
  maxLength?: number;
  /** Length of the embeddings. Default 384; with an embedder function, whatever it returns. */
  embeddingDim?: number;
  /** Whether to add variations of each example. Default false. */
  augmentation?: boolean;
  /** At most `augmentationFactor - 1` variations an example. Default 2. */
  augmentationFactor?: number;
  /** Examples of lower quality are left out. Default 0. */
  qualityThreshold?: number;
  /** Whether embeddings get unit length. Default true; with an embedder function false: its rows are kept as they are. */
  normalizeEmbeddings?: boolean;
  /**
   * `'hash'`, the original's and the default, tells texts apart and no more. `'ngram'` gives similar texts similar rows
   * without a model: signed hashing of words and character 3- to 5-grams; a text without letters or digits is the zero
   * row. A function is called with up to `embedBatchSize` distinct texts that are not cached.
   */
  embedder?: 'hash' | 'ngram' | Embedder;
  /** Most texts in one call of an embedder function. Default 64. */
  embedBatchSize?: number;
  /** Most bytes the embedding cache holds; the least recently used leave. Default 256 MiB. */
  cacheBytes?: number;
  /** Seed (uint32) of a private generator for augmentation. Default: `Math.random`. */
  seed?: number;
}

/** The configuration with its defaults filled in. */
export type DataPreprocessorConfig = Required<Omit<DataPreprocessorOptions, 'seed' | 'embeddingDim'>> &
  Pick<DataPreprocessorOptions, 'seed'> & {
    /** Undefined until an embedder function without a given `embeddingDim` has returned its first row. */
    embeddingDim: number | undefined;
  };

/** Running counts over all calls. */
export interface PreprocessorStats {
  /** Examples taken. */
  processed: number;
  /** Examples left out for their quality. */
  filtered: number;
  /** Variations added. */
  augmented: number;
  /** Embeddings that came from the cache. */
  cacheHits: number;
}

export type DataPreprocessorEvents = {
  /** After each `process`: how many rows it returned, and the running counts. */
  'process:complete': [{ total: number; stats: PreprocessorStats }];
};

const MAX_VOCABULARY = 50_000;
const SPACE_TOKEN = 32;
/** Examples are handled in chunks of this many, so that an embedder function gets full batches. */
const CHUNK = 256;

/**
 * Turns raw (input, output) pairs into examples with tokens and embeddings.
 *
 * Subclasses may override `_embed`, `_tokenize`, `_augmentExample` and `_processExample`.
 *
 * @example
 * ```js
 * import { DataPreprocessor } from 'microlora-training-utils';
 *
 * const preprocessor = new DataPreprocessor({ embedder: 'ngram' });
 * const [example] = await preprocessor.process([{ input: 'Hello', output: 'World' }]);
 * console.log(example.inputEmb.length, example.inputTokens); // 384 [ 0, 32 ]
 * ```
 */
export class DataPreprocessor extends TypedEmitter<DataPreprocessorEvents> {
  /** The configuration in force. */
  config: DataPreprocessorConfig;
  /** Word → token. Stops growing at 50,000 words; later words become character tokens. */
  vocab = new Map<string, number>();
  /** Number of words in `vocab`. */
  vocabSize = 0;
  /** Text → embedding. */
  embeddingCache: Map<string, Float32Array>;
  /** Running counts. */
  stats: PreprocessorStats = { processed: 0, filtered: 0, augmented: 0, cacheHits: 0 };

  readonly #random: Random;
  readonly #tokenCache = new TokenCache();
  /** What an embedder function returned for the chunks at hand: the cache may be too small to hold it. */
  readonly #embedded = new Set<ReadonlyMap<string, Float32Array>>();

  /**
   * @throws TypeError or RangeError that names the option and the value.
   */
  constructor(config: DataPreprocessorOptions = {}) {
    super();
    const isFunction = typeof config?.embedder === 'function';
    this.config = withDefaults(
      'DataPreprocessor',
      {
        maxLength: 512,
        embeddingDim: isFunction ? undefined : 384,
        augmentation: false,
        augmentationFactor: 2,
        qualityThreshold: 0,
        normalizeEmbeddings: !isFunction,
        embedder: 'hash' as const,
        embedBatchSize: 64,
        cacheBytes: 256 * 2 ** 20,
      },
      config,
    );
    checkConfig(this.config);
    this.embeddingCache = new EmbeddingCache(this.config.cacheBytes);
    this.#random = randomFor(checkSeed('DataPreprocessor', this.config.seed));
  }

  /**
   * Processes examples in order; each is followed by its variations where `augmentation` is on.
   *
   * An array is checked whole before anything changes. Examples of another iterable are checked as they come, so those
   * before a bad one may already be counted.
   *
   * @param examples An array or any other (async) iterable of `{ input, output, quality?, metadata? }`.
   * @throws TypeError or RangeError that names the index of the example, the field and the value; whatever the source or
   *   the embedder throws.
   */
  async process(examples: Iterable<TrainingExample> | AsyncIterable<TrainingExample>): Promise<ProcessedExample[]> {
    checkSource(examples);
    if (Array.isArray(examples)) examples.forEach(checkExample);
    const processed: ProcessedExample[] = [];
    for await (const chunk of chunksOf(examples)) {
      for (const example of await this.#processChunk(chunk)) processed.push(example);
    }
    this.emit('process:complete', { total: processed.length, stats: this.stats });
    return processed;
  }

  async #processChunk(chunk: readonly TrainingExample[]): Promise<ProcessedExample[]> {
    const kept = chunk.filter(example => qualityOf(example) >= this.config.qualityThreshold);
    const { embedder } = this.config;
    if (typeof embedder !== 'function') return this.#finishChunk(chunk, kept);

    // A function wants its texts in batches, so all variations are made first.
    const variations: TrainingExample[][] = [];
    for (const example of kept) variations.push(this.config.augmentation ? await this._augmentExample(example) : []);
    const embedded = await this.#embedAll(embedder, [...kept, ...variations.flat()]);
    this.#embedded.add(embedded);
    try {
      return await this.#finishChunk(chunk, kept, variations);
    } finally {
      this.#embedded.delete(embedded);
    }
  }

  /**
   * Without ready-made variations each example is finished before its own are drawn, as in the original: an overridden
   * `_embed` may draw too.
   */
  async #finishChunk(
    chunk: readonly TrainingExample[],
    kept: readonly TrainingExample[],
    variations?: readonly TrainingExample[][],
  ): Promise<ProcessedExample[]> {
    const processed: ProcessedExample[] = [];
    const isOverridden = this._processExample !== DataPreprocessor.prototype._processExample;
    const add = (result: ProcessedExample | null, count: 'processed' | 'augmented'): void => {
      if (!result) return;
      processed.push(result);
      this.stats[count]++;
    };
    this.stats.filtered += chunk.length - kept.length;
    for (let i = 0; i < kept.length; i++) {
      const example = kept[i]!;
      // An await where none is needed would take as long as a cached example.
      add(isOverridden ? await this._processExample(example) : this.#processNow(example), 'processed');
      if (!this.config.augmentation) continue;
      for (const variation of variations?.[i] ?? (await this._augmentExample(example))) {
        add(isOverridden ? await this._processExample(variation) : this.#processNow(variation), 'augmented');
      }
    }
    return processed;
  }

  /** The rows of all texts of the examples: cached ones, and the embedder's for the others. */
  async #embedAll(embedder: Embedder, examples: readonly TrainingExample[]): Promise<Map<string, Float32Array>> {
    const texts = new Set(examples.flatMap(({ input, output }) => [input, output]));
    const embedded = new Map<string, Float32Array>();
    const missing: string[] = [];
    for (const text of texts) {
      // What is cached now may have left by the time it is needed.
      const cached = this.embeddingCache.get(text);
      if (cached) embedded.set(text, cached);
      else missing.push(text);
    }
    const { embedBatchSize } = this.config;
    for (let start = 0; start < missing.length; start += embedBatchSize) {
      const batch = missing.slice(start, start + embedBatchSize);
      const rows = checkEmbeddings(await embedder([...batch]), batch, this.config.embeddingDim);
      this.config.embeddingDim = rows[0]!.length;
      for (const [i, row] of rows.entries()) embedded.set(batch[i]!, this.#normalized(Float32Array.from(row)));
    }
    return embedded;
  }

  /**
   * Tokens and embeddings of one example. An override may return null to leave the example out. With an embedder function
   * it must keep the texts, as only those have been embedded.
   */
  async _processExample(example: TrainingExample): Promise<ProcessedExample | null> {
    return this.#processNow(example);
  }

  #processNow(example: TrainingExample): ProcessedExample {
    const inputTokens = this.#truncate(this._tokenize(example.input));
    const outputTokens = this.#truncate(this._tokenize(example.output));
    const inputEmb = this._embed(example.input);
    const outputEmb = this._embed(example.output);
    return {
      input: example.input,
      output: example.output,
      inputEmb,
      outputEmb,
      quality: qualityOf(example),
      inputTokens,
      outputTokens,
      metadata: example.metadata,
    };
  }

  #truncate(tokens: number[]): number[] {
    return tokens.length > this.config.maxLength ? tokens.slice(0, this.config.maxLength) : tokens;
  }

  /**
   * Word tokens, each followed by the space token 32, the last one too; unknown words join the vocabulary while it has
   * room and are spelled in character codes after that.
   */
  _tokenize(text: string): number[] {
    const known = this.#tokenCache.get(text, this.vocab);
    if (known) return known;
    const tokens = this.#spell(text);
    this.#tokenCache.set(text, tokens);
    return tokens;
  }

  #spell(text: string): number[] {
    const words = text.split(/\s+/);
    // As many as there will be unless words are spelled: growing takes longer than the rest.
    const tokens = new Array<number>(2 * words.length);
    let count = 0;
    for (let i = 0; i < words.length; i++) {
      const word = words[i]!;
      const known = this.vocab.get(word);
      if (known !== undefined) {
        tokens[count++] = known;
      } else if (this.vocabSize < MAX_VOCABULARY) {
        this.vocab.set(word, this.vocabSize);
        tokens[count++] = this.vocabSize++;
      } else {
        for (const character of word) tokens[count++] = character.charCodeAt(0) % 256;
      }
      tokens[count++] = SPACE_TOKEN;
    }
    tokens.length = count;
    return tokens;
  }

  /**
   * Embedding of one text, from the cache where it is known. The row is the cached one: copy it before writing to it.
   *
   * @throws Error when the embedder is a function and the text has not been processed: a function may be asynchronous.
   */
  _embed(text: string): Float32Array {
    const cached = this.embeddingCache.get(text);
    if (cached !== undefined) {
      this.stats.cacheHits++;
      return cached;
    }
    const embedding = this.#embeddedAhead(text) ?? this.#embedNow(text);
    this.embeddingCache.set(text, embedding);
    return embedding;
  }

  #embeddedAhead(text: string): Float32Array | undefined {
    for (const embedded of this.#embedded) {
      const row = embedded.get(text);
      if (row !== undefined) return row;
    }
    return undefined;
  }

  #embedNow(text: string): Float32Array {
    const { embedder, embeddingDim } = this.config;
    if (typeof embedder === 'function') {
      throw new Error(`_embed: ${describe(text)} is not embedded yet; an embedder function runs in process()`);
    }
    if (embedder === 'ngram') return this.#normalized(ngramEmbedding(text, embeddingDim!));
    return hashEmbedding(text, embeddingDim!, Boolean(this.config.normalizeEmbeddings));
  }

  /** The row scaled to unit length in place where the configuration asks for it; a zero row stays. */
  #normalized(row: Float32Array): Float32Array {
    if (!this.config.normalizeEmbeddings) return row;
    let squares = 0;
    for (let i = 0; i < row.length; i++) squares += row[i]! * row[i]!;
    const norm = Math.sqrt(squares) || 1;
    for (let i = 0; i < row.length; i++) row[i]! /= norm;
    return row;
  }

  /** Up to `augmentationFactor - 1` variations of one example, of slightly lower quality. */
  async _augmentExample(example: TrainingExample): Promise<TrainingExample[]> {
    const { output } = example;
    const quality = qualityOf(example);
    const variations: TrainingExample[] = [];
    if (this.#random() < 0.5)
      variations.push({ input: this._synonymReplace(example.input), output, quality: quality * 0.9 });
    if (this.#random() < 0.3)
      variations.push({ input: this._randomInsert(example.input), output, quality: quality * 0.85 });
    if (this.#random() < 0.3)
      variations.push({ input: this._caseVariation(example.input), output, quality: quality * 0.95 });
    return variations.slice(0, this.config.augmentationFactor - 1);
  }

  /** Replaces the first known word by a synonym. */
  _synonymReplace(text: string): string {
    return replaceSynonym(text, this.#random);
  }

  /** Inserts a filler word. */
  _randomInsert(text: string): string {
    return insertFiller(text, this.#random);
  }

  /** Changes upper and lower case. */
  _caseVariation(text: string): string {
    return varyCase(text, this.#random);
  }

  /** Forgets all cached embeddings and their hit count. */
  clearCache(): void {
    this.embeddingCache.clear();
    this.stats.cacheHits = 0;
  }

  /** The running counts with the sizes of vocabulary and cache. */
  getStats(): PreprocessorStats & { vocabSize: number; cacheSize: number } {
    return { ...this.stats, vocabSize: this.vocabSize, cacheSize: this.embeddingCache.size };
  }
}

function checkConfig(config: DataPreprocessorConfig): void {
  const call = 'DataPreprocessor';
  checkNumber(call, 'maxLength', config.maxLength, { integer: true, min: 0, infinity: true });
  if (config.embeddingDim !== undefined) checkCount(call, 'embeddingDim', config.embeddingDim);
  checkCount(call, 'augmentationFactor', config.augmentationFactor);
  checkNumber(call, 'qualityThreshold', config.qualityThreshold);
  if (typeof config.embedder !== 'function') checkOneOf(call, 'embedder', config.embedder, ['hash', 'ngram']);
  checkCount(call, 'embedBatchSize', config.embedBatchSize);
  checkNumber(call, 'cacheBytes', config.cacheBytes, { min: 0, infinity: true });
}

function checkSource(examples: unknown): void {
  const isIterable =
    typeof examples === 'object' &&
    examples !== null &&
    (Symbol.iterator in examples || Symbol.asyncIterator in examples);
  if (!isIterable) throw wrongType('process', 'examples', 'an array or an (async) iterable', examples);
}

function checkExample(example: unknown, index: number): void {
  const name = `examples[${index}]`;
  checkObject('process', name, example);
  for (const field of ['input', 'output']) {
    if (typeof example[field] !== 'string') throw wrongType('process', `${name}.${field}`, 'a string', example[field]);
  }
  if (example['quality'] !== undefined && example['quality'] !== null) {
    checkNumber('process', `${name}.quality`, example['quality']);
  }
}

function qualityOf(example: TrainingExample): number {
  return example.quality ?? 1;
}

function checkEmbeddings(rows: unknown, texts: readonly string[], dim: number | undefined): Vector[] {
  const call = 'process: embedder';
  checkArray(call, 'its result', rows);
  if (rows.length !== texts.length)
    throw new RangeError(`${call} returned ${rows.length} rows for ${texts.length} texts`);
  return rows.map((row, i) => {
    const name = `row ${i} (${describe(texts[i])})`;
    checkVector(call, name, row);
    // As float32, which larger numbers do not survive.
    checkFinite(call, name, Float32Array.from(row));
    const expected = dim ?? (rows[0] as Vector).length;
    if (row.length !== expected)
      throw new RangeError(`${call}: ${name} has ${row.length} entries, expected ${expected}`);
    return row;
  });
}

/** Groups a source into arrays. An array was checked before; the examples of other sources are checked here. */
async function* chunksOf(
  examples: Iterable<TrainingExample> | AsyncIterable<TrainingExample>,
): AsyncGenerator<TrainingExample[]> {
  if (Array.isArray(examples)) {
    for (let start = 0; start < examples.length; start += CHUNK) yield examples.slice(start, start + CHUNK);
    return;
  }
  let chunk: TrainingExample[] = [];
  let index = 0;
  for await (const example of examples) {
    checkExample(example, index++);
    if (chunk.push(example) === CHUNK) {
      yield chunk;
      chunk = [];
    }
  }
  if (chunk.length > 0) yield chunk;
}
