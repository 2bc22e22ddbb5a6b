import { withDefaults } from './internal/options.js';
import { randomFor } from './internal/random.js';
import {
  checkCount,
  checkFinite,
  checkIterable,
  checkNumber,
  checkObject,
  checkSeed,
  checkVector,
  throwNonFinite,
} from './internal/validate.js';
import { kernels } from './kernels/index.js';
import { cosine } from './kernels/vector.js';
import type { Batch, EmbeddedExample, ProcessedExample, Rows, Vector } from './types.js';

export interface BatchGeneratorOptions {
  /** Examples a batch. Default 8. */
  batchSize?: number;
  /** Whether each epoch has a new random order. Default true. */
  shuffle?: boolean;
  /** Whether a last batch of fewer than `batchSize` examples is left out. Default false. */
  dropLast?: boolean;
  /** Whether to mine for each anchor the most similar positive of another example of the batch. Default false. */
  hardNegatives?: boolean;
  /** Whether early epochs run from high to low quality. Sorts after the shuffle, which so decides ties. Default false. */
  curriculum?: boolean;
  /** Number of epochs that are sorted when `curriculum` is on. Default 5. */
  curriculumEpochs?: number;
  /** Seed (uint32): the order is then a function of seed and epoch alone. Default: `Math.random`. */
  seed?: number;
}

/** The configuration with its defaults filled in. */
export type BatchGeneratorConfig = Required<Omit<BatchGeneratorOptions, 'seed'>> & Pick<BatchGeneratorOptions, 'seed'>;

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
  /** Number of `reset` calls so far. */
  epoch = 0;
  /** Order of this epoch, as indices into `data`. */
  indices: number[];

  /**
   * @param data Examples with `inputEmb` and `outputEmb`, as `DataPreprocessor.process` returns them. May be empty.
   * @throws TypeError or RangeError that names the option or the example and the value.
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
    this.indices = this._createIndices();
  }

  /** The order of the current epoch: a Fisher–Yates shuffle, then the curriculum's sort. */
  _createIndices(): number[] {
    const indices = Array.from(this.data.keys());
    if (this.config.shuffle) {
      const random = randomFor(this.config.seed, this.epoch);
      for (let i = indices.length - 1; i > 0; i--) {
        const j = Math.floor(random() * (i + 1));
        const swapped = indices[i]!;
        indices[i] = indices[j]!;
        indices[j] = swapped;
      }
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
    const { batchSize, dropLast, hardNegatives } = this.config;
    checkCount('BatchGenerator', 'batchSize', batchSize);
    const end = Math.min(this.currentIndex + batchSize, this.indices.length);
    const size = end - this.currentIndex;
    if (size <= 0 || (dropLast && size < batchSize)) return { done: true, value: undefined };

    const examples = this.indices.slice(this.currentIndex, end).map(i => this.data[i]!);
    const anchors = examples.map(example => example.inputEmb);
    const positives = examples.map(example => example.outputEmb);
    const negatives = hardNegatives ? this._mineHardNegatives(anchors, positives) : null;
    this.currentIndex = end;
    return {
      done: false,
      value: { examples, anchors, positives, negatives, size },
    };
  }

  /**
   * Batches of all epochs from where the generator stands until `total` epochs, counted from epoch 0, are done. The
   * generator then stands at the start of epoch `total`, so a later call with a greater total goes on from there. Without a
   * single batch an epoch there are none at all.
   *
   * @param total Number of epochs.
   * @throws RangeError for a `total` that is not a count.
   */
  epochs(total: number): Generator<TrainingStep<E>, void, undefined> {
    return this.#epochs(checkCount('epochs', 'total', total, 0));
  }

  *#epochs(total: number): Generator<TrainingStep<E>, void, undefined> {
    while (this.epoch < total && this.length > 0) {
      const step = this.epoch * this.length + Math.ceil(this.currentIndex / this.config.batchSize);
      const { done, value: batch } = this.next();
      if (done) this.reset();
      else yield { epoch: this.epoch, step, batch };
    }
  }

  /**
   * For each anchor the most similar positive of another row; in a batch of one its own positive, as there is no other.
   */
  _mineHardNegatives<V extends Vector>(anchors: readonly Vector[], positives: readonly V[]): V[] {
    const hardest =
      this._cosineSimilarity === BatchGenerator.prototype._cosineSimilarity
        ? kernels().hardestNegatives(anchors, positives)
        : hardestBy((a, b) => this._cosineSimilarity(a, b), anchors, positives);
    return anchors.map((_, i) => {
      const index = hardest[i]!;
      if (index < 0 && positives.length > 1) throwNonFinite('BatchGenerator', { anchors, positives });
      return positives[index < 0 ? (i + 1) % positives.length : index]!;
    });
  }

  /** Cosine similarity over the shorter of two rows. */
  _cosineSimilarity(a: Vector, b: Vector): number {
    return cosine(a, b);
  }

  /** Starts the next epoch with a new order. */
  reset(): void {
    this.currentIndex = 0;
    this.epoch++;
    this.indices = this._createIndices();
  }

  /** Number of batches an epoch. */
  get length(): number {
    return this.#batchesIn(this.data.length);
  }

  /** Number of batches left in this epoch. */
  get remaining(): number {
    return this.#batchesIn(this.indices.length - this.currentIndex);
  }

  #batchesIn(examples: number): number {
    const batches = examples / this.config.batchSize;
    return this.config.dropLast ? Math.floor(batches) : Math.ceil(batches);
  }
}

function checkConfig(config: BatchGeneratorConfig): void {
  checkCount('BatchGenerator', 'batchSize', config.batchSize);
  checkNumber('BatchGenerator', 'curriculumEpochs', config.curriculumEpochs, { infinity: true });
  checkSeed('BatchGenerator', config.seed);
}

function copyData<E extends EmbeddedExample>(data: Iterable<E>): E[] {
  const call = 'BatchGenerator';
  checkIterable(call, 'data', data);
  const examples = [...data];
  examples.forEach((example, i) => {
    checkObject(call, `data[${i}]`, example);
    for (const name of ['inputEmb', 'outputEmb'] as const) {
      checkVector(call, `data[${i}].${name}`, example[name]);
      checkFinite(call, `data[${i}].${name}`, example[name]);
    }
    if (example.quality !== undefined && example.quality !== null)
      checkNumber(call, `data[${i}].quality`, example.quality);
  });
  return examples;
}

/** The plain search, for a subclass with a similarity of its own. */
function hardestBy(similarity: (a: Vector, b: Vector) => number, anchors: Rows, positives: Rows): Int32Array {
  return Int32Array.from(anchors, (anchor, i) => {
    let hardest = -1;
    let highest = -Infinity;
    positives.forEach((positive, j) => {
      if (j === i) return;
      const value = similarity(anchor, positive);
      if (value > highest) {
        highest = value;
        hardest = j;
      }
    });
    return hardest;
  });
}
