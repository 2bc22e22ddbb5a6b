import { Pace } from '../internal/pace.js';
import type { ProcessProgress } from './events.js';
import {
  checkProcessOptions,
  type DataPreprocessorConfig,
  type ExampleSource,
  type ProcessOptions,
} from './options.js';
import { SeenPairs } from './seen-pairs.js';
import { checkSource } from './source.js';

/** What one call of `process` or `stream` goes by. */
export class Run {
  readonly pace: Pace;
  readonly onProgress: ((progress: ProcessProgress) => void) | undefined;
  /** The pairs so far. Undefined where repeats are not skipped. */
  readonly seen: SeenPairs | undefined;
  /** Length of the rows of the caller's embedder in this call. */
  rowLength: number | undefined;

  constructor(
    readonly call: 'process' | 'stream',
    examples: ExampleSource,
    options: ProcessOptions,
    config: DataPreprocessorConfig,
  ) {
    checkSource(call, examples);
    checkProcessOptions(call, options);
    this.pace = new Pace(options.signal);
    this.onProgress = options.onProgress;
    this.seen = config.deduplicate ? new SeenPairs() : undefined;
  }

  /**
   * Settles the length of the rows of a caller's embedder. Only rows handed out do: a call that fails must not bind the
   * next.
   */
  settleRowLength(config: DataPreprocessorConfig): void {
    const settled = (config.embeddingDim ??= this.rowLength);
    if (this.rowLength !== undefined && this.rowLength !== settled)
      throw new RangeError(
        `${this.call}: embedder returned rows of ${this.rowLength} entries, and of ${settled} before`,
      );
  }
}
