import {
  checkArray,
  checkCount,
  checkFunction,
  checkNumber,
  checkOptions,
  describe,
  wrongType,
  wrongValue,
} from '../internal/validate.js';
import type { TrainingExample, Vector } from '../types.js';

/** Turns distinct texts into rows of equal length, one per text, in order. */
export type Embedder = (texts: string[]) => readonly Vector[] | Promise<readonly Vector[]>;

/** An embedder with a method, as an `NgramEmbedder` is. */
export interface EmbedderObject {
  /** Turns distinct texts into rows of equal length, one per text, in order. */
  embed(texts: string[]): readonly Vector[] | Promise<readonly Vector[]>;
}

/** Turns a text into tokens: integers of at least 0. */
export type Tokenizer = (text: string) => number[];

/** Where examples come from: an array, a generator, a stream of objects, what `readJsonl` returns. */
export type ExampleSource = Iterable<TrainingExample> | AsyncIterable<TrainingExample>;

export interface DataPreprocessorOptions {
  /**
   * Most tokens of a text that are kept, an integer of at least 0 or `Infinity`.
   *
   * @default 512
   */
  maxLength?: number;
  /**
   * Length of the embeddings, an integer of at least 1. At 384 `'ngram'` finds a little less than at 1024, the default of
   * an `NgramEmbedder`.
   *
   * @default 384; with an embedder of the caller's, the length of its first rows
   */
  embeddingDim?: number;
  /**
   * Whether to add variations of each example: a synonym, a filler word, another case. They are for English. An
   * `NgramEmbedder` reads lower case, so a change of case alone gives the same row again.
   *
   * @default false
   */
  augmentation?: boolean;
  /**
   * An example gets at most `augmentationFactor - 1` variations. An integer of at least 1.
   *
   * @default 2
   */
  augmentationFactor?: number;
  /**
   * Examples of lower quality are skipped. Any finite number.
   *
   * @default 0
   */
  qualityThreshold?: number;
  /**
   * Whether embeddings are scaled to unit length. Those of `'ngram'` always have unit length.
   *
   * @default true; with an embedder of the caller's false
   */
  normalizeEmbeddings?: boolean;
  /**
   * What turns texts into rows:
   *
   * - `'hash'`, the original's, only tells texts apart. Similar texts get unrelated rows, so training on them does not
   *   carry over to new texts. It is for tests, and for the numbers of the original.
   * - `'ngram'` is an `NgramEmbedder` of `embeddingDim` that has not been fitted. Similar texts get similar rows. It is for
   *   a first try.
   * - A fitted `NgramEmbedder` finds more. A sentence model finds still more where questions share no words with their
   *   answers.
   * - A function, or the `embed` method of an object, is called with up to `embedBatchSize` distinct texts that are not
   *   cached.
   *
   * Call `clearCache()` after a change of the embedder, such as another `fit`.
   *
   * @default 'hash'
   */
  embedder?: 'hash' | 'ngram' | Embedder | EmbedderObject;
  /**
   * Most texts in one call of the caller's embedder, an integer of at least 1.
   *
   * @default 64
   */
  embedBatchSize?: number;
  /**
   * Makes the tokens of a text. With it, the vocabulary stays empty. The default tokens tell how long a text is. A model
   * needs its own tokenizer.
   *
   * @default the original's: words by number, in the order in which they occur
   */
  tokenizer?: Tokenizer;
  /**
   * Whether examples have tokens. With `false`, `inputTokens` and `outputTokens` are empty, `_tokenize` is not called, also
   * where a subclass overrides it, and the vocabulary stays empty. `false` and a `tokenizer` exclude each other.
   *
   * The default tokens number the words in the order in which they are first read. If several processes read shards of the
   * data, a word's token therefore depends on the shard. Without tokens, each example depends on its own texts only. Its
   * place in the data still matters to `augmentation`, which draws in order, and to `deduplicate`, which compares within a
   * call. Nothing in this library reads the tokens: losses and batches work without them, and the `curriculum` of a
   * `BatchGenerator` sorts by `quality`.
   *
   * @default true
   */
  tokens?: boolean;
  /**
   * Whether to skip an example with the input and output of an earlier one of the same call. An example that was skipped
   * for its quality does not count as earlier. Variations are not compared. Pairs are compared by their SHA-256, which takes
   * about 100 bytes per distinct pair.
   *
   * @default false
   */
  deduplicate?: boolean;
  /**
   * Most bytes in the embedding cache, at least 0 or `Infinity`. The rows that were used least recently leave first.
   *
   * @default 268435456, which is 256 MiB
   */
  cacheBytes?: number;
  /**
   * Seed of a private generator for augmentation, an integer from 0 to 2³² - 1.
   *
   * @default none: draws come from `Math.random`
   */
  seed?: number;
}

/** The configuration with its defaults filled in. */
export type DataPreprocessorConfig = Required<Omit<DataPreprocessorOptions, 'seed' | 'tokenizer' | 'embeddingDim'>> &
  Pick<DataPreprocessorOptions, 'seed' | 'tokenizer'> & {
    /** Undefined until the first rows of a caller's embedder, if no `embeddingDim` was given. */
    embeddingDim: number | undefined;
  };

export interface ProcessOptions {
  /**
   * Ends the call with the signal's reason, by default a `DOMException` named `AbortError`. The call ends at once while it
   * waits for an embedder, the source or an override. Otherwise it ends within about 10 ms.
   *
   * @default none
   */
  signal?: AbortSignal;
  /**
   * Called after every chunk of 128 examples, or with an embedder of the caller's of `2 · embedBatchSize`.
   *
   * @default none
   */
  onProgress?: (progress: ProcessProgress) => void;
}

/** The progress of a call. */
export interface ProcessProgress {
  /** Number of examples read from the source. */
  read: number;
  /** Number of rows made of them, variations included. */
  produced: number;
  /** Number of examples in the source. Undefined unless it is an array or a Set. */
  total: number | undefined;
}

export function checkConfig(config: DataPreprocessorConfig): void {
  const call = 'DataPreprocessor';
  checkNumber(call, 'maxLength', config.maxLength, { integer: true, min: 0, infinity: true });
  if (config.embeddingDim !== undefined) checkCount(call, 'embeddingDim', config.embeddingDim);
  checkCount(call, 'augmentationFactor', config.augmentationFactor);
  checkNumber(call, 'qualityThreshold', config.qualityThreshold);
  checkEmbedder(call, config.embedder);
  checkCount(call, 'embedBatchSize', config.embedBatchSize);
  if (config.tokenizer !== undefined) checkFunction(call, 'tokenizer', config.tokenizer);
  if (config.tokenizer !== undefined && config.tokens === false)
    throw new RangeError(`${call}: tokens is false, so that tokenizer would never be called; pass only one of them`);
  checkNumber(call, 'cacheBytes', config.cacheBytes, { min: 0, infinity: true });
}

/** The caller's embedder as a function; undefined for one of the library's. */
export function callersEmbedder(embedder: DataPreprocessorConfig['embedder']): Embedder | undefined {
  if (typeof embedder === 'string') return undefined;
  return typeof embedder === 'function' ? embedder : texts => embedder.embed(texts);
}

function checkEmbedder(call: string, embedder: unknown): void {
  if (typeof embedder === 'function' && /^class\b/.test(Function.prototype.toString.call(embedder)))
    throw new TypeError(`${call}: embedder is the class ${embedder.name}; pass an instance of it`);
  if (typeof embedder === 'function' || embedder === 'hash' || embedder === 'ngram') return;
  if (typeof embedder === 'object' && embedder !== null && 'embed' in embedder) {
    checkFunction(call, 'embedder.embed', embedder.embed);
    return;
  }
  const expected = "'hash' | 'ngram' | a function | an object with embed(texts)";
  throw typeof embedder === 'string'
    ? wrongValue(call, 'embedder', expected, embedder)
    : wrongType(call, 'embedder', expected, embedder);
}

export function checkProcessOptions(
  call: 'DataPreprocessor.process' | 'DataPreprocessor.stream',
  options: unknown,
): void {
  checkOptions(call, options);
  const { signal, onProgress } = options as ProcessOptions;
  // Not by its class: other realms and test environments have their own.
  const isSignal = typeof signal === 'object' && signal !== null && 'aborted' in signal && 'addEventListener' in signal;
  if (signal !== undefined && !isSignal) throw wrongType(call, 'signal', 'an AbortSignal', signal);
  if (onProgress !== undefined) checkFunction(call, 'onProgress', onProgress);
}

/** The result of a caller's tokenizer for a text, checked. */
export function checkTokens(text: string, tokens: unknown): number[] {
  const call = `DataPreprocessor._tokenize: tokenizer: of ${describe(text)}`;
  checkArray(call, 'the result', tokens);
  for (let i = 0; i < tokens.length; i++) checkCount(call, `token ${i}`, tokens[i], 0);
  return tokens as number[];
}
