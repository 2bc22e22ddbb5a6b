import { insertFiller, replaceSynonym, varyCase } from './data-preprocessor/augmentation.js';
import { EmbeddingCache } from './data-preprocessor/embedding-cache.js';
import {
  callersEmbedder,
  checkConfig,
  checkTokens,
  type DataPreprocessorConfig,
  type DataPreprocessorOptions,
  type ExampleSource,
  type ProcessOptions,
  type ProcessProgress,
} from './data-preprocessor/options.js';
import {
  type DataPreprocessorState,
  type PreprocessorStats,
  parseState,
  statefulEmbedder,
} from './data-preprocessor/preprocessor-state.js';
import { Run } from './data-preprocessor/run.js';
import { checkExample, qualityOf } from './data-preprocessor/source.js';
import { TextEmbedder } from './data-preprocessor/text-embedder.js';
import { WordTokenizer } from './data-preprocessor/word-tokenizer.js';
import { withDefaults } from './internal/options.js';
import { overrideOf } from './internal/overrides.js';
import { mathRandom, type Random, type SeededRandom, seededRandomFor } from './internal/random.js';
import { TypedEmitter } from './internal/typed-emitter.js';
import { checkSeed } from './internal/validate.js';
import type { ProcessedExample, Stateful, TrainingExample } from './types.js';

export interface DataPreprocessorEvents {
  /** After each chunk of a call, with the same values as `onProgress`. */
  'process:progress': [ProcessProgress];
  /** After each `process`, and each `stream` read to its end: the number of rows it gave, and the running counts. */
  'process:complete': [{ total: number; stats: PreprocessorStats }];
}

/**
 * Turns raw (input, output) pairs into examples with tokens and embeddings.
 *
 * The defaults are the original's. They suit tests and the comparison with it, not search: the embedder `'hash'` gives
 * similar texts unrelated rows, so that training on them does not carry over to new texts. For search pass a fitted
 * `NgramEmbedder`, or a sentence model, as `embedder`. The tokens are numbers of words of this preprocessor, which losses
 * do not read and no model knows. With `tokens: false` there are none.
 *
 * Subclasses may override `_embed`, `_tokenize`, `_augmentExample` and `_processExample`. With `tokens: false`, `_tokenize` is not
 * called.
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
  /**
   * Word → token. It stops growing at 50,000 words. Later words become character tokens. With `tokens: false` it stays
   * empty.
   */
  vocab: Map<string, number>;
  /** Number of words in `vocab`. */
  vocabSize = 0;
  /** Text → embedding. */
  embeddingCache: Map<string, Float32Array>;
  /** Running counts. */
  stats: PreprocessorStats = { processed: 0, filtered: 0, augmented: 0, cacheHits: 0 };

  /** The generator of augmentation. Undefined without a seed. */
  readonly #seeded: SeededRandom | undefined;
  readonly #random: Random;
  readonly #words = new WordTokenizer();
  readonly #textEmbedder = new TextEmbedder();

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
        tokens: true,
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
   * Processes examples in order. With `augmentation`, each is followed by its variations.
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
    const run = this.#run('DataPreprocessor.process', examples, options);
    const processed: ProcessedExample[] = [];
    for await (const rows of run.chunks()) for (const row of rows) processed.push(row);
    if (processed.length > 0) run.settleRowLength();
    this.emit('process:complete', { total: processed.length, stats: this.stats });
    return processed;
  }

  /**
   * The rows of {@link process} one by one, in memory that does not grow with their number. At most one chunk is read
   * ahead: 128 examples, or with an embedder of the caller's `2 · embedBatchSize`, which is four of its batches.
   *
   * @returns An async generator. If the loop ends early, the source is closed, and the rest of the chunk has been counted.
   * @throws TypeError at the call for a wrong argument, and while reading what {@link process} throws.
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
    return this.#rows(this.#run('DataPreprocessor.stream', examples, options));
  }

  async *#rows(run: Run): AsyncGenerator<ProcessedExample, void, undefined> {
    let total = 0;
    for await (const rows of run.chunks()) {
      if (rows.length > 0) run.settleRowLength();
      for (const row of rows) {
        run.pace.throwIfAborted();
        total++;
        yield row;
      }
    }
    this.emit('process:complete', { total, stats: this.stats });
  }

  #run(call: Run['call'], examples: ExampleSource, options: ProcessOptions): Run {
    return new Run(call, examples, options, this, {
      textEmbedder: this.#textEmbedder,
      processNow: example => this.#processNow(example),
      processOverride: () => overrideOf(this, this._processExample, processExample),
    });
  }

  /**
   * Tokens and embeddings of one example. An override may return null to skip the example. With the caller's embedder it
   * must keep the texts, as only those have been embedded.
   */
  async _processExample(example: TrainingExample): Promise<ProcessedExample | null> {
    return this.#processNow(example);
  }

  #processNow(example: TrainingExample): ProcessedExample {
    // It was checked when it was read, but it may have changed while an embedder or an override ran.
    checkExample('DataPreprocessor._processExample', example);
    const inputTokens = this.#tokensOf(example.input);
    const outputTokens = this.#tokensOf(example.output);
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

  #tokensOf(text: string): number[] {
    if (this.config.tokens === false) return [];
    const tokens = this._tokenize(text);
    return tokens.length > this.config.maxLength ? tokens.slice(0, this.config.maxLength) : tokens;
  }

  /**
   * The tokens of a text: a number for each word, followed by the space token 32, also after the last word. An unknown
   * word joins the vocabulary. Once the vocabulary is full, an unknown word is spelled in character codes modulo 256.
   * With `tokens: false`, none.
   */
  _tokenize(text: string): number[] {
    const { tokenizer, tokens } = this.config;
    if (tokens === false) return [];
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
    const embedding = this.#textEmbedder.embed(text, this.config);
    this.embeddingCache.set(text, embedding);
    return embedding;
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
   * The state with which a later run makes the same tokens, embeddings and variations: the vocabulary, the counts, the
   * generator of augmentation if there is a `seed`, and the embedder's state if it has one, as an `NgramEmbedder` does. The
   * cache is not part of it. Take the state between two calls of `process`. In the middle of a `stream` it already counts
   * the examples read ahead.
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
   * Continues where the state was taken. An embedder with a state loads its own, and the cache is then emptied.
   *
   * @param state The result of {@link stateDict}, also after a round trip through JSON. It must come from a preprocessor made
   *   with the same options.
   * @throws TypeError or RangeError, with nothing changed: for a damaged state, for another `embeddingDim`, if only one of
   *   both has a seed or an embedder's state, for a vocabulary with `tokens: false`, and if the embedder refuses its state.
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

// Read when the module is loaded, so that a patched prototype is an override too.
const { _processExample: processExample } = DataPreprocessor.prototype;
