import {
  type DiagonalMemory,
  diagonalPenalty,
  type FisherInfo,
  type FisherRows,
  type OptimalParams,
  type ParameterRows,
  remember,
} from './ewc-manager/diagonal.js';
import {
  checkExamples,
  type ExampleGradients,
  fishersBy,
  fishersOf,
  scaleToMaximumOne,
  throwNonFiniteInputs,
} from './ewc-manager/fisher.js';
import { checkFisherOptions, type FisherOptions } from './ewc-manager/fisher-options.js';
import {
  type FunctionInfo,
  type FunctionMemory,
  functionPenalty,
  momentOf,
  rememberFunction,
} from './ewc-manager/function-penalty.js';
import { checkMergeable, checkSameSides, mergeDiagonal, mergeFunction } from './ewc-manager/merge.js';
import { mseGradients } from './ewc-manager/mse-gradients.js';
import {
  checkOptionsOf,
  defaultLambda,
  type EWCConfig,
  type EWCOptions,
  functionLambda,
  modeOf,
  ownGradientsLambda,
  withWatchedLambda,
} from './ewc-manager/options.js';
import type { AdapterPenalty } from './ewc-manager/penalty.js';
import {
  checkProvenance,
  type ExportOptions,
  fingerprintsOf,
  type ImportOptions,
  type Provenance,
  weightsOf,
} from './ewc-manager/provenance.js';
import { type EWCState, exportState, parseState } from './ewc-manager/state.js';
import { inputsOf, type SidesSeen, type Tower, towersOf } from './ewc-manager/through.js';
import {
  checkAdapters,
  checkFiniteGradients,
  checkGradients,
  checkSameShape,
  checkTrainable,
  describeAdapter,
  throwNonFiniteAdapter,
} from './internal/adapters.js';
import { checkDistinctAdapters, checkDistinctGradients } from './internal/distinct.js';
import { withDefaults } from './internal/options.js';
import { randomFor } from './internal/random.js';
import { TypedEmitter } from './internal/typed-emitter.js';
import {
  checkArray,
  checkFiniteRows,
  checkNumber,
  checkOptions,
  checkRowShapes,
  describe,
  wrongType,
} from './internal/validate.js';
import { kernels } from './kernels/index.js';
import {
  bufferOf,
  copyRows,
  editableRows,
  type Flat,
  flatCopy,
  flatten,
  float32Matrix,
  storeFlat,
} from './kernels/matrix.js';
import type { Adapter, AdapterGradients, EmbeddedExample, Float32Row, Rows, Stateful } from './types.js';

export interface EWCStats {
  /** Number of `computeFisher` calls since the last `reset`. */
  tasksLearned: number;
  /** Number of penalties computed. */
  totalPenalties: number;
}

export interface EWCEvents {
  /** Before the Fisher is computed: how many examples were given. */
  'fisher:start': [{ samples: number }];
  /** After it is stored: how many adapters it covers. */
  'fisher:complete': [{ adapters: number }];
}

/**
 * Elastic weight consolidation (Kirkpatrick et al. 2017, "Overcoming catastrophic forgetting in neural networks"):
 * after a task, remembers the adapters' parameters θ* and how much the task's loss depends on each (the diagonal Fisher
 * F); while later tasks are learned, penalises `λ/2 · Σ F (θ - θ*)²`, or with `penalty: 'function'` the change of the
 * outputs.
 *
 * The default, `new EWCManager()` with `computeFisher(adapters, data)`, is the original's: its Fisher is of the mean
 * squared error between adapted inputs and outputs, and is good for training with that loss. It is not for training with
 * `LossComputer.contrastive` or another loss of your own: what it then holds in place is not what the loss depends on,
 * and nothing measurable is kept. Use `new EWCManager({ penalty: 'function' })` instead, which keeps the outputs for the
 * inputs of earlier tasks whatever the loss, or pass gradients of your loss, `computeFisher(adapters, data, { gradients })`
 * or `{ adapterGradients }`. Both choose a `lambda` that fits, unless you name one.
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
export class EWCManager extends TypedEmitter<EWCEvents> implements Stateful<EWCState> {
  /** The configuration in force. What is written to it counts from the next call; `normalize` is read only when made. */
  config: EWCConfig;
  /**
   * Fisher values by adapter, of the diagonal penalty. Matrices are used as the original's nested arrays are: entries and
   * rows may be written, `flat` gives numbers, and JSON is nested arrays. Rows are `Float64Array`s.
   */
  fisherInfo = new Map<string, FisherInfo>();
  /** Protected parameters by adapter, as {@link fisherInfo}; rows are of float32 where the adapter's are. */
  optimalParams = new Map<string, OptimalParams>();
  /** What the function penalty keeps, by adapter. */
  functionInfo = new Map<string, FunctionInfo>();
  /** Counts of tasks and penalties. */
  stats: EWCStats = { tasksLearned: 0, totalPenalties: 0 };

  /** The least value of each adapter's diagonal penalty of several tasks, over λ/2. */
  #constants = new Map<string, number>();
  /** What each adapter saw of the latest task, unless it is not known; shards must have seen the same. */
  #sides: SidesSeen | undefined;
  /** Of the latest task's examples, for `import` to tell whether it is given the same. */
  #fingerprints: Fingerprints = UNKNOWN;
  /** Examples of the latest task, which `merge` weighs its estimates by. */
  #examples = 0;
  readonly #normalize: boolean;
  /** Whether what is remembered has been normalised. */
  #isNormalized = false;
  /** The default of `config.lambda` that was set last; undefined where the caller named one. */
  #defaultLambda: number | undefined;

  /**
   * @throws TypeError or RangeError that names the option and the value.
   */
  constructor(config: EWCOptions = {}) {
    super();
    const lambda = defaultLambda(config ?? {});
    const defaults = { lambda, sampleSize: 200, normalize: true, online: false };
    this.config = this.#watched(withDefaults('EWCManager', defaults, config));
    checkOptionsOf('EWCManager', '', { ...this.config });
    this.#normalize = config?.normalize === true;
    if (config?.lambda === undefined) this.#defaultLambda = lambda;
  }

  /**
   * Remembers the adapters as they are and how much the loss on `data`, or with `penalty: 'function'` the output for
   * its inputs, depends on them.
   *
   * @param adapters Adapters by name.
   * @param data Examples with `inputEmb` (at least dim numbers; more are ignored) and, for the empirical Fisher and
   *   where `through` says so, `outputEmb`; not empty. The function penalty reads all of them, a Fisher at most
   *   `sampleSize`.
   * @throws TypeError or RangeError, before anything is stored, when an adapter's matrices do not fit each other,
   *   `data` is empty, an embedding is shorter than the adapter, a gradient is not finite or of the wrong shape,
   *   `through` names no adapter, options are given of which one would not be read, or the caller's function or listener
   *   left an adapter with an entry that is not finite.
   */
  computeFisher<E extends EmbeddedExample>(
    adapters: ReadonlyMap<string, Adapter>,
    data: readonly E[],
    options: FisherOptions<E> = {},
  ): void {
    const call = 'computeFisher';
    checkAdapters(call, adapters, checkFiniteRows);
    checkOptions(call, options);
    checkArray(call, 'data', data);
    if (data.length === 0) throw new RangeError(`${call}: data is empty`);
    const isOwn = checkFisherOptions(call, options, this.config);
    const towers = towersOf(call, adapters, options.through);
    const isFunction = this.config.penalty === 'function';
    const isExact = this.config.fisher === 'exact';
    const gradients = options.gradients ?? (isExact ? undefined : this.#overriddenGradients<E>());
    if (isFunction || !(gradients || isOwn)) checkExamples(data, towers, !isFunction && !isExact);

    const hasListeners = this.emit('fisher:start', { samples: data.length });
    if (hasListeners) checkAdapters(call, adapters, checkFiniteRows);
    let seen: SidesSeen = new Map(towers.map(({ name, sides }) => [name, sides]));
    const hadFunction = this.functionInfo.size > 0;
    if (isFunction) this.#rememberFunctions(towers, data);
    else {
      const { sampleSize } = this.config;
      const sample = data.length > sampleSize ? this._sampleData(data, sampleSize) : data;
      const fishers = options.adapterGradients
        ? fishersBy(options.adapterGradients, sample, adapters, data)
        : fishersOf(towers, sample, data, gradients ?? (isExact ? 'exact' : 'empirical'));
      // The caller's functions may have changed what is remembered next.
      if (gradients || isOwn) checkAdapters(call, adapters, checkFiniteRows);
      this.#rememberFishers(fishers, adapters, data.length);
      if (options.adapterGradients) seen = new Map(Array.from(fishers.keys(), name => [name, []]));
    }
    this.#sides = seen;
    this.#fingerprints = fingerprintsOf(data);
    if (isFunction) this.#setDefaultLambda(functionLambda(this.optimalParams.values()));
    else if (isOwn) this.#setDefaultLambda(ownGradientsLambda(this.optimalParams.values()));
    // Where `config.penalty` has changed, so has what the default is of.
    else if (hadFunction || this.stats.tasksLearned === 0) this.#setDefaultLambda(defaultLambda(this.config));
    this.stats.tasksLearned++;
    this.emit('fisher:complete', { adapters: seen.size });
  }

  #rememberFishers(
    fishers: ReadonlyMap<string, FisherRows>,
    adapters: ReadonlyMap<string, Adapter>,
    examples: number,
  ): void {
    const memories = new Map<string, DiagonalMemory>();
    for (const [name, fisher] of fishers) {
      if (this.#normalize) scaleToMaximumOne(fisher);
      memories.set(name, remember(name, fisher, adapters.get(name)!, this.#diagonalMemory(name), this.config));
    }
    for (const [name, memory] of memories) {
      this.#setDiagonal(name, memory);
      this.functionInfo.delete(name);
    }
    this.#isNormalized ||= this.#normalize;
    this.#examples = examples;
  }

  #rememberFunctions(towers: readonly Tower[], data: readonly EmbeddedExample[]): void {
    const infos = new Map<Tower, FunctionInfo>();
    // Adapters of one width may have seen the same inputs.
    const moments = new Map<string, ReturnType<typeof momentOf>>();
    for (const tower of towers) {
      const { name, adapter, sides } = tower;
      checkNumber('computeFisher', `${describeAdapter(name)}.scaling`, adapter.scaling);
      const dim = adapter.loraA.length;
      const key = [dim, ...sides].join(' ');
      const moment = moments.get(key) ?? momentOf(inputsOf(data, sides), dim);
      moments.set(key, moment);
      if (!Number.isFinite(kernels().sumOfSquares(moment))) throwNonFiniteInputs(data, sides);
      infos.set(tower, rememberFunction(name, copyRows(moment), adapter, this.#functionMemory(name), this.config));
    }
    for (const [{ name, adapter }, info] of infos) {
      this.functionInfo.set(name, info);
      this.fisherInfo.delete(name);
      this.#constants.delete(name);
      this.#setOptimal(name, { loraA: copyRows(adapter.loraA), loraB: copyRows(adapter.loraB) });
    }
    this.#examples = data.length;
  }

  #overriddenGradients<E extends EmbeddedExample>(): ExampleGradients<E> | undefined {
    if (this._computeGradients === originalGradients) return undefined;
    return (example, adapter) => this._computeGradients(example, adapter);
  }

  /**
   * The penalty over all remembered adapters: `λ/2 · Σ F (θ - θ*)²`, or λ times the mean squared change of the outputs;
   * 0 before the first task. Adapters that were not remembered count nothing.
   *
   * @throws RangeError when an adapter's shape is not the remembered one, an entry is not finite, or the penalty
   *   overflows.
   */
  computePenalty(adapters: ReadonlyMap<string, Adapter>): number {
    const call = 'computePenalty';
    checkAdapters(call, adapters, checkRowShapes);
    if (this.fisherInfo.size + this.functionInfo.size === 0) return 0;
    let total = 0;
    for (const { name, adapter, penalty } of this.#remembered(call, adapters)) {
      const ofAdapter = this.config.lambda * penalty.value();
      if (!Number.isFinite(ofAdapter)) throwNonFiniteAdapter(call, name, adapter, 'config.lambda');
      total += ofAdapter;
    }
    this.stats.totalPenalties++;
    return total;
  }

  /**
   * The gradient of {@link computePenalty} for every remembered adapter.
   *
   * @throws RangeError as {@link computePenalty}.
   */
  penaltyGradient(
    adapters: ReadonlyMap<string, Adapter>,
  ): Map<string, { gradA: readonly Float32Row[]; gradB: readonly Float32Row[] }> {
    const call = 'penaltyGradient';
    checkAdapters(call, adapters, checkFiniteRows);
    const gradients = new Map<string, { gradA: readonly Float32Row[]; gradB: readonly Float32Row[] }>();
    for (const { name, adapter, penalty } of this.#remembered(call, adapters)) {
      const { loraA, loraB } = adapter;
      const gradient = {
        gradA: float32Matrix(loraA.length, loraB.length),
        gradB: float32Matrix(loraB.length, loraB[0]!.length),
      };
      this.#addTo(call, name, adapter, penalty, gradient);
      gradients.set(name, gradient);
    }
    return gradients;
  }

  /**
   * Adds the penalty's gradient to gradients of the training loss, in place. Adapters without an entry in `grads` are
   * skipped, as are those that were not remembered.
   *
   * @throws TypeError or RangeError, with `grads` unchanged, as {@link computePenalty}, and when `grads` has a name or
   *   shape that no adapter has, an entry that is not finite, a row that is frozen or of integers, or one matrix twice.
   */
  addPenaltyGradient(adapters: ReadonlyMap<string, Adapter>, grads: ReadonlyMap<string, AdapterGradients>): void {
    const call = 'addPenaltyGradient';
    checkAdapters(call, adapters, checkFiniteRows);
    checkGradients(call, grads, adapters);
    checkDistinctGradients(call, grads);
    for (const [name, { gradA, gradB }] of grads) {
      checkTrainable(call, `grads.get(${describe(name)}).gradA`, gradA);
      checkTrainable(call, `grads.get(${describe(name)}).gradB`, gradB);
    }
    const remembered = this.#remembered(call, adapters);
    checkFiniteGradients(call, grads);
    // All are computed before any is stored, as one may overflow.
    const sums = remembered
      .filter(({ name }) => grads.has(name))
      .map(each => ({ to: grads.get(each.name)!, sum: this.#sumOf(call, each, grads.get(each.name)!) }));
    for (const { to, sum } of sums) {
      storeFlat(to.gradA, sum.gradA);
      storeFlat(to.gradB, sum.gradB);
    }
  }

  /** Gradients and the penalty's, each matrix in one array: to make views of its rows would take longer than the sum. */
  #sumOf(
    call: string,
    { name, adapter, penalty }: Remembered,
    gradients: AdapterGradients,
  ): { gradA: Flat; gradB: Flat } {
    const [gradA, gradB] = [flatCopy(gradients.gradA), flatCopy(gradients.gradB)];
    this.#addTo(call, name, adapter, penalty, { gradA: [gradA], gradB: [gradB] });
    return { gradA, gradB };
  }

  #addTo(call: string, name: string, adapter: Adapter, penalty: AdapterPenalty, gradients: AdapterGradients): void {
    penalty.addGradient(gradients, this.config.lambda);
    const squares = kernels().sumOfSquares(gradients.gradA) + kernels().sumOfSquares(gradients.gradB);
    if (!(squares < LARGEST_SQUARES)) throwNonFiniteAdapter(call, name, adapter, 'config.lambda');
  }

  /**
   * One gradient step on the penalty alone, in place: `θ -= min(1, lr · λ · F) · (θ - θ*)`, which never oversteps θ*,
   * or for the function penalty a step of at most `lr` that does not make it grow.
   *
   * @param learningRate 0 or more.
   * @throws TypeError or RangeError, with the adapters unchanged, as {@link computePenalty}, and for a row that is frozen
   *   or of integers, or an adapter or matrix that is there twice.
   */
  applyGradient(adapters: ReadonlyMap<string, Adapter>, learningRate: number): void {
    const call = 'applyGradient';
    checkAdapters(call, adapters, checkFiniteRows);
    checkNumber(call, 'learningRate', learningRate, { min: 0 });
    // Infinity times an importance of 0 would be no number.
    const rate = Math.min(learningRate * this.config.lambda, Number.MAX_VALUE);
    const remembered = this.#remembered(call, adapters);
    checkDistinctAdapters(call, adapters);
    for (const { name, adapter } of remembered) {
      checkTrainable(call, `${describeAdapter(name)}.loraA`, adapter.loraA);
      checkTrainable(call, `${describeAdapter(name)}.loraB`, adapter.loraB);
    }
    for (const { penalty } of remembered) penalty.step(rate);
  }

  /** The adapters that something is remembered of, with their penalties; shapes checked. */
  #remembered(call: string, adapters: ReadonlyMap<string, Adapter>): Remembered[] {
    checkNumber(call, 'config.lambda', this.config.lambda, { min: 0 });
    const remembered: Remembered[] = [];
    for (const [name, adapter] of adapters) {
      const diagonal = this.#diagonalMemory(name);
      const byFunction = this.#functionMemory(name);
      const optimal = this.optimalParams.get(name);
      if (!optimal || !(diagonal || byFunction)) continue;
      checkRememberedShape(call, `${describeAdapter(name)}.loraA`, adapter.loraA, optimal.loraA);
      checkRememberedShape(call, `${describeAdapter(name)}.loraB`, adapter.loraB, optimal.loraB);
      const whole = (map: string, matrix: string, rows: Rows, like: Rows): Flat =>
        bufferOf(rows) ?? checkEdited(call, `${map}.get(${describe(name)}).${matrix}`, rows, like);
      const optimalA = whole('optimalParams', 'loraA', optimal.loraA, adapter.loraA);
      const optimalB = whole('optimalParams', 'loraB', optimal.loraB, adapter.loraB);
      let penalty: AdapterPenalty;
      if (byFunction) {
        checkNumber(call, `${describeAdapter(name)}.scaling`, adapter.scaling);
        penalty = functionPenalty(byFunction, adapter);
      } else {
        const { fisher, constant } = diagonal!;
        const fisherA = whole('fisherInfo', 'fisherA', fisher.fisherA, adapter.loraA);
        const fisherB = whole('fisherInfo', 'fisherB', fisher.fisherB, adapter.loraB);
        penalty = diagonalPenalty({ fisherA, fisherB, optimalA, optimalB, constant }, adapter);
      }
      remembered.push({ name, adapter, penalty });
    }
    return remembered;
  }

  #diagonalMemory(name: string): DiagonalMemory | undefined {
    const [fisher, optimal] = [this.fisherInfo.get(name), this.optimalParams.get(name)];
    return fisher && optimal && { fisher, optimal, constant: this.#constants.get(name) ?? 0 };
  }

  #functionMemory(name: string): FunctionMemory | undefined {
    const [info, optimal] = [this.functionInfo.get(name), this.optimalParams.get(name)];
    return info && optimal && { ...info, ...optimal };
  }

  #setDiagonal(name: string, { fisher, optimal, constant }: DiagonalMemory): void {
    this.#setFisher(name, fisher);
    this.#setOptimal(name, optimal);
    this.#constants.set(name, constant);
  }

  #setFisher(name: string, { fisherA, fisherB }: FisherRows): void {
    this.fisherInfo.set(name, { fisherA: editableRows(fisherA), fisherB: editableRows(fisherB) });
  }

  #setOptimal(name: string, { loraA, loraB }: ParameterRows): void {
    this.optimalParams.set(name, { loraA: editableRows(loraA), loraB: editableRows(loraB) });
  }

  /**
   * Takes in what another manager learned of another part of the latest task's data, weighted by their numbers of
   * examples: then this one holds what it would had it seen all of it. What both learned before must be the same.
   *
   * @param other A manager of the same configuration that saw the same adapters, through the same sides of the pairs.
   * @throws TypeError or RangeError, with nothing changed, for another penalty, mode or number of tasks, other adapters
   *   or weights, other sides of the pairs, or normalised Fishers, whose scales are lost.
   */
  merge(other: EWCManager): void {
    if (!isManager(other)) throw wrongType('merge', 'other', 'an EWCManager', other);
    if (other === this) throw new RangeError('merge: other is this manager itself');
    checkMergeable(this, other);
    if (this.#isNormalized || other.#isNormalized)
      throw new RangeError('merge: normalised Fishers have lost their scale');
    const examples = this.#examples + other.#examples;
    if (this.optimalParams.size === 0) return;
    if (this.#examples === 0 || other.#examples === 0)
      throw new RangeError(
        'merge: how many examples were seen is not known of state that the original module exported',
      );

    checkSameSides(this.#sides, other.#sides);
    const share = this.#examples / examples;
    const isSum = modeOf(this.config) === 'sum';
    const diagonals = new Map<string, DiagonalMemory>();
    const functions = new Map<string, FunctionInfo>();
    for (const name of this.optimalParams.keys()) {
      const [diagonal, byFunction] = [this.#diagonalMemory(name), this.#functionMemory(name)];
      if (diagonal) diagonals.set(name, mergeDiagonal(name, diagonal, other.#diagonalMemory(name)!, share, isSum));
      if (byFunction) functions.set(name, mergeFunction(name, byFunction, other.#functionMemory(name)!, share));
    }
    for (const [name, memory] of diagonals) this.#setDiagonal(name, memory);
    for (const [name, info] of functions) this.functionInfo.set(name, info);
    this.#examples = examples;
    this.#fingerprints = UNKNOWN;
  }

  /** Gradients of the mean squared error of one example. */
  _computeGradients(example: EmbeddedExample, adapter: Adapter): AdapterGradients {
    return mseGradients(example, adapter);
  }

  /** Draws `size` examples with replacement; with a `seed` others for each task. */
  _sampleData<E>(data: readonly E[], size: number): E[] {
    const random = randomFor(this.config.seed, this.stats.tasksLearned);
    return Array.from({ length: size }, () => data[Math.floor(random() * data.length)]!);
  }

  /** A matrix of zeros. */
  _zeros(rows: number, cols: number): number[][] {
    return Array.from({ length: rows }, () => new Array<number>(cols).fill(0));
  }

  /** Forgets all tasks. */
  reset(): void {
    this.fisherInfo.clear();
    this.optimalParams.clear();
    this.functionInfo.clear();
    this.#constants.clear();
    this.#sides = undefined;
    this.#fingerprints = UNKNOWN;
    this.#examples = 0;
    this.#isNormalized = false;
    this.stats.tasksLearned = 0;
    this.#setDefaultLambda(defaultLambda(this.config));
  }

  /** Nothing where the caller named a strength, or wrote one to the configuration. */
  #setDefaultLambda(lambda: number): void {
    if (!this.#isDefaultLambda) return;
    this.config.lambda = lambda;
    this.#defaultLambda = lambda;
  }

  /** The configuration such that a strength that is written to it is known from the default, even from an equal one. */
  #watched(config: EWCConfig): EWCConfig {
    return withWatchedLambda(config, () => {
      this.#defaultLambda = undefined;
    });
  }

  get #isDefaultLambda(): boolean {
    return this.config.lambda === this.#defaultLambda;
  }

  /**
   * A deep copy of the state as plain arrays and numbers, ready for JSON, with fingerprints of the latest task's examples.
   *
   * @param options Pass `adapters` to have fingerprints of their weights too.
   * @throws TypeError or RangeError when `adapters` lacks one that is remembered, or a weight is not finite.
   */
  export(options: ExportOptions = {}): EWCState {
    checkOptions('export', options);
    const { adapters } = options;
    const weights = adapters === undefined ? null : weightsOf('export', adapters, this.optimalParams);
    const { fisherInfo, optimalParams, functionInfo, config, stats } = this;
    return exportState({
      fisherInfo,
      optimalParams,
      functionInfo,
      constants: this.#constants,
      sides: this.#sides,
      provenance: { ...this.#fingerprints, weights },
      examples: this.#examples,
      isDefaultLambda: this.#isDefaultLambda,
      isNormalized: this.#isNormalized,
      config,
      stats,
    });
  }

  /**
   * Takes over an exported state, the original module's too. Only known fields are read. Whether a Fisher is normalised
   * stays as this manager was constructed.
   *
   * State of another adapter, data set or embedder of equal size looks alike: pass `options` to have it refused.
   *
   * @param data What `export` returned, also after a round trip through JSON.
   * @param options What the state is to be of: `adapters`, `examples` or both. What an older or the original's state does
   *   not tell is not compared.
   * @throws TypeError or RangeError, with nothing changed, when a matrix is missing, ragged, of another shape than its
   *   partner or not finite, a Fisher value is negative, a setting or count is out of range, the version is unknown, or
   *   the state is not of what `options` say; the message tells which differs.
   */
  import(data: unknown, options: ImportOptions = {}): void {
    checkOptions('import', options);
    const state = parseState(data);
    checkProvenance(options, state.provenance, state.optimalParams);
    const { fisherInfo, optimalParams, functionInfo, constants, sides, provenance, examples, config, stats } = state;
    this.fisherInfo = new Map();
    for (const [name, fisher] of fisherInfo) this.#setFisher(name, fisher);
    this.optimalParams = new Map();
    for (const [name, optimal] of optimalParams) this.#setOptimal(name, optimal);
    this.functionInfo = functionInfo;
    this.#constants = constants;
    this.#sides = sides;
    this.#fingerprints = { embeddings: provenance.embeddings, texts: provenance.texts };
    this.#examples = examples;
    // A state says all of what it is by what it lacks too; the original's is diagonal.
    const { mode: _mode, decay: _decay, fisher: _fisher, penalty: _penalty, seed: _seed, ...own } = this.config;
    const isWhole = state.isVersioned || fisherInfo.size > 0;
    this.config = this.#watched({ ...(isWhole ? own : this.config), ...config });
    this.#isNormalized = state.isNormalized;
    if (config.lambda !== undefined) this.#defaultLambda = state.isDefaultLambda ? config.lambda : undefined;
    if (stats) this.stats = stats;
  }

  /** What {@link loadStateDict} takes, ready for JSON: {@link export} without options. */
  stateDict(): EWCState {
    return this.export();
  }

  /**
   * Takes over a state as {@link import} without options does.
   *
   * @throws TypeError or RangeError, with nothing changed, as {@link import}.
   */
  loadStateDict(state: EWCState): void {
    this.import(state);
  }
}

/** Below it every entry, and its sum with another, is within float32. */
const LARGEST_SQUARES = 1e76;

type Fingerprints = Omit<Provenance, 'weights'>;

const UNKNOWN: Fingerprints = { embeddings: null, texts: null };

/** Here, as a class that names itself in its body gets another name in the bundle. */
function isManager(value: unknown): value is EWCManager {
  return value instanceof EWCManager;
}

/** To tell whether it was overridden, on the prototype too. */
const originalGradients = EWCManager.prototype._computeGradients;

interface Remembered {
  name: string;
  adapter: Adapter;
  penalty: AdapterPenalty;
}

/** Checks a matrix that the caller put in place of what was remembered, or put rows in; its entries in one array. */
function checkEdited(call: string, label: string, rows: Rows, like: Rows): Flat {
  checkSameShape(call, label, rows, like);
  checkFiniteRows(call, label, rows);
  return flatten(rows);
}

function checkRememberedShape(call: string, name: string, rows: Rows, remembered: Rows): void {
  if (rows.length === remembered.length && rows[0]!.length === remembered[0]!.length) return;
  const shapes = `${rows.length} × ${rows[0]!.length}, the remembered one is ${remembered.length} × ${remembered[0]!.length}`;
  throw new RangeError(`${call}: ${name} is ${shapes}`);
}
