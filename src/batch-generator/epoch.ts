import { batchesBefore, batchesIn, type CutOptions, type EpochCut, hashOfCut, plainLength } from './epoch-cut.js';
import type { EpochData } from './epoch-data.js';
import type { BatchGeneratorState } from './generator-state.js';
import type { BatchGeneratorConfig } from './options.js';
import { indexAbove, isReproducible } from './order.js';

/** Where a generator stands. The caller may write to all of it. */
export interface Standing {
  readonly data: readonly unknown[];
  readonly config: CutOptions &
    Pick<BatchGeneratorConfig, 'seed' | 'shuffle' | 'sampleWeights' | 'noDuplicates' | 'dropLast'>;
  readonly epoch: number;
  readonly currentIndex: number;
  readonly indices: number[];
}

/** What the batches of an epoch came from. */
export interface Origin {
  /** Number of the epoch. */
  epoch: number;
  /** The configuration as JSON. */
  config: string;
  /** A hash of the cut. */
  hash: number;
}

export function originOf(epoch: number, cut: EpochCut, config: Record<string, unknown>): Origin {
  return { epoch, config: JSON.stringify(config), hash: hashOfCut(cut) };
}

/** One epoch of a generator: what it took from data and configuration, where its batches start, how many are made. */
export class Epoch {
  /** What the epoch took from data and configuration when it started. */
  readonly data: EpochData;
  /** Where each batch starts, then where the last one ends. Undefined if a batch starts at every `batchSize`. */
  readonly starts: number[] | undefined;

  /** Undefined if a state brought batches that did not come from the configuration. */
  readonly #origin: Origin | undefined;
  /** Number of batches made, and where the last one ends. */
  #made: { batches: number; end: number };

  constructor(
    data: EpochData,
    starts: number[] | undefined,
    origin: Origin | undefined,
    made = { batches: 0, end: 0 },
  ) {
    this.data = data;
    this.starts = starts;
    this.#origin = origin;
    this.#made = made;
  }

  /** Where the next batch ends. Undefined if there is no next batch. */
  endOfNext(at: Standing): number | undefined {
    const { currentIndex, indices, config } = at;
    const { batchSize, dropLast } = config;
    const end = this.starts
      ? (this.starts[this.batchesDone(at) + 1] ?? currentIndex)
      : Math.min(currentIndex + batchSize, indices.length);
    const size = end - currentIndex;
    const isDropped = dropLast && !this.starts && size < batchSize;
    return size <= 0 || isDropped ? undefined : end;
  }

  /** Counts the next batch as made. The generator still stands at its start. */
  countNext(at: Standing, end: number): void {
    this.#made = { batches: this.batchesDone(at) + 1, end };
  }

  /** Number of batches in the epoch. */
  length({ data, config }: Standing): number {
    return this.starts ? this.starts.length - 1 : plainLength(data.length, config);
  }

  /** Number of batches that are left. */
  remaining(at: Standing): number {
    if (this.starts) return this.length(at) - this.batchesDone(at);
    return batchesIn(at.indices.length - at.currentIndex, at.config);
  }

  /** Number of batches that are done. */
  batchesDone({ currentIndex, config }: Standing): number {
    if (this.starts) return indexAbove(this.starts, currentIndex) - 1;
    // A caller who writes to `currentIndex` moves to the batch there.
    if (this.#made.end === currentIndex) return this.#made.batches;
    return Math.ceil(currentIndex / config.batchSize);
  }

  /** Whether the number of batches may differ from epoch to epoch, because the duplicates in an epoch do. */
  lengthVaries({ data, config }: Standing): boolean {
    const { noDuplicates, dropLast, sampleWeights } = config;
    return Boolean(noDuplicates && this.starts && data.length > 0 && (dropLast || sampleWeights));
  }

  /** Whether another epoch is of the same data and configuration, so that batches counted there count here too. */
  isLike(other: Epoch): boolean {
    const isSameData = other.data.examples === this.data.examples && other.data.labels === this.data.labels;
    return isSameData && other.#origin?.config === this.#origin?.config;
  }

  /**
   * The order for a state. Undefined if configuration and data give the order again.
   *
   * @param now What the batches come from as the generator stands now.
   */
  orderToSave(at: Standing, now: Origin): BatchGeneratorState['order'] {
    const { indices, currentIndex, config } = at;
    const { starts } = this;
    const batchesDone = this.batchesDone(at);
    const isChanged =
      this.#origin?.hash !== now.hash ||
      this.#origin.config !== now.config ||
      this.#origin.epoch !== now.epoch ||
      this.data.examples !== at.data.length ||
      batchesDone !== batchesBefore({ indices, starts }, currentIndex, config);
    if (!isChanged && isReproducible(config)) return undefined;
    const changed = { dataLength: this.data.examples, batchesDone };
    return { indices, ...(starts && { starts }), ...(isChanged && { changed }) };
  }
}
