import { randomUUID } from 'node:crypto';
import type { Queue } from 'bullmq';
import { type Adapter, type AdapterGradients, packWeights, sumInOrder, unpackGradients } from '../index.js';
import { checkKnownNames } from '../internal/known-names.js';
import { inWords } from '../internal/validate/messages.js';
import { checkCount, checkFunction, checkMap, checkNumber, checkObject } from '../internal/validate/option-checks.js';
import { groupRowsOf } from '../kernels/anchor-groups.js';
import { type Blobs, bytesOf, checkBlobs } from './blobs.js';
import type { JobRequest } from './job-data.js';
import { checkQueue, JobRuns } from './job-runs.js';
import { checkSignal, checkTaskName } from './map-shards.js';
import { ownRequirements } from './requirements.js';
import { tensorsOf } from './results.js';

export interface DataParallelOptions {
  /** A `Queue` of BullMQ. */
  queue: Queue;
  /** The store of the workers. */
  blobs: Blobs;
  /** The adapters to train. Their names, order and shapes are those of the workers' task. */
  adapters: ReadonlyMap<string, Adapter>;
  /** Takes the steps, here alone: an `AdamW` or `SGD` over the adapters. */
  optimizer: { step(gradients: ReadonlyMap<string, AdapterGradients>, lr?: number): void };
  /** Most rows of a batch. The last batch of an epoch may have fewer. */
  batchSize: number;
  /**
   * Adds to the gradients of a step before the optimizer reads them: an `EWCManager`, say.
   *
   * @default nothing is added
   */
  penalty?: {
    addPenaltyGradient(adapters: ReadonlyMap<string, Adapter>, gradients: ReadonlyMap<string, AdapterGradients>): void;
  };
  /**
   * Anchors per job, a multiple of 256. With an adapter of more than 32 ranks, a multiple of 1024.
   *
   * @default 256, or 1024
   */
  chunk?: number;
  /**
   * The workers' name of a `gradientTask`.
   *
   * @default 'gradients'
   */
  task?: string;
  /**
   * How often a job is tried.
   *
   * @default 3
   */
  attempts?: number;
}

/** Loss and gradients of a step, as those of one call of `LossComputer.contrastive`. */
export interface GradientsOfStep {
  loss: number;
  temperatureGradient: number;
  /** Gradients by adapter. */
  gradients: Map<string, { gradA: readonly Float32Array[]; gradB: readonly Float32Array[] }>;
  /** Number of rows of the batch. */
  rows: number;
}

const NAMES = ['queue', 'blobs', 'adapters', 'optimizer', 'batchSize', 'penalty', 'chunk', 'task', 'attempts'];

/** Results are read at once. They stay for as long as a slow step may take. */
const KEEP_SECONDS = 3600;

/**
 * Synchronous training on many workers: each computes the gradients of a part of the batch, against all answers of the
 * batch. The gradients are summed in order here, and the optimizer takes its step here. So the weights have the bits that
 * one process gives, with any number of workers, and also if workers die.
 *
 * It pays for batches of several thousand rows: the guide has measured times. Restart it as any training: save adapters
 * and optimizer, and go on with the next step.
 */
export class DataParallel {
  readonly #options: Required<Omit<DataParallelOptions, 'penalty'>> & { penalty: DataParallelOptions['penalty'] };
  readonly #group: number;
  readonly #runs: JobRuns;
  /** Sets the jobs of this coordinator apart from those of others on the queue. */
  readonly #run = randomUUID();
  #count = 0;

  /** @throws TypeError or RangeError for wrong options. */
  constructor(options: DataParallelOptions) {
    const call = 'DataParallel';
    checkKnownNames(call, options, NAMES);
    const { queue, blobs, adapters, optimizer, batchSize, task = 'gradients', attempts = 3 } = options;
    checkQueue(call, queue);
    checkBlobs(call, blobs);
    checkMap(call, 'adapters', adapters);
    packWeights(adapters);
    checkObject(call, 'optimizer', optimizer);
    checkFunction(call, 'optimizer.step', optimizer.step);
    checkCount(call, 'batchSize', batchSize);
    checkTaskName(call, 'task', task);
    checkCount(call, 'attempts', attempts);
    if (options.penalty !== undefined) {
      checkObject(call, 'penalty', options.penalty);
      checkFunction(call, 'penalty.addPenaltyGradient', options.penalty.addPenaltyGradient);
    }
    this.#group = groupRowsOf([...adapters.values()]);
    const chunk = checkCount(call, 'chunk', options.chunk ?? this.#group);
    if (chunk % this.#group !== 0)
      throw new RangeError(`${call}: chunk must be a multiple of ${this.#group} with these adapters, got ${chunk}`);
    const { penalty } = options;
    this.#options = { queue, blobs, adapters, optimizer, batchSize, penalty, task, attempts, chunk };
    this.#runs = new JobRuns(queue);
  }

  /**
   * One step of training.
   *
   * @param step Number of the step, which workers pass to `batch`.
   * @param lr Learning rate, 0 or more.
   * @returns The loss of the batch before the step.
   * @throws As {@link gradients}, with the adapters unchanged.
   */
  async step(step: number, lr: number, options: { signal?: AbortSignal } = {}): Promise<{ loss: number }> {
    checkNumber('DataParallel.step', 'lr', lr, { min: 0 });
    const { loss, gradients } = await this.gradients(step, options);
    const { adapters, penalty, optimizer } = this.#options;
    penalty?.addPenaltyGradient(adapters, gradients);
    optimizer.step(gradients, lr);
    return { loss };
  }

  /**
   * Loss and gradients of a step, without a step.
   *
   * @throws TypeError or RangeError for wrong arguments. Error if a job failed at every attempt, or if workers have
   *   different data.
   */
  async gradients(step: number, { signal }: { signal?: AbortSignal } = {}): Promise<GradientsOfStep> {
    const call = 'DataParallel.gradients';
    checkCount(call, 'step', step, 0);
    checkSignal(call, signal);
    const { adapters, blobs, batchSize, chunk, task, attempts } = this.#options;
    const weights = packWeights(adapters);
    const name = `${this.#run}-${this.#count++}`;
    const weightsKey = `${name}/weights`;
    const requires = ownRequirements();
    const requests = Array.from({ length: Math.ceil(batchSize / chunk) }, (_, i): JobRequest => {
      const payload = { step, from: i * chunk, to: Math.min((i + 1) * chunk, batchSize), group: this.#group };
      return { id: `${name}-${i}`, name: task, data: { payload, blobs: { weights: weightsKey }, requires } };
    });
    const results: string[] = [];
    await blobs.put(weightsKey, bytesOf(weights));
    try {
      const outcomes = await this.#runs.run(requests, { attempts, keepSeconds: KEEP_SECONDS, signal, isFresh: true });
      const parts = await Promise.all(
        outcomes.map(async (outcome, i) => {
          const label = `${call}: step ${step}, rows ${i * chunk} to ${Math.min((i + 1) * chunk, batchSize)}`;
          if (outcome && 'result' in outcome && 'blob' in outcome.result) results.push(outcome.result.blob);
          return partOf(label, await tensorsOf(label, blobs, outcome));
        }),
      );
      return summed(`${call}: step ${step}`, adapters, parts, batchSize);
    } finally {
      await blobs.delete([weightsKey, ...results]);
    }
  }

  /** Ends the connection that waits for results. The queue stays open. */
  async close(): Promise<void> {
    await this.#runs.close();
  }
}

/** The result of a job: one row of gradients per group, or two with `symmetric`. */
interface Part {
  rows: number;
  checksum: string;
  symmetric: boolean;
  losses: Float64Array;
  temperatures: Float64Array;
  gradients: Float32Array[];
}

function partOf(label: string, { tensors, metadata }: Awaited<ReturnType<typeof tensorsOf>>): Part {
  const [gradients, losses, temperatures] = ['gradients', 'losses', 'temperatures'].map(name => tensors.get(name));
  const isWhole =
    gradients?.data instanceof Float32Array &&
    losses?.data instanceof Float64Array &&
    temperatures?.data instanceof Float64Array &&
    gradients.shape.length === 2 &&
    gradients.shape[0] === losses.data.length &&
    losses.data.length === temperatures.data.length;
  if (!isWhole) throw new Error(`${label}: the result is not that of a gradientTask`);
  const flat = gradients.data as Float32Array;
  const size = gradients.shape[1]!;
  return {
    rows: Number(metadata.rows),
    checksum: metadata.checksum ?? '',
    symmetric: metadata.symmetric === 'true',
    losses: losses.data as Float64Array,
    temperatures: temperatures.data as Float64Array,
    gradients: Array.from({ length: gradients.shape[0]! }, (_, i) => flat.subarray(i * size, (i + 1) * size)),
  };
}

/** Adds the groups in order: first those of one direction, then those of the other, as one process does. */
function summed(
  label: string,
  adapters: ReadonlyMap<string, Adapter>,
  parts: readonly Part[],
  batchSize: number,
): GradientsOfStep {
  const { rows, checksum, symmetric } = parts[0]!;
  if (parts.some(part => part.rows !== rows || part.checksum !== checksum || part.symmetric !== symmetric))
    throw new Error(`${label}: workers have different batches; all need the same data, seed and options`);
  if (!(rows >= 1 && rows <= batchSize))
    throw new RangeError(`${label}: the workers' batch has ${inWords(rows, 'row')}, but batchSize is ${batchSize}`);
  const directions = symmetric ? 2 : 1;
  const half = <Value>(values: readonly Value[], direction: number): Value[] =>
    values.filter((_, i) => i % directions === direction);
  const total = (of: (part: Part) => Float64Array): number => {
    const values = parts.flatMap(part => [...of(part)]);
    const sums = Array.from({ length: directions }, (_, d) => half(values, d).reduce((sum, each) => sum + each, 0));
    return sums.reduce((sum, each) => sum + each / directions, 0);
  };
  const all = parts.flatMap(({ gradients }) => gradients);
  const sums = Array.from({ length: directions }, (_, direction) => sumInOrder(half(all, direction)));
  const flat = sumInOrder(sums);
  if (symmetric) for (let k = 0; k < flat.length; k++) flat[k]! /= 2;
  return {
    loss: total(({ losses }) => losses),
    temperatureGradient: total(({ temperatures }) => temperatures),
    gradients: unpackGradients(adapters, flat),
    rows,
  };
}
