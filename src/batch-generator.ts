import { checkExample } from './batch-generator/check-data.js';
import { checkDataFingerprint, dataFingerprintOf } from './batch-generator/data-fingerprint.js';
import { Epoch, originOf } from './batch-generator/epoch.js';
import { batchesBefore, cutEpoch, type EpochCut, hashOfCut } from './batch-generator/epoch-cut.js';
import { type EpochData, epochDataOf } from './batch-generator/epoch-data.js';
import { type BatchGeneratorState, configFingerprint, parseState } from './batch-generator/generator-state.js';
import { mineNegatives } from './batch-generator/negative-mining.js';
import {
  type BatchGeneratorConfig,
  type BatchGeneratorOptions,
  checkConfig,
  parseOptions,
} from './batch-generator/options.js';
import { isReproducible, orderOf } from './batch-generator/order.js';
import { hardestBy } from './batch-generator/overridden-similarity.js';
import { ownNegativesOf } from './batch-generator/own-negatives.js';
import { StepBatches } from './batch-generator/step-batches.js';
import { StepCounts } from './batch-generator/step-counts.js';
import { overrideOf } from './internal/overrides.js';
import { mix } from './internal/random.js';
import { checkArray, checkCount, checkIterable, throwNonFinite } from './internal/validate.js';
import { kernels } from './kernels/index.js';
import { withJson } from './kernels/matrix.js';
import { cosineOf } from './kernels/vector.js';
import type { Batch, EmbeddedExample, ProcessedExample, Stateful, TrainingStep, Vector } from './types.js';

/**
 * Cuts data into batches. A generator is an iterator: a `for` loop runs through one epoch, and `reset()` starts the next.
 * `epochs(total)` does both.
 *
 * Callers may write to `data` and `config`. The order and the cut use them as they are when an epoch starts, or at `reset`,
 * `setEpoch` or `loadStateDict`. They are checked at these times. The content of a batch is read when the batch is made.
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
  /** Position of the next batch in `indices`. */
  currentIndex = 0;
  /** The current epoch, from 0. */
  epoch = 0;
  /** Order of the current epoch, as indices into `data`. */
  indices!: number[];

  #current!: Epoch;
  readonly #steps = new StepCounts();
  /** For {@link at}. */
  #batches: StepBatches | undefined;

  /**
   * @param data Examples with `inputEmb` and `outputEmb`, as `DataPreprocessor.process` returns them. May be empty. Own
   *   negatives of the examples (`negativeEmb`, or k rows in `negativeEmbs`) become `batch.negatives`: k rows per anchor,
   *   anchor by anchor, for `negativeMode: 'own'` of `LossComputer.contrastive`. All examples must have equally many.
   * @throws TypeError or RangeError that names the option or the example, and the value. RangeError where examples have
   *   own negatives and negatives are to be mined as well.
   */
  constructor(data: Iterable<E>, config: BatchGeneratorOptions<NoInfer<E>> = {}) {
    this.config = parseOptions<E>(config);
    checkIterable('BatchGenerator', 'data', data);
    this.data = [...data];
    this.#begin('BatchGenerator', 0);
  }

  /** The generator itself. A loop continues where the generator stands, and needs `reset()` after an epoch. */
  [Symbol.iterator](): this {
    return this;
  }

  /**
   * The next batch of this epoch.
   *
   * @throws TypeError or RangeError where `config` or the batch's examples were changed to something invalid.
   */
  next(): IteratorResult<Batch<E>, undefined> {
    const call = 'BatchGenerator.next';
    checkConfig(call, this.config);
    const end = this.#current.endOfNext(this);
    if (end === undefined) return { done: true, value: undefined };
    const indices = this.indices.slice(this.currentIndex, end);
    const examples = indices.map(i => this.data[i]!);
    examples.forEach((example, i) => {
      checkExample(call, example, indices[i]!);
    });
    const anchors = examples.map(example => example.inputEmb);
    const positives = examples.map(example => example.outputEmb);
    const negatives = this.#negativesOf(call, { examples, indices, anchors, positives });
    this.#current.countNext(this, end);
    this.currentIndex = end;
    for (const rows of [anchors, positives, negatives]) if (rows && Object.isExtensible(rows)) withJson(rows);
    return { done: false, value: { examples, anchors, positives, negatives, size: examples.length } };
  }

  /** The examples' own negatives, or mined ones. Null without either. */
  #negativesOf(
    call: string,
    made: Pick<Batch<E>, 'examples' | 'anchors' | 'positives'> & { indices: number[] },
  ): E['outputEmb'][] | null {
    const { examples, indices, anchors, positives } = made;
    const { hardNegatives, negativeMining } = this.config;
    const { ownNegatives } = this.#current.data;
    if (ownNegatives > 0) return [...ownNegativesOf(call, examples, indices, ownNegatives)];
    if (hardNegatives) return this._mineHardNegatives(anchors, positives);
    if (!negativeMining) return null;
    return mineNegatives(examples, {
      call,
      config: this.config,
      mining: negativeMining,
      indices,
      similarity: overrideOf(this, this._cosineSimilarity, originalSimilarity),
      stream: mix(this.epoch) ^ this.currentIndex,
    });
  }

  /**
   * Batches of all epochs from where the generator stands, until `total` epochs are done, counted from epoch 0. The
   * generator then stands at the start of epoch `total`. A later call with a greater total continues from there. If an
   * epoch has no batch, there are no batches at all.
   *
   * @param total Number of epochs, at least 0.
   * @throws TypeError or RangeError for a `total` that is not such a number.
   */
  epochs(total: number): Generator<TrainingStep<E>, void, undefined> {
    return this.#epochs(checkCount('BatchGenerator.epochs', 'total', total, 0));
  }

  *#epochs(total: number): Generator<TrainingStep<E>, void, undefined> {
    while (this.epoch < total && (this.length > 0 || this.#current.lengthVaries(this))) {
      const step = this.#batchesBefore('BatchGenerator.epochs') + this.#current.batchesDone(this);
      const { done, value: batch } = this.next();
      if (done) this.reset();
      else yield { epoch: this.epoch, step, batch };
    }
  }

  /**
   * The batch of one step, numbered as {@link epochs} numbers steps, for workers that share a seed and the data. Steps may
   * come in any order. The generator stays where it stands.
   *
   * @param step Number of batches before this one in all epochs, at least 0.
   * @throws TypeError or RangeError for another `step`, a missing `seed`, data that make no batch, and invalid changes.
   */
  at(step: number): TrainingStep<E> {
    const call = 'BatchGenerator.at';
    checkCount(call, 'step', step, 0);
    if (!isReproducible(this.config))
      throw new RangeError(`${call}: seed is missing, so the order cannot be made again`);
    const batches = this.#stepBatches(call);
    const { epoch, cut, start } = batches.find(call, step, this.config);
    const standing = [this.#current, this.epoch, this.currentIndex, this.indices] as const;
    try {
      this.#stand(new Epoch(batches.data, cut.starts, undefined), epoch, start, cut.indices);
      return { epoch, step, batch: this.next().value! };
    } finally {
      this.#stand(...standing);
    }
  }

  #stepBatches(call: string): StepBatches {
    const key = [this.data, this.data.length, JSON.stringify(configFingerprint(this.config))];
    if (this.#batches?.isOf(key)) return this.#batches;
    const data = epochDataOf(call, this.data, this.config, this.#current.data);
    this.#batches = new StepBatches({ key, data, cut: epoch => this.#cut(call, epoch, data) });
    return this.#batches;
  }

  /**
   * Starts the next epoch with a new order.
   *
   * @throws TypeError or RangeError where `data` or `config` were changed to something invalid. Nothing has changed then.
   */
  reset(): void {
    const call = 'BatchGenerator.reset';
    checkConfig(call, this.config);
    checkArray(call, 'data', this.data);
    const isCounted = !this.#current.lengthVaries(this) || this.#steps.has(this.epoch);
    const left = this.remaining;
    const steps = isCounted ? this.#batchesBefore(call) + this.#current.batchesDone(this) + left : undefined;
    this.#begin(call, this.epoch + 1);
    if (steps !== undefined) this.#steps.set(this.epoch, steps);
  }

  /**
   * Starts an epoch from its first batch, whatever was done before. `setEpoch(0)` is a fresh start.
   *
   * @param epoch Number of the epoch, at least 0.
   * @throws TypeError or RangeError for an `epoch` that is not such a number, and where `data` or `config` were changed to
   *   something invalid. Nothing has changed then.
   */
  setEpoch(epoch: number): void {
    const call = 'BatchGenerator.setEpoch';
    checkCount(call, 'epoch', epoch, 0);
    const before = this.#current;
    this.#begin(call, epoch);
    // Counts of other data or another configuration do not lead to this epoch.
    if (!this.#current.isLike(before)) this.#steps.forget();
  }

  /**
   * Where the generator stands, between any two batches, as plain data for JSON. With a `seed`, the state is a few numbers.
   * It holds the epoch's order without a seed, or if `config`, `indices` or the length of `data` were changed in
   * mid-epoch.
   */
  stateDict(): BatchGeneratorState {
    const { epoch, currentIndex, indices } = this;
    const config = configFingerprint(this.config);
    const origin = originOf(epoch, { indices, starts: this.#current.starts }, config);
    const fingerprint = dataFingerprintOf(this.data);
    const order = this.#current.orderToSave(this, origin);
    return structuredClone({
      dataLength: this.data.length,
      config,
      epoch,
      currentIndex,
      stepsBefore: this.#batchesBefore('BatchGenerator.stateDict'),
      orderHash: origin.hash,
      ...(fingerprint !== undefined && { fingerprint }),
      ...(order && { order }),
    });
  }

  /**
   * Moves to where a state was taken. With a `seed`, everything that follows is then the same as there. Without a seed, the
   * rest of the epoch is.
   *
   * @param state What {@link stateDict} returned, also after a round trip through JSON. It must come from a generator with
   *   equally many examples and an equal configuration.
   * @throws TypeError or RangeError for a damaged state, and for a state of another data length, another configuration,
   *   other embeddings, or data whose texts or qualities give another order or other batches. Nothing has changed then.
   *   Delete `state.fingerprint` to continue with other embeddings.
   */
  loadStateDict(state: BatchGeneratorState): void {
    const call = 'BatchGenerator.loadStateDict';
    const taken = epochDataOf(call, this.data, this.config, this.#current.data);
    const { noDuplicates, dropLast, sampleWeights, shard } = this.config;
    const isWholeOrder = !sampleWeights && !shard && !(noDuplicates && dropLast);
    const config = configFingerprint(this.config);
    const { epoch, currentIndex, stepsBefore, orderHash, order } = parseState(state, this.data.length, config, {
      order: !isReproducible(this.config),
      starts: Boolean(noDuplicates),
      permutation: isWholeOrder && !overrideOf(this, this._createIndices, createIndices),
    });
    checkDataFingerprint(call, state.fingerprint, this.data);
    const cut = order ? { indices: order.indices, starts: order.starts } : this.#cut(call, epoch, taken);
    if (!order && orderHash !== undefined && orderHash !== hashOfCut(cut))
      throw new RangeError(`${call}: state is of other batches than this data and configuration give`);
    const batches = order?.changed?.batchesDone ?? batchesBefore(cut, currentIndex, this.config);
    if (batches === undefined || currentIndex > cut.indices.length)
      throw new RangeError(`${call}: state.currentIndex must be where a batch starts, got ${currentIndex}`);
    const origin = order?.changed ? undefined : originOf(epoch, cut, config);
    const examples = order?.changed?.dataLength ?? taken.examples;
    const loaded = new Epoch({ ...taken, examples }, cut.starts, origin, { batches, end: currentIndex });
    this.#stand(loaded, epoch, currentIndex, cut.indices);
    this.#steps.forget();
    if (stepsBefore !== undefined) this.#steps.set(epoch, stepsBefore);
  }

  /** Number of batches per epoch. If `noDuplicates` makes epochs differ, the number of batches in this one. */
  get length(): number {
    return this.#current.length(this);
  }

  /** Number of batches left in this epoch. */
  get remaining(): number {
    return this.#current.remaining(this);
  }

  /**
   * The order of the current epoch over all shards: a Fisher–Yates shuffle or weighted draws, then the sort of the
   * curriculum.
   */
  _createIndices(): number[] {
    return orderOf(this.data, this.config, this.epoch);
  }

  /** For each anchor, the most similar positive of another row. In a batch of one, the anchor's positive. */
  _mineHardNegatives<V extends Vector>(anchors: readonly Vector[], positives: readonly V[]): V[] {
    const similarity = overrideOf(this, this._cosineSimilarity, originalSimilarity);
    const hardest = similarity
      ? hardestBy(similarity, anchors, positives)
      : kernels().hardestNegatives(anchors, positives);
    return anchors.map((_, i) => {
      const index = hardest[i]!;
      if (index < 0 && positives.length > 1) throwNonFinite('BatchGenerator.next', { anchors, positives });
      return positives[index < 0 ? (i + 1) % positives.length : index]!;
    });
  }

  /** Cosine similarity over the shorter of two rows. */
  _cosineSimilarity(a: Vector, b: Vector): number {
    return cosineOf(a, b);
  }

  #begin(call: string, epoch: number): void {
    const taken = epochDataOf(call, this.data, this.config, this.#current?.data);
    const cut = this.#cut(call, epoch, taken);
    const origin = originOf(epoch, cut, configFingerprint(this.config));
    this.#stand(new Epoch(taken, cut.starts, origin), epoch, 0, cut.indices);
  }

  /** Orders an epoch and cuts it into batches. */
  #cut(call: string, epoch: number, { labels }: EpochData): EpochCut {
    const now = this.epoch;
    this.epoch = epoch;
    try {
      return cutEpoch(call, this._createIndices(), labels, this.config);
    } finally {
      this.epoch = now;
    }
  }

  #stand(current: Epoch, epoch: number, currentIndex: number, indices: number[]): void {
    this.#current = current;
    this.epoch = epoch;
    this.currentIndex = currentIndex;
    this.indices = indices;
  }

  /** Number of batches in all epochs before this one. */
  #batchesBefore(call: string): number {
    if (!this.#current.lengthVaries(this)) return this.#steps.beforeEqual(this.epoch, this.length);
    const { data } = this.#current;
    const isKnown = isReproducible(this.config) && this.data.length === data.examples;
    // Without a seed, an epoch that was not counted cannot be made again. It counts as one like this.
    return this.#steps.before(this.epoch, epoch =>
      isKnown ? this.#cut(call, epoch, data).starts!.length - 1 : this.length,
    );
  }
}

/** The class's methods. Read here, so that a patched prototype counts as an override. */
const { _createIndices: createIndices, _cosineSimilarity: originalSimilarity } = BatchGenerator.prototype;
