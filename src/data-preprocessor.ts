import { insertFiller, replaceSynonym, varyCase } from './data-preprocessor/augmentation.js';
import { embedAhead, embedOne, notEmbedded } from './data-preprocessor/embed-ahead.js';
import { EmbeddingCache } from './data-preprocessor/embedding-cache.js';
import type { DataPreprocessorEvents, PreprocessorStats } from './data-preprocessor/events.js';
import { hashEmbedding } from './data-preprocessor/hash-embedding.js';
import {
  callersEmbedder,
  checkConfig,
  checkTokens,
  type DataPreprocessorConfig,
  type DataPreprocessorOptions,
  type ExampleSource,
  type ProcessOptions,
} from './data-preprocessor/options.js';
import { type DataPreprocessorState, parseState, statefulEmbedder } from './data-preprocessor/preprocessor-state.js';
import { Run } from './data-preprocessor/run.js';
import { checkExample, chunksOf, lengthOf, textsOf } from './data-preprocessor/source.js';
import { WordTokenizer } from './data-preprocessor/word-tokenizer.js';
import { withDefaults } from './internal/options.js';
import type { Pace } from './internal/pace.js';
import { mathRandom, type Random, type SeededRandom, seededRandomFor } from './internal/random.js';
import { TypedEmitter } from './internal/typed-emitter.js';
import { checkIterable, checkSeed } from './internal/validate.js';
import { NgramEmbedder } from './text/ngram-embedder.js';
import type { ProcessedExample, Stateful, TrainingExample } from './types.js';

/** Examples are handled in chunks of this many: what `stream` reads ahead. */
const CHUNK = 128;
/** Characters from which on an example takes so long that the clock is looked at after each. */
const LONG_TEXT = 1000;

/**
 * Turns raw (input, output) pairs into examples with tokens and embeddings.
 *
 * The defaults are the original's. They suit tests and the comparison with it, not search: the embedder `'hash'` gives
 * similar texts unrelated rows, so that training on them does not carry over to new texts. For search pass a fitted
 * `NgramEmbedder`, or a sentence model, as `embedder`. The tokens are numbers of words of this preprocessor, which losses
 * do not read and no model knows.
 *
 * Subclasses may override `_embed`, `_tokenize`, `_augmentExample` and `_processExample`.
 *
 * @example
 * ```js
 * import { DataPreprocessor, NgramEmbedder } from 'microlora-training-utils';
 *
 * const pairs = [{ input: 'Hello', output: 'World' }];
 * const embedder = await new NgramEmbedder().fit(pairs.flatMap(({ input, output }) => [input, output]));
 * const [example] = await new DataPreprocessor({ embedder }).process(pairs);
 * console.log(example.inputEmb.length, example.inputTokens); // 1024 [ 0, 32 ]
 * ```
 */
export class DataPreprocessor extends TypedEmitter<DataPreprocessorEvents> implements Stateful<DataPreprocessorState> {
  /** The configuration in force. */
  config: DataPreprocessorConfig;
  /** Word → token. Stops growing at 50,000 words; later words become character tokens. */
  vocab: Map<string, number>;
  /** Number of words in `vocab`. */
  vocabSize = 0;
  /** Text → embedding. */
  embeddingCache: Map<string, Float32Array>;
  /** Running counts. */
  stats: PreprocessorStats = { processed: 0, filtered: 0, augmented: 0, cacheHits: 0 };

  /** The generator of augmentation, where there is a seed. */
  readonly #seeded: SeededRandom | undefined;
  readonly #random: Random;
  readonly #words = new WordTokenizer();
  #ngramEmbedder: NgramEmbedder | undefined;
  /** What the caller's embedder returned for the chunks at hand: the cache may be too small to hold it. */
  readonly #embedded = new Set<ReadonlyMap<string, Float32Array>>();

  /**
   * @throws TypeError or RangeError that names the option and the value.
   */
  constructor(config: DataPreprocessorOptions = {}) {
    super();
    const isOwn = typeof (config?.embedder ?? 'hash') === 'string';
    this.config = withDefaults(
      'DataPreprocessor',
      {
        maxLength: 512,
        embeddingDim: isOwn ? 384 : undefined,
        augmentation: false,
        augmentationFactor: 2,
        qualityThreshold: 0,
        normalizeEmbeddings: isOwn,
        embedder: 'hash' as const,
        embedBatchSize: 64,
        deduplicate: false,
        cacheBytes: 256 * 2 ** 20,
      },
      config,
    );
    checkConfig(this.config);
    if (this.config.deduplicate) this.stats.duplicates = 0;
    this.vocab = this.#words.vocabulary;
    this.embeddingCache = new EmbeddingCache(this.config.cacheBytes);
    this.#seeded = seededRandomFor(checkSeed('DataPreprocessor', this.config.seed));
    this.#random = this.#seeded?.draw ?? mathRandom;
  }

  /**
   * Processes examples in order; each is followed by its variations where `augmentation` is on.
   *
   * An array is checked whole before anything changes. Examples of another iterable are checked as they come, so those
   * before a bad one may already be counted. Whatever ends the call early, the source is closed (`return()`) and the
   * preprocessor works on. A signal that is aborted already leaves the source untouched. Other work of the thread gets
   * its turn about every 10 ms, between examples. Two calls at the same time share vocabulary and draws, so that only
   * one after the other gives the same tokens and variations again.
   *
   * @param examples An array or any other (async) iterable of `{ input, output, quality?, negatives?, metadata? }`.
   * @returns Their rows, with `negativeEmbs` where there are `negatives`. Equal texts share one embedding, which is the
   *   cache's: copy it before writing to it.
   * @throws TypeError or RangeError that names the index of the example, the field and the value; the signal's reason;
   *   whatever the source, the embedder or the tokenizer throws.
   */
  async process(examples: ExampleSource, options: ProcessOptions = {}): Promise<ProcessedExample[]> {
    const run = new Run('process', examples, options, this.config);
    const processed: ProcessedExample[] = [];
    for await (const rows of this.#chunks(examples, run)) for (const row of rows) processed.push(row);
    if (processed.length > 0) run.settleRowLength(this.config);
    this.emit('process:complete', { total: processed.length, stats: this.stats });
    return processed;
  }

  /**
   * The rows of {@link process} one by one, in memory that does not grow with their number. At most one chunk is read
   * ahead: 128 examples; with an embedder of the caller's `2 · embedBatchSize`, which is four of its batches.
   *
   * @returns An async generator. A loop that is left early closes the source; the rest of the chunk has been counted.
   * @throws TypeError at the call for a wrong argument; while reading, what {@link process} throws.
   *
   * @example
   * ```js
   * import { DataPreprocessor } from 'microlora-training-utils';
   *
   * const source = new Set([{ input: 'Hello', output: 'World' }, { input: 'Bye', output: 'World' }]);
   * for await (const { input } of new DataPreprocessor().stream(source)) console.log(input);
   * ```
   */
  stream(examples: ExampleSource, options: ProcessOptions = {}): AsyncGenerator<ProcessedExample, void, undefined> {
    return this.#rows(examples, new Run('stream', examples, options, this.config));
  }

  async *#rows(examples: ExampleSource, run: Run): AsyncGenerator<ProcessedExample, void, undefined> {
    let total = 0;
    for await (const rows of this.#chunks(examples, run)) {
      if (rows.length > 0) run.settleRowLength(this.config);
      for (const row of rows) {
        run.pace.throwIfAborted();
        total++;
        yield row;
      }
    }
    this.emit('process:complete', { total, stats: this.stats });
  }

  async *#chunks(examples: ExampleSource, run: Run): AsyncGenerator<ProcessedExample[], void, undefined> {
    const { call, pace } = run;
    const size = callersEmbedder(this.config.embedder) ? 2 * this.config.embedBatchSize : CHUNK;
    const total = lengthOf(examples);
    let read = 0;
    let produced = 0;
    pace.throwIfAborted();
    for await (const chunk of chunksOf(call, examples, size, pace)) {
      const rows = await this.#processChunk(chunk, run);
      read += chunk.length;
      produced += rows.length;
      run.onProgress?.({ read, produced, total });
      this.emit('process:progress', { read, produced, total });
      pace.throwIfAborted();
      yield rows;
    }
  }

  async #processChunk(chunk: readonly TrainingExample[], run: Run): Promise<ProcessedExample[]> {
    const { seen } = run;
    const good = chunk.filter(example => qualityOf(example) >= this.config.qualityThreshold);
    const kept = seen ? good.filter(example => seen.add(example)) : good;
    const embedder = callersEmbedder(this.config.embedder);
    let variations: TrainingExample[][] | undefined;
    let embedded: ReadonlyMap<string, Float32Array> = new Map();
    if (embedder) {
      // It wants its texts in batches, so all variations are made first.
      variations = [];
      for (const example of kept) {
        variations.push(this.config.augmentation ? await this.#variationsOf(example, run.pace) : []);
      }
      const texts = new Set([...kept, ...variations.flat()].flatMap(textsOf));
      embedded = await embedAhead(embedder, texts, this.embeddingCache, this.config, run);
    }
    this.stats.filtered += chunk.length - good.length;
    if (seen) this.stats.duplicates = (this.stats.duplicates ?? 0) + good.length - kept.length;
    this.#embedded.add(embedded);
    try {
      return await this.#finishChunk(kept, run, variations);
    } finally {
      this.#embedded.delete(embedded);
    }
  }

  /**
   * Without ready-made variations each example is finished before its own are drawn, as in the original: an overridden
   * `_embed` may draw too.
   */
  async #finishChunk(
    kept: readonly TrainingExample[],
    { pace }: Run,
    variations?: readonly TrainingExample[][],
  ): Promise<ProcessedExample[]> {
    const processed: ProcessedExample[] = [];
    const isOverridden = this._processExample !== processExample;
    const add = (result: ProcessedExample | null, count: 'processed' | 'augmented'): void => {
      if (!result) return;
      processed.push(result);
      this.stats[count]++;
    };
    const finish = (example: TrainingExample): PromiseLike<ProcessedExample | null> | ProcessedExample | null =>
      pace.untilAborted(this._processExample(example));
    for (let i = 0; i < kept.length; i++) {
      const example = kept[i]!;
      // An await where none is needed would take as long as a cached example.
      add(isOverridden ? await finish(example) : this.#processNow(example), 'processed');
      if (this.config.augmentation) {
        for (const variation of variations?.[i] ?? (await this.#variationsOf(example, pace))) {
          add(isOverridden ? await finish(variation) : this.#processNow(variation), 'augmented');
        }
      }
      // A look at the clock takes 40 ns, a cached example of ordinary length 1 µs.
      const isLookedAt = i % 4 === 3 || example.input.length + example.output.length > LONG_TEXT;
      if (isLookedAt && pace.isDue()) await pace.pause();
    }
    return processed;
  }

  /** What `_augmentExample` gives, checked, as an override may have made it. */
  async #variationsOf(example: TrainingExample, pace: Pace): Promise<TrainingExample[]> {
    const call = '_augmentExample';
    const variations: unknown = await pace.untilAborted(this._augmentExample(example));
    checkIterable(call, 'the result', variations);
    return Array.from(variations as Iterable<TrainingExample>, variation => {
      checkExample(call, variation);
      return variation;
    });
  }

  /**
   * Tokens and embeddings of one example. An override may return null to leave the example out. With the caller's
   * embedder it must keep the texts, as only those have been embedded.
   */
  async _processExample(example: TrainingExample): Promise<ProcessedExample | null> {
    return this.#processNow(example);
  }

  #processNow(example: TrainingExample): ProcessedExample {
    // Checked when it was read, but an embedder or an override may have been waited for since.
    checkExample('_processExample', example);
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
      ...(example.negatives && this.#embedNegatives(example.negatives)),
    };
  }

  #embedNegatives(negatives: readonly string[]): Pick<ProcessedExample, 'negatives' | 'negativeEmbs'> {
    return { negatives, negativeEmbs: negatives.map(text => this._embed(text)) };
  }

  #truncate(tokens: number[]): number[] {
    return tokens.length > this.config.maxLength ? tokens.slice(0, this.config.maxLength) : tokens;
  }

  /**
   * Word tokens, each followed by the space token 32, the last one too; unknown words join the vocabulary while it has
   * room and are spelled in character codes after that.
   */
  _tokenize(text: string): number[] {
    const { tokenizer } = this.config;
    if (tokenizer) return checkTokens(text, tokenizer(text));
    return this.#words.tokenize(text, this, this.embeddingCache.has(text));
  }

  /**
   * Embedding of one text, from the cache where it is known. The row is the cached one: copy it before writing to it.
   *
   * @throws Error when the embedder is a function, or an object whose `embed` returns a promise, and the text has not
   *   been processed.
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
    if (embedder === 'ngram') return this.#ngrams(embeddingDim!).embed([text])[0]!;
    if (typeof embedder === 'string') {
      return hashEmbedding(text, embeddingDim!, Boolean(this.config.normalizeEmbeddings));
    }
    if (typeof embedder === 'object') return embedOne(embedder, text, this.config);
    throw notEmbedded(text);
  }

  #ngrams(dim: number): NgramEmbedder {
    if (this.#ngramEmbedder?.dim !== dim) this.#ngramEmbedder = new NgramEmbedder({ dim });
    return this.#ngramEmbedder!;
  }

  /** Up to `augmentationFactor - 1` variations of one example, of slightly lower quality, with its metadata. */
  async _augmentExample(example: TrainingExample): Promise<TrainingExample[]> {
    const { output, negatives, metadata } = example;
    const quality = qualityOf(example);
    const variations: TrainingExample[] = [];
    const rest = { ...(negatives && { negatives }), ...(metadata !== undefined && { metadata }) };
    const add = (input: string, factor: number): void => {
      variations.push({ input, output, quality: quality * factor, ...rest });
    };
    if (this.#random() < 0.5) add(this._synonymReplace(example.input), 0.9);
    if (this.#random() < 0.3) add(this._randomInsert(example.input), 0.85);
    if (this.#random() < 0.3) add(this._caseVariation(example.input), 0.95);
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

  /**
   * What a later run needs to make the same tokens, embeddings and variations: vocabulary, the generator of augmentation
   * where there is a `seed`, the counts, and the state of an embedder that has one, as an `NgramEmbedder` does. Take it
   * between two calls of `process`; in the middle of a `stream` it already counts the examples read ahead. The cache is
   * no part of it.
   */
  stateDict(): DataPreprocessorState {
    const { vocab, vocabSize, config, stats } = this;
    return {
      words: [...vocab.keys()],
      tokens: [...vocab.values()],
      vocabSize,
      random: this.#seeded?.state() ?? null,
      embeddingDim: config.embeddingDim ?? null,
      embedder: statefulEmbedder(config.embedder)?.stateDict() ?? null,
      stats: { ...stats },
    };
  }

  /**
   * Goes on where the state was taken. The embedder, where it has a state, takes over its own in place; the cache is then
   * emptied.
   *
   * @param state What {@link stateDict} returned, also after a round trip through JSON, of a preprocessor made with the
   *   same options.
   * @throws TypeError or RangeError, with nothing changed, for what `stateDict` cannot have given, another
   *   `embeddingDim`, a state with a seed or an embedder's state where this one has none or the other way round, and
   *   when the embedder refuses its state.
   */
  loadStateDict(state: DataPreprocessorState): void {
    const parsed = parseState(state, this.config, this.#seeded !== undefined);
    const embedder = statefulEmbedder(this.config.embedder);
    embedder?.loadStateDict(parsed.embedder);
    if (embedder) this.embeddingCache.clear();
    this.vocab.clear();
    parsed.words.forEach((word, i) => {
      this.vocab.set(word, parsed.tokens[i]!);
    });
    this.vocabSize = parsed.vocabSize;
    if (parsed.random) this.#seeded!.restore(parsed.random);
    if (callersEmbedder(this.config.embedder)) this.config.embeddingDim = parsed.embeddingDim ?? undefined;
    this.stats = parsed.stats;
  }
}

/** The method itself, so that a patched prototype is an override too. */
const { _processExample: processExample } = DataPreprocessor.prototype;

function qualityOf(example: TrainingExample): number {
  return example.quality ?? 1;
}
