import { copyData } from './batch-generator/data.js';
import { type Labels, labelsOf, shareLabel } from './batch-generator/labels.js';
import { mineNegatives, type NegativeMining } from './batch-generator/negative-mining.js';
import { type Partition, withoutDuplicates } from './batch-generator/no-duplicates.js';
import {
  type BatchGeneratorConfig,
  type BatchGeneratorOptions,
  checkConfig,
  checkSampleWeights,
} from './batch-generator/options.js';
import { drawWeighted, indexAbove, shardOf, shardSize } from './batch-generator/order.js';
import { countOwnNegatives, ownNegatives } from './batch-generator/own-negatives.js';
import { cosineRowsBy, hardestBy } from './batch-generator/own-similarity.js';
import { type BatchGeneratorState, fingerprintOf, parseState } from './batch-generator/state.js';
import { withDefaults } from './internal/options.js';
import { mix, randomFor, shuffle } from './internal/random.js';
import { checkCount, throwNonFinite } from './internal/validate.js';
import { kernels } from './kernels/index.js';
import { areEqual, cosineInOrder, cosineOf } from './kernels/vector.js';
import type { Batch, EmbeddedExample, ProcessedExample, Rows, Vector } from './types.js';

/** Sets the draws of `negativeMining: { strategy: 'random' }` apart from the shuffle's. */
const MINING = 0x6d696e65;

/** A batch and where it stands in the training. */
export interface TrainingStep<E extends EmbeddedExample = ProcessedExample> {
  /** Epoch of the batch, from 0. */
  epoch: number;
  /** Batches before this one, from the very start. */
  step: number;
  /** The batch. */
  batch: Batch<E>;
}

/**
 * Cuts data into batches. The generator is its own iterator: a `for` loop runs through one epoch, and `reset()` starts
 * the next. `epochs(total)` does both.
 *
 * @example
 * ```js
 * import { BatchGenerator } from 'microlora-training-utils';
 *
 * const data = [1, 2, 3].map(i => ({ inputEmb: [i, 0], outputEmb: [0, i] }));
 * const batches = new BatchGenerator(data, { batchSize: 2, seed: 1 });
 * for (const { epoch, step, batch } of batches.epochs(2)) console.log(epoch, step, batch.size);
 * ```
 */
export class BatchGenerator<E extends EmbeddedExample = ProcessedExample> implements IterableIterator<Batch<E>> {
  /** The examples. */
  data: E[];
  /** The configuration in force. */
  config: BatchGeneratorConfig;
  /** Position in `indices` of the next batch. */
  currentIndex = 0;
  /** The epoch, from 0. */
  epoch = 0;
  /** Order of this epoch, as indices into `data`. */
  indices!: number[];

  /** Negatives that each example brings along. */
  readonly #ownNegatives: number;
  /** What tells duplicates apart, where that is asked for. */
  readonly #labels: Labels | undefined;
  /** Where batches start and the last one ends, where they are not all of `batchSize`. */
  #starts: number[] | undefined;
  /** Batches in the epochs so far, where their number differs from epoch to epoch. */
  #lengths: number[] = [];

  /**
   * @param data Examples with `inputEmb` and `outputEmb`, as `DataPreprocessor.process` returns them. May be empty. Their
   *   own negatives (`negativeEmb` or k `negativeEmbs`, as many in each) become `batch.negatives`, k rows per anchor in
   *   turn, for `negativeMode: 'own'` of `LossComputer.contrastive`.
   * @throws TypeError or RangeError that names the option or the example and the value; RangeError when only some
   *   examples have negatives, some have more than others, or negatives are to be mined as well.
   */
  constructor(data: Iterable<E>, config: BatchGeneratorOptions = {}) {
    this.config = withDefaults(
      'BatchGenerator',
      {
        batchSize: 8,
        shuffle: true,
        dropLast: false,
        hardNegatives: false,
        curriculum: false,
        curriculumEpochs: 5,
      },
      config,
    );
    checkConfig(this.config);
    this.data = copyData(data);
    this.#ownNegatives = countOwnNegatives(this.data, this.config);
    const { sampleWeights, noDuplicates, negativeMining } = this.config;
    if (sampleWeights !== undefined) checkSampleWeights(sampleWeights, this.data.length);
    if (noDuplicates || (negativeMining && negativeMining.excludeDuplicates !== false))
      this.#labels = labelsOf(this.data);
    this.#begin(0);
  }

  #begin(epoch: number): void {
    const { indices, starts } = this.#cut(epoch);
    this.epoch = epoch;
    this.currentIndex = 0;
    this.indices = indices;
    this.#starts = starts;
  }

  /** Orders an epoch and cuts it into batches. */
  #cut(epoch: number): Pick<Partition, 'indices'> & Partial<Partition> {
    const { batchSize, dropLast, noDuplicates, shard } = this.config;
    const now = this.epoch;
    this.epoch = epoch;
    let order: number[];
    try {
      order = this._createIndices();
    } finally {
      this.epoch = now;
    }
    const indices = shard ? shardOf(order, shard) : order;
    if (!noDuplicates) return { indices };
    return withoutDuplicates(indices, this.#labels!.inputs, this.#labels!.outputs, batchSize, dropLast);
  }

  /**
   * The order of the current epoch over all shards: a Fisher–Yates shuffle or weighted draws, then the curriculum's
   * sort.
   */
  _createIndices(): number[] {
    const { sampleWeights, seed } = this.config;
    const random = randomFor(seed, this.epoch);
    let indices: number[];
    if (sampleWeights) {
      indices = drawWeighted(sampleWeights, random);
      if (!this.config.shuffle) indices.sort((a, b) => a - b);
    } else {
      indices = this.data.map((_, i) => i);
      if (this.config.shuffle) shuffle(indices, random);
    }
    if (this.config.curriculum && this.epoch < this.config.curriculumEpochs) {
      indices.sort((a, b) => (this.data[b]!.quality ?? 1) - (this.data[a]!.quality ?? 1));
    }
    return indices;
  }

  /** The generator itself: it goes on where it stands, and needs `reset()` after an epoch. */
  [Symbol.iterator](): this {
    return this;
  }

  /** The next batch of this epoch. */
  next(): IteratorResult<Batch<E>, undefined> {
    const { batchSize, dropLast, hardNegatives, negativeMining } = this.config;
    checkCount('BatchGenerator', 'batchSize', batchSize);
    const start = this.currentIndex;
    const end = this.#starts?.[this.#batchesDone + 1] ?? Math.min(start + batchSize, this.indices.length);
    const size = end - start;
    if (size <= 0 || (dropLast && size < batchSize)) return { done: true, value: undefined };

    const indices = this.indices.slice(start, end);
    const examples = indices.map(i => this.data[i]!);
    const anchors = examples.map(example => example.inputEmb);
    const positives = examples.map(example => example.outputEmb);
    const negatives =
      this.#ownNegatives > 0
        ? examples.flatMap(ownNegatives)
        : hardNegatives
          ? this._mineHardNegatives(anchors, positives)
          : negativeMining
            ? this.#mineNegatives(anchors, positives, indices, negativeMining)
            : null;
    this.currentIndex = end;
    return { done: false, value: { examples, anchors, positives, negatives, size } };
  }

  /**
   * Batches of all epochs from where the generator stands until `total` epochs, counted from epoch 0, are done. The
   * generator then stands at the start of epoch `total`, so a later call with a greater total goes on from there.
   * Without a single batch an epoch there are none at all.
   *
   * @param total Number of epochs.
   * @throws RangeError for a `total` that is not a count.
   */
  epochs(total: number): Generator<TrainingStep<E>, void, undefined> {
    return this.#epochs(checkCount('epochs', 'total', total, 0));
  }

  *#epochs(total: number): Generator<TrainingStep<E>, void, undefined> {
    while (this.epoch < total && (this.length > 0 || this.#lengthVaries)) {
      const step = this.#batchesBefore() + this.#batchesDone;
      const { done, value: batch } = this.next();
      if (done) this.reset();
      else yield { epoch: this.epoch, step, batch };
    }
  }

  /** Starts epoch `epoch` anew, whatever was done before; `setEpoch(0)` is a fresh start. */
  setEpoch(epoch: number): void {
    this.#begin(checkCount('setEpoch', 'epoch', epoch, 0));
  }

  /**
   * Where the generator stands, between any two batches: JSON-safe. With a `seed` it is a few numbers; without one it
   * holds the epoch's order.
   */
  stateDict(): BatchGeneratorState {
    const { epoch, currentIndex, indices } = this;
    this.#batchesBefore();
    const state: BatchGeneratorState = {
      dataLength: this.data.length,
      config: fingerprintOf(this.config),
      epoch,
      currentIndex,
      lengths: this.#lengths.slice(0, epoch),
    };
    if (!this.#isReproducible) state.order = { indices, ...(this.#starts && { starts: this.#starts }) };
    return structuredClone(state);
  }

  /**
   * Goes to where a state was taken: with a `seed` all that follows is what would have followed there, without one the
   * rest of that epoch is.
   *
   * @param state What {@link stateDict} returned, also after a round trip through JSON, of a generator with equally
   *   many examples and an equal configuration.
   * @throws TypeError or RangeError, with nothing changed, for a state of another data length or configuration, or a
   *   damaged one.
   */
  loadStateDict(state: BatchGeneratorState): void {
    const { noDuplicates, dropLast, sampleWeights } = this.config;
    const parsed = parseState(state, this.data.length, fingerprintOf(this.config), {
      order: !this.#isReproducible,
      starts: Boolean(noDuplicates),
      lengths: this.#lengthVaries,
      permutation: this._createIndices === createIndices && !sampleWeights && !(noDuplicates && dropLast),
    });
    const { epoch, currentIndex, lengths, order } = parsed;
    const { indices, starts } = order ?? this.#cut(epoch);
    const isBetween = starts ? starts.includes(currentIndex) : currentIndex % this.config.batchSize === 0;
    if (currentIndex > indices.length || !(isBetween || currentIndex === indices.length))
      throw new RangeError(`loadStateDict: state.currentIndex must be where a batch starts, got ${currentIndex}`);
    this.epoch = epoch;
    this.currentIndex = currentIndex;
    this.indices = indices;
    this.#starts = starts;
    this.#lengths = lengths;
  }

  /**
   * For each anchor the most similar positive of another row; in a batch of one its own positive, as there is no other.
   */
  _mineHardNegatives<V extends Vector>(anchors: readonly Vector[], positives: readonly V[]): V[] {
    const similarity = this.#overriddenSimilarity;
    const hardest = similarity
      ? hardestBy(similarity, anchors, positives)
      : kernels().hardestNegatives(anchors, positives);
    return anchors.map((_, i) => {
      const index = hardest[i]!;
      if (index < 0 && positives.length > 1) throwNonFinite('BatchGenerator', { anchors, positives });
      return positives[index < 0 ? (i + 1) % positives.length : index]!;
    });
  }

  #mineNegatives<V extends Vector>(
    anchors: Rows,
    positives: readonly V[],
    indices: readonly number[],
    mining: NegativeMining,
  ): V[] {
    const { seed } = this.config;
    const similarity = this.#overriddenSimilarity;
    const labels = mining.excludeDuplicates === false ? undefined : this.#labels;
    const mined = mineNegatives({
      anchors,
      positives,
      mining,
      // Texts that differ in case, say, may have equal rows.
      isDuplicate: (i, j) =>
        labels !== undefined &&
        (shareLabel(labels, indices[i]!, indices[j]!) || areEqual(positives[i]!, positives[j]!)),
      cosineRows: similarity ? cosineRowsBy(similarity) : kernels().cosineRows,
      cosine: similarity ?? cosineInOrder,
      random: randomFor(seed === undefined ? undefined : seed ^ MINING, mix(this.epoch) ^ this.currentIndex),
    });
    return Array.from(mined, index => positives[index]!);
  }

  get #overriddenSimilarity(): ((a: Vector, b: Vector) => number) | undefined {
    if (this._cosineSimilarity === originalSimilarity) return undefined;
    return (a, b) => this._cosineSimilarity(a, b);
  }

  /** Cosine similarity over the shorter of two rows. */
  _cosineSimilarity(a: Vector, b: Vector): number {
    return cosineOf(a, b);
  }

  /** Starts the next epoch with a new order. */
  reset(): void {
    if (this.#lengthVaries) this.#lengths[this.epoch] = this.length;
    this.#begin(this.epoch + 1);
  }

  /** Number of batches an epoch: of this one, where `noDuplicates` makes epochs differ. */
  get length(): number {
    const { shard } = this.config;
    if (this.#starts) return this.#starts.length - 1;
    return this.#batchesIn(shard ? shardSize(this.data.length, shard) : this.data.length);
  }

  /** Number of batches left in this epoch. */
  get remaining(): number {
    return this.#starts ? this.length - this.#batchesDone : this.#batchesIn(this.indices.length - this.currentIndex);
  }

  #batchesIn(examples: number): number {
    const batches = examples / this.config.batchSize;
    return this.config.dropLast ? Math.floor(batches) : Math.ceil(batches);
  }

  /** Number of batches of this epoch that are done. */
  get #batchesDone(): number {
    return this.#starts
      ? indexAbove(this.#starts, this.currentIndex) - 1
      : Math.ceil(this.currentIndex / this.config.batchSize);
  }

  /** Number of batches in all epochs before this one. */
  #batchesBefore(): number {
    const { epoch } = this;
    if (!this.#lengthVaries) return epoch * this.length;
    let batches = 0;
    for (let earlier = 0; earlier < epoch; earlier++) batches += this.#lengths[earlier] ??= this.#lengthOf(earlier);
    return batches;
  }

  /** Number of batches of another epoch; of this one where no seed tells what the other was. */
  #lengthOf(epoch: number): number {
    return this.#isReproducible ? this.#cut(epoch).starts!.length - 1 : this.length;
  }

  /** Whether epochs may differ in their number of batches: where the duplicates among their examples do. */
  get #lengthVaries(): boolean {
    const { noDuplicates, dropLast, sampleWeights, shard } = this.config;
    return Boolean(noDuplicates && this.data.length > 0 && (dropLast || sampleWeights || shard));
  }

  /** Whether the order is a function of the configuration and the epoch. */
  get #isReproducible(): boolean {
    const { seed, shuffle, sampleWeights } = this.config;
    return seed !== undefined || !(shuffle || sampleWeights);
  }
}

/** The methods themselves, so that a patched prototype is an override too. */
const { _createIndices: createIndices, _cosineSimilarity: originalSimilarity } = BatchGenerator.prototype;
