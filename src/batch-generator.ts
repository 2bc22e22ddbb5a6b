import { checkExample } from './batch-generator/check-data.js';
import { checkDataFingerprint, dataFingerprintOf } from './batch-generator/data-fingerprint.js';
import {
  batchesBefore,
  batchesIn,
  cutEpoch,
  type EpochCut,
  type EpochData,
  epochDataOf,
  hashOfCut,
  plainLength,
} from './batch-generator/epoch.js';
import { mineNegatives } from './batch-generator/negative-mining.js';
import { type BatchGeneratorConfig, type BatchGeneratorOptions, checkConfig } from './batch-generator/options.js';
import { indexAbove, orderOf } from './batch-generator/order.js';
import { ownNegativesOf } from './batch-generator/own-negatives.js';
import { hardestBy } from './batch-generator/own-similarity.js';
import { type BatchGeneratorState, fingerprintOf, parseState } from './batch-generator/state.js';
import { StepCounts } from './batch-generator/step-counts.js';
import { withDefaults } from './internal/options.js';
import { isSeed, mix } from './internal/random.js';
import { checkArray, checkCount, checkIterable, throwNonFinite } from './internal/validate.js';
import { kernels } from './kernels/index.js';
import { withJson } from './kernels/matrix.js';
import { cosineOf } from './kernels/vector.js';
import type { Batch, EmbeddedExample, ProcessedExample, Stateful, Vector } from './types.js';

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
 * `data` and `config` may be changed. The order and how it is cut, checks included, take them as they are at the start
 * of an epoch, at `reset`, `setEpoch` or `loadStateDict`; what a batch holds, as they are at that batch.
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
export class BatchGenerator<E extends EmbeddedExample = ProcessedExample>
  implements IterableIterator<Batch<E>>, Stateful<BatchGeneratorState>
{
  /** The examples. */
  data: E[];
  /** The configuration in force. */
  config: BatchGeneratorConfig<E>;
  /** Position in `indices` of the next batch. */
  currentIndex = 0;
  /** The epoch, from 0. */
  epoch = 0;
  /** Order of this epoch, as indices into `data`. */
  indices!: number[];

  /** What this epoch took from data and configuration. */
  #taken!: EpochData;
  /** Where batches start and the last one ends, where that is not at each `batchSize`. */
  #starts: number[] | undefined;
  /** What tells this epoch's batches; nothing where a state brought them along. */
  #origin: { epoch: number; config: string; hash: number } | undefined;
  /** Batches that `next` has made of this epoch, and where they end. */
  #made = { batches: 0, end: 0 };
  readonly #steps = new StepCounts();

  /**
   * @param data Examples with `inputEmb` and `outputEmb`, as `DataPreprocessor.process` returns them. May be empty. Their
   *   own negatives (`negativeEmb` or k `negativeEmbs`, as many in each) become `batch.negatives`, k rows per anchor in
   *   turn, for `negativeMode: 'own'` of `LossComputer.contrastive`.
   * @throws TypeError or RangeError that names the option or the example and the value; RangeError when only some
   *   examples have negatives, some have more than others, or negatives are to be mined as well. So do `reset`,
   *   `setEpoch` and `loadStateDict` where `data` or `config` were changed, and leave the generator where it was.
   */
  constructor(data: Iterable<E>, config: BatchGeneratorOptions<NoInfer<E>> = {}) {
    const defaults = {
      batchSize: 8,
      shuffle: true,
      dropLast: false,
      hardNegatives: false,
      curriculum: false,
      curriculumEpochs: 5,
    };
    this.config = withDefaults('BatchGenerator', defaults, config);
    checkConfig(this.config);
    checkIterable('BatchGenerator', 'data', data);
    this.data = [...data];
    this.#begin(0);
  }

  #begin(epoch: number): void {
    const taken = epochDataOf(this.data, this.config, this.#taken);
    const cut = this.#cut(epoch, taken);
    this.#stand(epoch, 0, taken, cut);
    this.#made = { batches: 0, end: 0 };
    this.#origin = this.#originOf(epoch, cut);
  }

  #stand(epoch: number, currentIndex: number, taken: EpochData, { indices, starts }: EpochCut): void {
    this.epoch = epoch;
    this.currentIndex = currentIndex;
    this.indices = indices;
    this.#starts = starts;
    this.#taken = taken;
  }

  /** Orders an epoch and cuts it into batches. */
  #cut(epoch: number, { labels }: EpochData): EpochCut {
    const now = this.epoch;
    this.epoch = epoch;
    try {
      return cutEpoch(this._createIndices(), labels, this.config);
    } finally {
      this.epoch = now;
    }
  }

  #originOf(
    epoch: number,
    cut: EpochCut,
    config = fingerprintOf(this.config),
  ): { epoch: number; config: string; hash: number } {
    return { epoch, config: JSON.stringify(config), hash: hashOfCut(cut) };
  }

  /**
   * The order of the current epoch over all shards: a Fisher–Yates shuffle or weighted draws, then the curriculum's
   * sort.
   */
  _createIndices(): number[] {
    return orderOf(this.data, this.config, this.epoch);
  }

  /** The generator itself: it goes on where it stands, and needs `reset()` after an epoch. */
  [Symbol.iterator](): this {
    return this;
  }

  /** The next batch of this epoch. */
  next(): IteratorResult<Batch<E>, undefined> {
    checkConfig(this.config);
    const { batchSize, dropLast, hardNegatives, negativeMining } = this.config;
    const start = this.currentIndex;
    const done = this.#batchesDone;
    const end = this.#starts ? (this.#starts[done + 1] ?? start) : Math.min(start + batchSize, this.indices.length);
    const size = end - start;
    if (size <= 0 || (dropLast && !this.#starts && size < batchSize)) return { done: true, value: undefined };

    const indices = this.indices.slice(start, end);
    const examples = indices.map(i => this.data[i]!);
    examples.forEach((example, i) => {
      checkExample(example, indices[i]!);
    });
    const anchors = examples.map(example => example.inputEmb);
    const positives = examples.map(example => example.outputEmb);
    const { ownNegatives } = this.#taken;
    const negatives =
      ownNegatives > 0
        ? [...ownNegativesOf(examples, indices, ownNegatives)]
        : hardNegatives
          ? this._mineHardNegatives(anchors, positives)
          : negativeMining
            ? mineNegatives(examples, {
                config: this.config,
                mining: negativeMining,
                indices,
                similarity: this.#overriddenSimilarity,
                stream: mix(this.epoch) ^ start,
              })
            : null;
    this.currentIndex = end;
    for (const rows of [anchors, positives, negatives]) if (rows && Object.isExtensible(rows)) withJson(rows);
    this.#made = { batches: done + 1, end };
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
    checkCount('setEpoch', 'epoch', epoch, 0);
    const [before, taken] = [this.#origin?.config, this.#taken];
    this.#begin(epoch);
    // What was counted with other data or another configuration is not what leads to this epoch.
    const isSame = taken.examples === this.#taken.examples && taken.labels === this.#taken.labels;
    if (!isSame || before !== this.#origin!.config) this.#steps.forget();
  }

  /**
   * Where the generator stands, between any two batches: JSON-safe. With a `seed` it is a few numbers; without one, or
   * where `config`, `indices` or the length of `data` were changed in mid-epoch, it holds the epoch's order.
   */
  stateDict(): BatchGeneratorState {
    const { epoch, currentIndex, indices } = this;
    const starts = this.#starts;
    const config = fingerprintOf(this.config);
    const { hash, config: text } = this.#originOf(epoch, { indices, starts }, config);
    const state: BatchGeneratorState = {
      dataLength: this.data.length,
      config,
      epoch,
      currentIndex,
      stepsBefore: this.#batchesBefore(),
      orderHash: hash,
    };
    const fingerprint = dataFingerprintOf(this.data);
    if (fingerprint !== undefined) state.fingerprint = fingerprint;
    const isChanged =
      this.#origin?.hash !== hash ||
      this.#origin.config !== text ||
      this.#origin.epoch !== epoch ||
      this.#taken.examples !== this.data.length ||
      this.#batchesDone !== batchesBefore({ indices, starts }, currentIndex, this.config);
    if (isChanged || !this.#isReproducible) {
      const changed = { dataLength: this.#taken.examples, batchesDone: this.#batchesDone };
      state.order = { indices, ...(starts && { starts }), ...(isChanged && { changed }) };
    }
    return structuredClone(state);
  }

  /**
   * Goes to where a state was taken: with a `seed` all that follows is what would have followed there, without one the
   * rest of that epoch is.
   *
   * @param state What {@link stateDict} returned, also after a round trip through JSON, of a generator with equally
   *   many examples and an equal configuration.
   * @throws TypeError or RangeError, with nothing changed, for a state of another data length or configuration, of data
   *   whose embeddings differ or whose texts or qualities give another order or other batches, or a damaged one. Delete
   *   `state.fingerprint` to go on with other embeddings.
   */
  loadStateDict(state: BatchGeneratorState): void {
    const taken = epochDataOf(this.data, this.config, this.#taken);
    const { noDuplicates, dropLast, sampleWeights, shard } = this.config;
    const config = fingerprintOf(this.config);
    const parsed = parseState(state, this.data.length, config, {
      order: !this.#isReproducible,
      starts: Boolean(noDuplicates),
      permutation: this._createIndices === createIndices && !sampleWeights && !shard && !(noDuplicates && dropLast),
    });
    checkDataFingerprint('loadStateDict', state.fingerprint, this.data);
    const { epoch, currentIndex, stepsBefore, orderHash, order } = parsed;
    const cut: EpochCut = order ? { indices: order.indices, starts: order.starts } : this.#cut(epoch, taken);
    if (!order && orderHash !== undefined && orderHash !== hashOfCut(cut))
      throw new RangeError('loadStateDict: state is of other batches than this data and configuration give');
    const batchesDone = order?.changed?.batchesDone ?? batchesBefore(cut, currentIndex, this.config);
    if (batchesDone === undefined || currentIndex > cut.indices.length)
      throw new RangeError(`loadStateDict: state.currentIndex must be where a batch starts, got ${currentIndex}`);
    this.#stand(epoch, currentIndex, { ...taken, examples: order?.changed?.dataLength ?? taken.examples }, cut);
    this.#origin = order?.changed ? undefined : this.#originOf(epoch, cut, config);
    this.#made = { batches: batchesDone, end: currentIndex };
    this.#steps.forget();
    if (stepsBefore !== undefined) this.#steps.set(epoch, stepsBefore);
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
    checkConfig(this.config);
    checkArray('BatchGenerator', 'data', this.data);
    const isCounted = !this.#lengthVaries || this.#steps.has(this.epoch);
    const steps = isCounted ? this.#batchesBefore() + this.#batchesDone + this.remaining : undefined;
    this.#begin(this.epoch + 1);
    if (steps !== undefined) this.#steps.set(this.epoch, steps);
  }

  /** Number of batches an epoch: of this one, where `noDuplicates` makes epochs differ. */
  get length(): number {
    return this.#starts ? this.#starts.length - 1 : plainLength(this.data.length, this.config);
  }

  /** Number of batches left in this epoch. */
  get remaining(): number {
    if (this.#starts) return this.length - this.#batchesDone;
    return batchesIn(this.indices.length - this.currentIndex, this.config);
  }

  /** Number of batches of this epoch that are done. */
  get #batchesDone(): number {
    if (this.#starts) return indexAbove(this.#starts, this.currentIndex) - 1;
    // Whoever sets `currentIndex` goes to the batch there.
    if (this.#made.end === this.currentIndex) return this.#made.batches;
    return Math.ceil(this.currentIndex / this.config.batchSize);
  }

  /** Number of batches in all epochs before this one. */
  #batchesBefore(): number {
    if (!this.#lengthVaries) return this.#steps.beforeEqual(this.epoch, this.length);
    // No seed tells what an epoch was that was not counted: it is taken for one like this.
    return this.#steps.before(this.epoch, epoch =>
      this.#isReproducible && this.data.length === this.#taken.examples
        ? this.#cut(epoch, this.#taken).starts!.length - 1
        : this.length,
    );
  }

  /** Whether epochs may differ in their number of batches: where the duplicates among their examples do. */
  get #lengthVaries(): boolean {
    const { noDuplicates, dropLast, sampleWeights } = this.config;
    return Boolean(noDuplicates && this.#starts && this.data.length > 0 && (dropLast || sampleWeights));
  }

  /** Whether the order is a function of the configuration and the epoch. */
  get #isReproducible(): boolean {
    const { seed, shuffle, sampleWeights } = this.config;
    return isSeed(seed) || !(shuffle || sampleWeights);
  }
}

/** The methods themselves, so that a patched prototype is an override too. */
const { _createIndices: createIndices, _cosineSimilarity: originalSimilarity } = BatchGenerator.prototype;
