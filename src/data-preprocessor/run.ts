import { sha256 } from '#platform/sha256';
import { Pace } from '../internal/pace.js';
import { checkIterable, inWords } from '../internal/validate.js';
import type { ProcessedExample, TrainingExample } from '../types.js';
import {
  callersEmbedder,
  checkProcessOptions,
  type DataPreprocessorConfig,
  type ExampleSource,
  type ProcessOptions,
  type ProcessProgress,
} from './options.js';
import type { PreprocessorStats } from './preprocessor-state.js';
import { checkExample, checkSource, chunksOf, lengthOf, qualityOf, textsOf } from './source.js';
import { embedAhead, type TextEmbedder } from './text-embedder.js';

/** Number of examples per chunk, unless the caller's embedder sets it. `stream` reads one chunk ahead. */
const CHUNK = 128;
/** An example of more characters takes so long that the clock is read after each. */
const LONG_TEXT = 1000;

/** The preprocessor of a run. Its fields are read anew at each use, as the caller may change them. */
interface Preprocessor {
  readonly config: DataPreprocessorConfig;
  readonly stats: PreprocessorStats;
  readonly embeddingCache: Map<string, Float32Array>;
  _augmentExample(example: TrainingExample): Promise<TrainingExample[]>;
  emit(event: 'process:progress', progress: ProcessProgress): boolean;
}

/** What the preprocessor keeps to itself. */
interface Internals {
  readonly textEmbedder: TextEmbedder;
  /** The class's `_processExample`, without a promise. */
  processNow(example: TrainingExample): ProcessedExample;
  /** The `_processExample` that replaces the class's. Undefined if none does. */
  processOverride(): ((example: TrainingExample) => Promise<ProcessedExample | null>) | undefined;
}

/** One call of `process` or `stream`. */
export class Run {
  readonly call: 'DataPreprocessor.process' | 'DataPreprocessor.stream';
  readonly pace: Pace;
  /** Length of the rows that the caller's embedder returned in this call. */
  rowLength: number | undefined;

  readonly #preprocessor: Preprocessor;
  readonly #internals: Internals;
  readonly #examples: ExampleSource;
  readonly #onProgress: ProcessOptions['onProgress'];
  /** The pairs so far. Undefined if repeats are not skipped. */
  readonly #seen: SeenPairs | undefined;

  /** @throws TypeError for examples or options of a wrong type. */
  constructor(
    call: Run['call'],
    examples: ExampleSource,
    options: ProcessOptions,
    preprocessor: Preprocessor,
    internals: Internals,
  ) {
    checkSource(call, examples);
    checkProcessOptions(call, options);
    this.call = call;
    this.pace = new Pace(options.signal);
    this.#preprocessor = preprocessor;
    this.#internals = internals;
    this.#examples = examples;
    this.#onProgress = options.onProgress;
    this.#seen = preprocessor.config.deduplicate ? new SeenPairs() : undefined;
  }

  /** The rows of each chunk, in order. */
  async *chunks(): AsyncGenerator<ProcessedExample[], void, undefined> {
    const { call, pace } = this;
    const { embedder, embedBatchSize } = this.#config;
    const size = callersEmbedder(embedder) ? 2 * embedBatchSize : CHUNK;
    const total = lengthOf(this.#examples);
    let read = 0;
    let produced = 0;
    pace.throwIfAborted();
    for await (const chunk of chunksOf(call, this.#examples, size, pace)) {
      const rows = await this.#processChunk(chunk);
      read += chunk.length;
      produced += rows.length;
      this.#onProgress?.({ read, produced, total });
      this.#preprocessor.emit('process:progress', { read, produced, total });
      pace.throwIfAborted();
      yield rows;
    }
  }

  /**
   * Settles the length of the rows of a caller's embedder. Only rows that are handed out settle it: a call that fails
   * must not bind the next one.
   *
   * @throws RangeError if another call has settled another length meanwhile.
   */
  settleRowLength(): void {
    const settled = (this.#config.embeddingDim ??= this.rowLength);
    if (this.rowLength !== undefined && this.rowLength !== settled)
      throw new RangeError(
        `${this.call}: embedder returned rows of ${inWords(this.rowLength, 'entry')}, and of ${settled} before`,
      );
  }

  async #processChunk(chunk: readonly TrainingExample[]): Promise<ProcessedExample[]> {
    const { qualityThreshold } = this.#config;
    const seen = this.#seen;
    const good = chunk.filter(example => qualityOf(example) >= qualityThreshold);
    const kept = seen ? good.filter(example => seen.add(example)) : good;
    const embedder = callersEmbedder(this.#config.embedder);
    const count = (): void => {
      const { stats } = this.#preprocessor;
      stats.filtered += chunk.length - good.length;
      if (seen) stats.duplicates = (stats.duplicates ?? 0) + good.length - kept.length;
    };
    if (!embedder) {
      count();
      return this.#finish(kept);
    }
    // The embedder gets its texts in batches, so all variations are made first.
    const variations: TrainingExample[][] = [];
    for (const example of kept) variations.push(this.#config.augmentation ? await this.#variationsOf(example) : []);
    const texts = new Set([...kept, ...variations.flat()].flatMap(textsOf));
    const rows = await embedAhead(embedder, texts, this.#preprocessor.embeddingCache, this.#config, this);
    count();
    return this.#internals.textEmbedder.withRows(rows, () => this.#finish(kept, variations));
  }

  /**
   * The rows of examples and their variations. If no variations are given, each example is finished before its own are
   * drawn, as in the original: an overridden `_embed` may draw too.
   */
  async #finish(
    kept: readonly TrainingExample[],
    variations?: readonly TrainingExample[][],
  ): Promise<ProcessedExample[]> {
    const { pace } = this;
    const { processNow, processOverride } = this.#internals;
    const override = processOverride();
    const processed: ProcessedExample[] = [];
    const add = (result: ProcessedExample | null, count: 'processed' | 'augmented'): void => {
      if (!result) return;
      processed.push(result);
      this.#preprocessor.stats[count]++;
    };
    for (let i = 0; i < kept.length; i++) {
      const example = kept[i]!;
      // An await that is not needed would take as long as a cached example.
      add(override ? await pace.untilAborted(override(example)) : processNow(example), 'processed');
      if (this.#config.augmentation) {
        for (const variation of variations?.[i] ?? (await this.#variationsOf(example))) {
          add(override ? await pace.untilAborted(override(variation)) : processNow(variation), 'augmented');
        }
      }
      // Reading the clock takes 40 ns, a cached example of ordinary length 1 µs.
      const isClockRead = i % 4 === 3 || example.input.length + example.output.length > LONG_TEXT;
      if (isClockRead && pace.isDue()) await pace.pause();
    }
    return processed;
  }

  /** The variations that `_augmentExample` makes, checked, as it may be an override. */
  async #variationsOf(example: TrainingExample): Promise<TrainingExample[]> {
    const call = 'DataPreprocessor._augmentExample';
    const variations: unknown = await this.pace.untilAborted(this.#preprocessor._augmentExample(example));
    checkIterable(call, 'the result', variations);
    return Array.from(variations as Iterable<TrainingExample>, variation => {
      checkExample(call, variation);
      return variation;
    });
  }

  /** Read anew at each use, as the caller may replace it. */
  get #config(): DataPreprocessorConfig {
    return this.#preprocessor.config;
  }
}

/**
 * The (input, output) pairs that came before. A pair is kept as its SHA-256, 32 characters, however long its texts are.
 */
class SeenPairs {
  readonly #digests = new Set<string>();

  /** Adds a pair. Returns whether it is new. */
  add({ input, output }: TrainingExample): boolean {
    const before = this.#digests.size;
    const digest = sha256(codeUnitsOf(`${input.length}:${input}${output}`));
    return this.#digests.add(digest).size > before;
  }
}

/** The text as UTF-16: in UTF-8 all lone surrogates are the same. */
function codeUnitsOf(text: string): Uint8Array {
  const units = new Uint16Array(text.length);
  for (let i = 0; i < text.length; i++) units[i] = text.charCodeAt(i);
  return new Uint8Array(units.buffer);
}
