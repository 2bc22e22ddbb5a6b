import { type Adapter, type AdapterGradients, sumInOrder, type TensorFile, unpackGradients } from '../index.js';
import { checkKnownNames } from '../internal/known-names.js';
import { inWords } from '../internal/validate/messages.js';
import { checkCount, checkFunction, checkNumber, checkObject } from '../internal/validate/option-checks.js';
import { groupRowsOf } from '../kernels/anchor-groups.js';
import { checkSignal } from './map-shards.js';
import { type TrainingJobsOptions, WeightJobs } from './weight-jobs.js';

export interface DataParallelOptions extends TrainingJobsOptions {
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
   * Anchors per job, a multiple of 256. With an adapter of more than 32 ranks, a multiple of 1024. The result does not
   * depend on it. Choose a small one if some workers are much slower than others.
   *
   * @default the batch is shared out evenly among the threads of all workers, which are counted every five seconds
   */
  chunk?: number;
  /**
   * The workers' name of a `gradientTask`.
   *
   * @default 'gradients'
   */
  task?: string;
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

/**
 * Synchronous training on many workers: each computes the gradients of a part of the batch, against all answers of the
 * batch. The gradients are summed in order here, and the optimizer takes its step here. So the weights have the bits that
 * one process gives, with any number of workers, and also if workers die.
 *
 * It pays for batches of some thousand rows: the guide has measured times. Restart it as any training: save adapters
 * and optimizer, and go on with the next step.
 */
export class DataParallel {
  readonly #options: DataParallelOptions;
  readonly #group: number;
  readonly #jobs: WeightJobs;

  /** @throws TypeError or RangeError for wrong options. */
  constructor(options: DataParallelOptions) {
    const call = 'DataParallel';
    checkKnownNames(call, options, NAMES);
    const { adapters, optimizer, batchSize, penalty, chunk, task = 'gradients' } = options;
    this.#jobs = new WeightJobs(call, task, options);
    checkObject(call, 'optimizer', optimizer);
    checkFunction(call, 'optimizer.step', optimizer.step);
    checkCount(call, 'batchSize', batchSize);
    if (penalty !== undefined) {
      checkObject(call, 'penalty', penalty);
      checkFunction(call, 'penalty.addPenaltyGradient', penalty.addPenaltyGradient);
    }
    this.#group = groupRowsOf([...adapters.values()]);
    if (chunk !== undefined && checkCount(call, 'chunk', chunk) % this.#group !== 0)
      throw new RangeError(`${call}: chunk must be a multiple of ${this.#group} with these adapters, got ${chunk}`);
    this.#options = { ...options };
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
    const call = 'DataParallel.step';
    checkNumber(call, 'lr', lr, { min: 0 });
    return this.#jobs.alone(call, async () => {
      const { loss, gradients } = await this.gradients(step, options);
      const { adapters, penalty, optimizer } = this.#options;
      penalty?.addPenaltyGradient(adapters, gradients);
      optimizer.step(gradients, lr);
      return { loss };
    });
  }

  /**
   * Loss and gradients of a step, without a step.
   *
   * @throws TypeError or RangeError for wrong arguments. Error if a job failed at every attempt, or if workers have
   *   different data.
   */
  async gradients(step: number, options: { signal?: AbortSignal } = {}): Promise<GradientsOfStep> {
    const call = 'DataParallel.gradients';
    checkCount(call, 'step', step, 0);
    checkKnownNames(call, options, ['signal']);
    const { signal } = options;
    const { adapters, batchSize } = this.#options;
    checkSignal(call, signal);
    const chunk = await this.#chunk(call, signal);
    const payloads = Array.from({ length: Math.ceil(batchSize / chunk) }, (_, i) => {
      return { step, from: i * chunk, to: Math.min((i + 1) * chunk, batchSize) };
    });
    const results = await this.#jobs.run(call, payloads, { signal });
    const parts = results.map((result, i): Part => {
      const label = `${call}: step ${step}, rows ${payloads[i]!.from} to ${payloads[i]!.to}`;
      if ('error' in result) throw new Error(`${label}: ${result.error.message}`, { cause: result.error });
      return partOf(label, result as TensorFile);
    });
    return summed(`${call}: step ${step}`, adapters, parts, batchSize);
  }

  /** Anchors per job. */
  async #chunk(call: string, signal: AbortSignal | undefined): Promise<number> {
    const { batchSize, chunk } = this.#options;
    if (chunk !== undefined) return chunk;
    const threads = Math.max(await this.#jobs.threads(call, signal), 1);
    return Math.ceil(Math.ceil(batchSize / this.#group) / threads) * this.#group;
  }

  /** Ends the connection that waits for results. The queue stays open. */
  async close(): Promise<void> {
    await this.#jobs.close();
  }
}

/** The result of a job. Each direction of the loss has its groups in order. */
interface Part {
  rows: number;
  checksum: string;
  directions: { losses: Float64Array; temperatures: Float64Array; gradients: Float32Array[] }[];
}

function partOf(label: string, { tensors, metadata }: TensorFile): Part {
  const [gradients, losses, temperatures] = ['gradients', 'losses', 'temperatures'].map(name => tensors.get(name));
  const [directions, groups, size] = gradients?.shape ?? [];
  const isWhole =
    gradients?.data instanceof Float32Array &&
    gradients.shape.length === 3 &&
    losses?.data instanceof Float64Array &&
    temperatures?.data instanceof Float64Array &&
    [losses, temperatures].every(({ data }) => data.length === directions! * groups!);
  if (!isWhole) throw new Error(`${label}: the result is not that of a gradientTask`);
  const [flat, ofLosses, ofTemperatures] = [gradients, losses, temperatures].map(({ data }) => data);
  const rowOf = <Data extends Float32Array | Float64Array>(data: unknown, row: number, length: number): Data =>
    (data as Data).subarray(row * length, (row + 1) * length) as Data;
  return {
    rows: Number(metadata.rows),
    checksum: metadata.checksum ?? '',
    directions: Array.from({ length: directions! }, (_, d) => ({
      losses: rowOf<Float64Array>(ofLosses, d, groups!),
      temperatures: rowOf<Float64Array>(ofTemperatures, d, groups!),
      gradients: Array.from({ length: groups! }, (_, i) => rowOf<Float32Array>(flat, d * groups! + i, size!)),
    })),
  };
}

/** Adds the groups in order: first those of one direction, then those of the other, as one process does. */
function summed(
  label: string,
  adapters: ReadonlyMap<string, Adapter>,
  parts: readonly Part[],
  batchSize: number,
): GradientsOfStep {
  const { rows, checksum, directions } = parts[0]!;
  const isOther = (part: Part): boolean =>
    part.rows !== rows || part.checksum !== checksum || part.directions.length !== directions.length;
  if (parts.some(isOther))
    throw new Error(`${label}: workers have different batches; all need the same data, seed and options`);
  if (!(rows >= 1 && rows <= batchSize))
    throw new RangeError(`${label}: the workers' batch has ${inWords(rows, 'row')}, but batchSize is ${batchSize}`);
  const total = (of: 'losses' | 'temperatures'): number =>
    directions
      .map((_, d) => parts.flatMap(part => [...part.directions[d]![of]]).reduce((sum, each) => sum + each, 0))
      .reduce((sum, each) => sum + each / directions.length, 0);
  const flat = sumInOrder(directions.map((_, d) => sumInOrder(parts.flatMap(part => part.directions[d]!.gradients))));
  if (directions.length > 1) for (let k = 0; k < flat.length; k++) flat[k]! /= directions.length;
  const loss = total('losses');
  if (!Number.isFinite(loss)) throw new Error(`${label}: the loss is ${loss}`);
  return {
    loss,
    temperatureGradient: total('temperatures'),
    gradients: unpackGradients(adapters, flat),
    rows,
  };
}
