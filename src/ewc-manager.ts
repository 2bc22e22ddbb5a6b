import { mseGradients } from './ewc-manager/mse-gradients.js';
import { checkSampleSize, type EWCState, exportState, parseState } from './ewc-manager/state.js';
import {
  checkAdapter,
  checkAdapters,
  checkFiniteGradients,
  checkGradients,
  checkSameShape,
  describeAdapter,
} from './internal/adapters.js';
import { withDefaults } from './internal/options.js';
import { TypedEmitter } from './internal/typed-emitter.js';
import {
  checkArray,
  checkFinite,
  checkFiniteRows,
  checkFunction,
  checkNumber,
  checkObject,
  checkOptions,
  checkRowShapes,
  checkVector,
  describe,
  throwNonFinite,
} from './internal/validate.js';
import { kernels } from './kernels/index.js';
import { copyRows, float32Matrix, float64Matrix } from './kernels/matrix.js';
import type { Adapter, AdapterGradients, EmbeddedExample, Float32Row, MutableVector, Rows } from './types.js';

export interface EWCOptions {
  /** Strength of the penalty, 0 or more. Default 2000. */
  lambda?: number;
  /** Most examples used for the Fisher; of more data this many are drawn, with replacement. Default 200. */
  sampleSize?: number;
  /**
   * Pass `true` to divide each adapter's Fisher by its largest entry, so that `lambda` means the same for all tasks.
   * Without it the values stay as they are, as in the original, whose default `true` had no effect.
   */
  normalize?: boolean;
  /** Whether a new task's Fisher is averaged with the one before instead of taking its place. Default false. */
  online?: boolean;
}

/** The configuration with its defaults filled in. */
export type EWCConfig = Required<EWCOptions>;

export interface EWCStats {
  /** Number of `computeFisher` calls since the last `reset`. */
  tasksLearned: number;
  /** Number of penalties computed. */
  totalPenalties: number;
}

/** Mean squared gradients of one adapter. */
export interface FisherInfo {
  /** dim × rank. */
  fisherA: readonly MutableVector[];
  /** rank × outDim. */
  fisherB: readonly MutableVector[];
}

/** The parameters that the penalty pulls towards. */
export interface OptimalParams {
  /** dim × rank. */
  loraA: readonly MutableVector[];
  /** rank × outDim. */
  loraB: readonly MutableVector[];
}

/** Gradients of the caller's own loss for one example. */
export type ExampleGradients<E> = (example: E, adapter: Adapter, name: string) => AdapterGradients;

export interface FisherOptions<E> {
  /** Gradients of the training loss for one example. Default: those of the MSE between adapted input and output. */
  gradients?: ExampleGradients<E>;
}

export type EWCEvents = {
  /** Before the Fisher is computed: how many examples were given. */
  'fisher:start': [{ samples: number }];
  /** After it is stored: how many adapters it covers. */
  'fisher:complete': [{ adapters: number }];
};

/**
 * Elastic weight consolidation (Kirkpatrick et al. 2017, "Overcoming catastrophic forgetting in neural networks"): after a
 * task, remembers the adapters' parameters θ* and how much the task's loss depends on each (the diagonal Fisher F); while
 * later tasks are learned, penalises `λ/2 · Σ F (θ - θ*)²`.
 *
 * Subclasses may override `_computeGradients` and `_sampleData`.
 *
 * @example
 * ```js
 * import { EWCManager, LoRAAdapter } from 'microlora-training-utils';
 *
 * const adapters = new Map([['query', new LoRAAdapter({ dim: 2, rank: 1, seed: 1 })]]);
 * const ewc = new EWCManager({ lambda: 100 });
 * ewc.computeFisher(adapters, [{ inputEmb: [1, 0], outputEmb: [0, 1] }]);
 * console.log(ewc.computePenalty(adapters)); // 0
 * ```
 */
export class EWCManager extends TypedEmitter<EWCEvents> {
  /** The configuration in force. */
  config: EWCConfig;
  /** Fisher values by adapter. */
  fisherInfo = new Map<string, FisherInfo>();
  /** Protected parameters by adapter. */
  optimalParams = new Map<string, OptimalParams>();
  /** Counts of tasks and penalties. */
  stats: EWCStats = { tasksLearned: 0, totalPenalties: 0 };

  readonly #normalize: boolean;

  /**
   * @throws TypeError or RangeError that names the option and the value.
   */
  constructor(config: EWCOptions = {}) {
    super();
    this.config = withDefaults('EWCManager', { lambda: 2000, sampleSize: 200, normalize: true, online: false }, config);
    checkNumber('EWCManager', 'lambda', this.config.lambda, { min: 0 });
    checkSampleSize('EWCManager', 'sampleSize', this.config.sampleSize);
    this.#normalize = config?.normalize === true;
  }

  /**
   * Remembers the adapters as they are and how much the loss on `data` depends on each of their parameters.
   *
   * @param adapters Adapters by name.
   * @param data Examples with `inputEmb` (at least dim numbers; more are left out) and `outputEmb`; not empty.
   * @throws TypeError or RangeError, before anything is stored, when an adapter's matrices do not fit each other, `data`
   *   is empty, an embedding is shorter than the adapter, or a gradient is not finite or of the wrong shape.
   */
  computeFisher<E extends EmbeddedExample>(
    adapters: ReadonlyMap<string, Adapter>,
    data: readonly E[],
    options: FisherOptions<E> = {},
  ): void {
    checkAdapters('computeFisher', adapters, checkFiniteRows);
    checkOptions('computeFisher', options);
    checkArray('computeFisher', 'data', data);
    if (data.length === 0) throw new RangeError('computeFisher: data is empty');
    if (options.gradients !== undefined) checkFunction('computeFisher', 'gradients', options.gradients);
    const gradients = options.gradients ?? this.#overriddenGradients<E>();
    if (!gradients) checkExamples(data as readonly E[], adapters);

    this.emit('fisher:start', { samples: data.length });
    const examples = data as readonly E[];
    const sample =
      examples.length > this.config.sampleSize ? this._sampleData(examples, this.config.sampleSize) : examples;
    const fishers = new Map<string, FisherInfo>();
    for (const [name, adapter] of adapters) {
      const fisher = gradients
        ? fisherOf(gradients, sample, adapter, name, examples)
        : mseFisherOf(sample, adapter, name, examples);
      if (this.#normalize) scaleToMaximumOne(fisher);
      const previous = this.config.online ? this.fisherInfo.get(name) : undefined;
      if (previous) average(name, fisher, previous);
      fishers.set(name, fisher);
    }
    for (const [name, { loraA, loraB }] of adapters) {
      this.optimalParams.set(name, { loraA: copyRows(loraA), loraB: copyRows(loraB) });
      this.fisherInfo.set(name, fishers.get(name)!);
    }
    this.stats.tasksLearned++;
    this.emit('fisher:complete', { adapters: adapters.size });
  }

  #overriddenGradients<E extends EmbeddedExample>(): ExampleGradients<E> | undefined {
    if (this._computeGradients === EWCManager.prototype._computeGradients) return undefined;
    return (example, adapter) => this._computeGradients(example, adapter);
  }

  /**
   * The penalty `λ/2 · Σ F (θ - θ*)²` over all remembered adapters; 0 before the first task. Adapters that were not
   * remembered count nothing.
   *
   * @throws RangeError when an adapter's shape is not the remembered one or an entry is not finite.
   */
  computePenalty(adapters: ReadonlyMap<string, Adapter>): number {
    checkAdapters('computePenalty', adapters, checkRowShapes);
    if (this.fisherInfo.size === 0) return 0;
    let penalty = 0;
    for (const { name, adapter, fisher, optimal } of this.#remembered('computePenalty', adapters)) {
      const ofAdapter =
        kernels().quadraticPenalty(adapter.loraA, optimal.loraA, fisher.fisherA) +
        kernels().quadraticPenalty(adapter.loraB, optimal.loraB, fisher.fisherB);
      if (!Number.isFinite(ofAdapter)) throwNonFiniteAdapter('computePenalty', name, adapter);
      penalty += ofAdapter;
    }
    this.stats.totalPenalties++;
    return this.config.lambda * penalty * 0.5;
  }

  /**
   * The gradient of {@link computePenalty} for every remembered adapter: `λ F (θ - θ*)`.
   *
   * @throws RangeError as {@link computePenalty}.
   */
  penaltyGradient(
    adapters: ReadonlyMap<string, Adapter>,
  ): Map<string, { gradA: readonly Float32Row[]; gradB: readonly Float32Row[] }> {
    checkAdapters('penaltyGradient', adapters, checkFiniteRows);
    const gradients = new Map<string, { gradA: readonly Float32Row[]; gradB: readonly Float32Row[] }>();
    for (const { name, adapter } of this.#remembered('penaltyGradient', adapters)) {
      gradients.set(name, { gradA: zeros(adapter.loraA), gradB: zeros(adapter.loraB) });
    }
    this.#addPenaltyGradient('penaltyGradient', adapters, gradients);
    return gradients;
  }

  /**
   * Adds the penalty's gradient to gradients of the training loss, in place. Adapters without an entry in `grads` are
   * left out, as are those that were not remembered.
   *
   * @throws TypeError or RangeError, with `grads` unchanged, as {@link computePenalty}, and when `grads` has a name or
   *   shape that no adapter has, or an entry that is not finite.
   */
  addPenaltyGradient(adapters: ReadonlyMap<string, Adapter>, grads: ReadonlyMap<string, AdapterGradients>): void {
    checkAdapters('addPenaltyGradient', adapters, checkFiniteRows);
    checkGradients('addPenaltyGradient', grads, adapters);
    this.#addPenaltyGradient('addPenaltyGradient', adapters, grads);
  }

  #addPenaltyGradient(
    call: string,
    adapters: ReadonlyMap<string, Adapter>,
    grads: ReadonlyMap<string, AdapterGradients>,
  ): void {
    const remembered = this.#remembered(call, adapters);
    checkFiniteGradients(call, grads);
    const { lambda } = this.config;
    for (const { name, adapter, fisher, optimal } of remembered) {
      const grad = grads.get(name);
      if (!grad) continue;
      kernels().addPenaltyGradient(grad.gradA, adapter.loraA, optimal.loraA, fisher.fisherA, lambda);
      kernels().addPenaltyGradient(grad.gradB, adapter.loraB, optimal.loraB, fisher.fisherB, lambda);
    }
  }

  /**
   * One gradient step on the penalty alone, in place: `θ -= min(1, lr · λ · F) · (θ - θ*)`, which never oversteps θ*.
   *
   * @param learningRate 0 or more.
   * @throws TypeError or RangeError, with the adapters unchanged, as {@link computePenalty}.
   */
  applyGradient(adapters: ReadonlyMap<string, Adapter>, learningRate: number): void {
    checkAdapters('applyGradient', adapters, checkFiniteRows);
    checkNumber('applyGradient', 'learningRate', learningRate, { min: 0 });
    const remembered = this.#remembered('applyGradient', adapters);
    const rate = learningRate * this.config.lambda;
    for (const { adapter, fisher, optimal } of remembered) {
      kernels().pullTowards(adapter.loraA, optimal.loraA, fisher.fisherA, rate);
      kernels().pullTowards(adapter.loraB, optimal.loraB, fisher.fisherB, rate);
    }
  }

  /** The adapters that have a Fisher, with it; shapes checked. */
  #remembered(call: string, adapters: ReadonlyMap<string, Adapter>): Remembered[] {
    checkNumber(call, 'config.lambda', this.config.lambda, { min: 0 });
    const remembered: Remembered[] = [];
    for (const [name, adapter] of adapters) {
      const fisher = this.fisherInfo.get(name);
      const optimal = this.optimalParams.get(name);
      if (!fisher || !optimal) continue;
      checkRememberedShape(call, `${describeAdapter(name)}.loraA`, adapter.loraA, optimal.loraA);
      checkRememberedShape(call, `${describeAdapter(name)}.loraB`, adapter.loraB, optimal.loraB);
      remembered.push({ name, adapter, fisher, optimal });
    }
    return remembered;
  }

  /** Gradients of the mean squared error of one example. */
  _computeGradients(example: EmbeddedExample, adapter: Adapter): AdapterGradients {
    return mseGradients(example, adapter);
  }

  /** Draws `size` examples with replacement. */
  _sampleData<E>(data: readonly E[], size: number): E[] {
    return Array.from({ length: size }, () => data[Math.floor(Math.random() * data.length)]!);
  }

  /** A matrix of zeros. */
  _zeros(rows: number, cols: number): number[][] {
    return Array.from({ length: rows }, () => new Array<number>(cols).fill(0));
  }

  /** Forgets all tasks. */
  reset(): void {
    this.fisherInfo.clear();
    this.optimalParams.clear();
    this.stats.tasksLearned = 0;
  }

  /** A deep copy of the state as plain arrays and numbers, ready for JSON. */
  export(): EWCState {
    return exportState(this.fisherInfo, this.optimalParams, this.config, this.stats);
  }

  /**
   * Takes over an exported state, the original module's too. Only known fields are read. Whether a Fisher is normalised
   * stays as this manager was constructed.
   *
   * @param data What `export` returned, also after a round trip through JSON.
   * @throws TypeError or RangeError, with nothing changed, when a matrix is missing, ragged, of another shape than its
   *   partner or not finite, a Fisher value is negative, or a setting or count is out of range.
   */
  import(data: unknown): void {
    const { fisherInfo, optimalParams, config, stats } = parseState(data);
    this.fisherInfo = fisherInfo;
    this.optimalParams = optimalParams;
    this.config = { ...this.config, ...config };
    if (stats) this.stats = stats;
  }
}

interface Remembered {
  name: string;
  adapter: Adapter;
  fisher: FisherInfo;
  optimal: OptimalParams;
}

function checkExamples(data: readonly EmbeddedExample[], adapters: ReadonlyMap<string, Adapter>): void {
  const call = 'computeFisher';
  data.forEach((example, i) => {
    checkObject(call, `data[${i}]`, example);
    checkVector(call, `data[${i}].inputEmb`, example.inputEmb);
    checkVector(call, `data[${i}].outputEmb`, example.outputEmb);
    for (const [name, { loraA }] of adapters) {
      if (example.inputEmb.length >= loraA.length) continue;
      const lengths = `${example.inputEmb.length} entries, ${describeAdapter(name)}.loraA has ${loraA.length} rows`;
      throw new RangeError(`${call}: data[${i}].inputEmb has ${lengths}`);
    }
  });
}

function mseFisherOf(
  sample: readonly EmbeddedExample[],
  adapter: Adapter,
  name: string,
  data: readonly EmbeddedExample[],
): FisherInfo {
  const inputs = sample.map(example => example.inputEmb);
  const targets = sample.map(example => example.outputEmb);
  checkNumber('computeFisher', `${describeAdapter(name)}.scaling`, adapter.scaling);
  const fisher = kernels().mseFisher(adapter, inputs, targets);
  if (!isFiniteFisher(fisher)) {
    data.forEach(({ inputEmb, outputEmb }, i) => {
      checkFinite('computeFisher', `data[${i}].inputEmb`, inputEmb);
      checkFinite('computeFisher', `data[${i}].outputEmb`, outputEmb);
    });
    throwNonFiniteAdapter('computeFisher', name, adapter);
  }
  return fisher;
}

/** Mean squared gradients by the caller's own function. */
function fisherOf<E>(
  gradients: ExampleGradients<E>,
  sample: readonly E[],
  adapter: Adapter,
  name: string,
  data: readonly E[],
): FisherInfo {
  const fisherA = float64Matrix(adapter.loraA.length, adapter.loraA[0]!.length);
  const fisherB = float64Matrix(adapter.loraB.length, adapter.loraB[0]!.length);
  // A sample's examples are not in order: messages tell where each stands in the data.
  const positions = new Map(Array.from(data, (example, i) => [example, i]));
  for (const example of sample) {
    const label = `gradients of data[${positions.get(example)}] for ${describe(name)}`;
    const ofExample = gradients(example, adapter, name);
    checkObject('computeFisher', label, ofExample);
    const { gradA, gradB } = ofExample;
    checkSameShape('computeFisher', `${label}: gradA`, gradA, adapter.loraA);
    checkSameShape('computeFisher', `${label}: gradB`, gradB, adapter.loraB);
    const allFinite = addSquares(fisherA, gradA, 1 / sample.length) && addSquares(fisherB, gradB, 1 / sample.length);
    if (!allFinite) throwNonFinite('computeFisher', { [`${label}: gradA`]: gradA, [`${label}: gradB`]: gradB });
  }
  return { fisherA, fisherB };
}

/** Adds `scale · source²`; false when an entry is not finite. */
function addSquares(target: readonly MutableVector[], source: Rows, scale: number): boolean {
  let sum = 0;
  target.forEach((row, i) => {
    const gradient = source[i]!;
    for (let j = 0; j < row.length; j++) sum += row[j]! += scale * gradient[j]! * gradient[j]!;
  });
  return Number.isFinite(sum);
}

function isFiniteFisher({ fisherA, fisherB }: FisherInfo): boolean {
  return Number.isFinite(kernels().sumOfSquares(fisherA)) && Number.isFinite(kernels().sumOfSquares(fisherB));
}

function scaleToMaximumOne({ fisherA, fisherB }: FisherInfo): void {
  const rows = [...fisherA, ...fisherB];
  let largest = 0;
  for (const row of rows) for (let j = 0; j < row.length; j++) largest = Math.max(largest, row[j]!);
  if (largest === 0) return;
  for (const row of rows) for (let j = 0; j < row.length; j++) row[j]! /= largest;
}

/** The mean of both Fishers, in place of the first. */
function average(name: string, fisher: FisherInfo, previous: FisherInfo): void {
  for (const matrix of ['fisherA', 'fisherB'] as const) {
    checkSameShape(
      'computeFisher',
      `${matrix} of ${describe(name)} from the task before`,
      previous[matrix],
      fisher[matrix],
    );
    fisher[matrix].forEach((row, i) => {
      const before = previous[matrix][i]!;
      for (let j = 0; j < row.length; j++) row[j] = 0.5 * (row[j]! + before[j]!);
    });
  }
}

function checkRememberedShape(call: string, name: string, rows: Rows, remembered: Rows): void {
  if (rows.length === remembered.length && rows[0]!.length === remembered[0]!.length) return;
  const shapes = `${rows.length} × ${rows[0]!.length}, the remembered one is ${remembered.length} × ${remembered[0]!.length}`;
  throw new RangeError(`${call}: ${name} is ${shapes}`);
}

function throwNonFiniteAdapter(call: string, name: string, { loraA, loraB }: Adapter): never {
  // Types first: computePenalty leaves them to its kernel, which answers NaN.
  checkAdapter(call, describeAdapter(name), { loraA, loraB });
  throwNonFinite(call, {
    [`${describeAdapter(name)}.loraA`]: loraA,
    [`${describeAdapter(name)}.loraB`]: loraB,
  });
}

function zeros(rows: Rows): readonly Float32Row[] {
  return float32Matrix(rows.length, rows[0]!.length);
}
