import { DefaultLambda, functionLambda, initialLambda, ownGradientsLambda } from './ewc-manager/default-lambda.js';
import { checkExamples } from './ewc-manager/fisher.js';
import { checkFisherOptions, type FisherOptions, gradientsBy } from './ewc-manager/fisher-options.js';
import type { FunctionInfo } from './ewc-manager/function.js';
import { Memories } from './ewc-manager/memories.js';
import type { FisherInfo, OptimalParams } from './ewc-manager/memory.js';
import { mergeShards, type Shard } from './ewc-manager/merge.js';
import { mseGradients } from './ewc-manager/mse-gradients.js';
import {
  checkOptionsOf,
  type EWCConfig,
  type EWCEvents,
  type EWCOptions,
  type EWCStats,
} from './ewc-manager/options.js';
import {
  addPenaltyGradients,
  checkTarget,
  type Penalised,
  type PenaltyGradient,
  penaltyGradients,
  stepOn,
  totalPenalty,
} from './ewc-manager/penalised.js';
import { PENALTIES } from './ewc-manager/penalties.js';
import {
  checkProvenance,
  type ExportOptions,
  fingerprintsOf,
  type ImportOptions,
  weightsOf,
} from './ewc-manager/provenance.js';
import { type EWCState, exportState, parseState } from './ewc-manager/state.js';
import { towersOf } from './ewc-manager/through.js';
import { checkAdapters, checkFiniteGradients } from './internal/adapters.js';
import { checkDistinctAdapters } from './internal/distinct.js';
import { withDefaults } from './internal/options.js';
import { overrideOf } from './internal/overrides.js';
import { randomFor } from './internal/random.js';
import { TypedEmitter } from './internal/typed-emitter.js';
import {
  checkArray,
  checkFiniteRows,
  checkNumber,
  checkOptions,
  checkRowShapes,
  wrongType,
} from './internal/validate.js';
import type { Adapter, AdapterGradients, EmbeddedExample, Stateful } from './types.js';

/**
 * Elastic weight consolidation (Kirkpatrick et al. 2017, "Overcoming catastrophic forgetting in neural networks").
 *
 * After a task it remembers the adapters' parameters θ* and how much the task's loss depends on each: the diagonal
 * Fisher F. While later tasks are learned, it penalises `λ/2 · Σ F (θ - θ*)²`. With `penalty: 'function'` it penalises the
 * change of the outputs instead.
 *
 * The default, `new EWCManager()` with `computeFisher(adapters, data)`, is the original's. Its Fisher is that of the mean
 * squared error between adapted inputs and outputs, so it suits training with that loss. It does not suit training with
 * `LossComputer.contrastive` or a loss of your own: it then protects parameters that the loss does not depend on, and
 * keeps nothing measurable. For these losses there are two ways:
 *
 * - `new EWCManager({ penalty: 'function' })` keeps the outputs for the inputs of earlier tasks, whatever the loss.
 * - `computeFisher(adapters, data, { gradients })` or `{ adapterGradients }` takes gradients of your loss.
 *
 * Both choose a `lambda` that fits, unless you name one.
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
  /** The configuration in force. What is written to it counts from the next call, except `normalize`. */
  config: EWCConfig;
  /**
   * Fisher values of the diagonal penalty by adapter. The matrices are used as the original's nested arrays are: entries
   * and rows may be written, `flat` gives numbers, and JSON is nested arrays. Rows are `Float64Array`s.
   */
  fisherInfo = new Map<string, FisherInfo>();
  /** Protected parameters by adapter, as {@link fisherInfo}. Rows are of float32 where the adapter's are. */
  optimalParams = new Map<string, OptimalParams>();
  /** Counts of tasks and penalties. */
  stats: EWCStats = { tasksLearned: 0, totalPenalties: 0 };

  readonly #learned = new Memories();
  readonly #normalize: boolean;
  readonly #defaultLambda = new DefaultLambda();

  /**
   * @throws TypeError or RangeError that names the option and the value.
   */
  constructor(config: EWCOptions = {}) {
    super();
    const defaults = { lambda: initialLambda(config ?? {}), sampleSize: 200, normalize: true, online: false };
    const given = withDefaults('EWCManager', defaults, config);
    checkOptionsOf('EWCManager', '', { ...given });
    this.config = this.#defaultLambda.watch(given, config?.lambda === undefined);
    this.#normalize = config?.normalize === true;
  }

  /** What the function penalty keeps, by adapter: a Map that is made anew at each read. */
  get functionInfo(): ReadonlyMap<string, FunctionInfo> {
    return this.#learned.functionInfo();
  }

  /**
   * Remembers the adapters as they are, and how much the loss on `data` depends on them. With `penalty: 'function'` it is
   * how much the outputs for the inputs of `data` depend on them.
   *
   * @param adapters Adapters by name.
   * @param data Examples, at least one, with `inputEmb`: at least dim numbers, more are ignored. The empirical Fisher
   *   also reads `outputEmb`, and so does an adapter that `through` gives the outputs. The function penalty reads all
   *   examples, a Fisher at most `sampleSize`.
   * @throws TypeError or RangeError, before anything is stored: an adapter's matrices do not fit each other; `data` is
   *   empty; an embedding is shorter than the adapter; a gradient is not finite or of the wrong shape; `through` names no
   *   adapter; an option is given that would not be read; or the caller's function or listener left an adapter with an
   *   entry that is not finite.
   */
  computeFisher<E extends EmbeddedExample, A extends Adapter = Adapter>(
    adapters: ReadonlyMap<string, A>,
    data: readonly E[],
    options: FisherOptions<E, A> = {},
  ): void {
    const call = 'EWCManager.computeFisher';
    checkAdapters(call, adapters, checkFiniteRows);
    checkOptions(call, options);
    checkArray(call, 'data', data);
    if (data.length === 0) throw new RangeError(`${call}: data is empty`);
    const isOwn = checkFisherOptions(call, options, this.config);
    const towers = towersOf(call, adapters, options.through);
    const isFunction = this.config.penalty === 'function';
    const override = overrideOf(this, this._computeGradients, originalGradients);
    const gradients = gradientsBy(options as FisherOptions<E>, this.config, override);
    if (isFunction || typeof gradients === 'string')
      checkExamples(call, data, towers, !isFunction && gradients === 'empirical');

    const hasListeners = this.emit('fisher:start', { samples: data.length });
    if (hasListeners) checkAdapters(call, adapters, checkFiniteRows);
    const { sampleSize } = this.config;
    const sample = (): readonly E[] => (data.length > sampleSize ? this._sampleData(data, sampleSize) : data);
    const task = { adapters, towers, data, sample, gradients, normalize: this.#normalize };
    const hadFunction = this.functionInfo.size > 0;
    const penalty = PENALTIES[this.config.penalty ?? 'diagonal'];
    const memories = penalty.remember(call, task, name => this.#learned.of(name, this), this.config);
    const seen = options.adapterGradients
      ? Array.from(memories.keys(), name => [name, []] as const)
      : towers.map(({ name, sides }) => [name, sides] as const);
    const latest = { sides: new Map(seen), fingerprints: fingerprintsOf(data), examples: data.length };
    const isNormalized = this.#learned.isNormalized || (this.#normalize && !isFunction);
    this.#learned.store({ memories, latest, isNormalized }, this);
    if (isFunction) this.#defaultLambda.set(this.config, functionLambda(this.optimalParams.values()));
    else if (isOwn) this.#defaultLambda.set(this.config, ownGradientsLambda(this.optimalParams.values()));
    // The default of another penalty, where `config.penalty` has changed.
    else if (hadFunction || this.stats.tasksLearned === 0)
      this.#defaultLambda.set(this.config, initialLambda(this.config));
    this.stats.tasksLearned++;
    this.emit('fisher:complete', { adapters: seen.length });
  }

  /**
   * The penalty over all remembered adapters: `λ/2 · Σ F (θ - θ*)²`, or λ times the mean squared change of the outputs.
   * It is 0 before the first task. Adapters that are not remembered are skipped.
   *
   * @throws RangeError when an adapter's shape is not the remembered one, an entry is not finite, or the penalty
   *   overflows.
   */
  computePenalty(adapters: ReadonlyMap<string, Adapter>): number {
    const call = 'EWCManager.computePenalty';
    checkAdapters(call, adapters, checkRowShapes);
    if (this.functionInfo.size + this.fisherInfo.size === 0) return 0;
    const total = totalPenalty(call, this.#penalised(call, adapters), this.config.lambda);
    this.stats.totalPenalties++;
    return total;
  }

  /**
   * The gradient of {@link computePenalty} for every remembered adapter.
   *
   * @throws RangeError as {@link computePenalty}.
   */
  penaltyGradient(adapters: ReadonlyMap<string, Adapter>): Map<string, PenaltyGradient> {
    const call = 'EWCManager.penaltyGradient';
    checkAdapters(call, adapters, checkFiniteRows);
    return penaltyGradients(call, this.#penalised(call, adapters), this.config.lambda);
  }

  /**
   * Adds the penalty's gradient to gradients of the training loss, in place. Adapters without an entry in `grads` are
   * skipped, and so are those that are not remembered.
   *
   * @throws TypeError or RangeError, with `grads` unchanged, as {@link computePenalty}, and when `grads` has a name or
   *   shape that no adapter has, an entry that is not finite, a row that is frozen or of integers, or one matrix twice.
   */
  addPenaltyGradient(adapters: ReadonlyMap<string, Adapter>, grads: ReadonlyMap<string, AdapterGradients>): void {
    const call = 'EWCManager.addPenaltyGradient';
    checkAdapters(call, adapters, checkFiniteRows);
    checkTarget(call, grads, adapters);
    const penalised = this.#penalised(call, adapters);
    checkFiniteGradients(call, grads);
    addPenaltyGradients(call, penalised, this.config.lambda, grads);
  }

  /**
   * One gradient step on the penalty alone, in place: `θ -= min(1, lr · λ · F) · (θ - θ*)`, which never oversteps θ*.
   * For the function penalty it is a step of at most `lr` that does not make the penalty grow.
   *
   * @param learningRate 0 or more.
   * @throws TypeError or RangeError, with the adapters unchanged, as {@link computePenalty}, and for a row that is frozen
   *   or of integers, or an adapter or matrix that is there twice.
   */
  applyGradient(adapters: ReadonlyMap<string, Adapter>, learningRate: number): void {
    const call = 'EWCManager.applyGradient';
    checkAdapters(call, adapters, checkFiniteRows);
    checkNumber(call, 'learningRate', learningRate, { min: 0 });
    const penalised = this.#penalised(call, adapters);
    checkDistinctAdapters(call, adapters);
    stepOn(call, penalised, learningRate * this.config.lambda);
  }

  /** The remembered ones of the adapters, with the penalty on each. */
  #penalised(call: string, adapters: ReadonlyMap<string, Adapter>): Penalised[] {
    checkNumber(call, 'config.lambda', this.config.lambda, { min: 0 });
    const penalised: Penalised[] = [];
    for (const [name, adapter] of adapters) {
      const memory = this.#learned.of(name, this);
      if (memory) penalised.push({ name, adapter, penalty: memory.on(call, name, adapter) });
    }
    return penalised;
  }

  /**
   * Takes in what another manager learned of another part of the latest task's data, weighted by their numbers of
   * examples. Then this manager holds what it would hold if it had seen all of the data. What both learned before must be
   * the same.
   *
   * @param other A manager of the same configuration that saw the same adapters, through the same sides of the pairs.
   * @throws TypeError or RangeError, with nothing changed, for another penalty, mode or number of tasks, other adapters
   *   or weights, other sides of the pairs, or normalised Fishers, whose scales are lost.
   */
  merge(other: EWCManager): void {
    const call = 'EWCManager.merge';
    if (!isManager(other)) throw wrongType(call, 'other', 'an EWCManager', other);
    if (other === this) throw new RangeError(`${call}: other is this manager itself`);
    const shardOf = (of: EWCManager): Shard => ({ ...of.#learned.learned(of), config: of.config, stats: of.stats });
    this.#learned.store(mergeShards(call, shardOf(this), shardOf(other)), this);
  }

  /** Gradients of the mean squared error of one example. */
  _computeGradients(example: EmbeddedExample, adapter: Adapter): AdapterGradients {
    return mseGradients(example, adapter);
  }

  /** Draws `size` examples with replacement. With a `seed` they differ for each task. */
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
    this.#learned.clear();
    this.stats.tasksLearned = 0;
    this.#defaultLambda.set(this.config, initialLambda(this.config));
  }

  /**
   * A deep copy of the state as plain arrays and numbers, ready for JSON, with fingerprints of the latest task's examples.
   *
   * @param options Pass `adapters` to have fingerprints of their weights too.
   * @throws TypeError or RangeError when `adapters` lacks one that is remembered, or a weight is not finite.
   */
  export(options: ExportOptions = {}): EWCState {
    const call = 'EWCManager.export';
    checkOptions(call, options);
    const { adapters } = options;
    const learned = this.#learned.learned(this);
    const weights = adapters === undefined ? null : weightsOf(call, adapters, learned.memories);
    const { config, stats } = this;
    return exportState(call, { ...learned, config, stats, isDefaultLambda: this.#defaultLambda.isIn(config) }, weights);
  }

  /**
   * Takes over an exported state, the original module's too. Only known fields are read. Whether a Fisher is normalised
   * stays as this manager was constructed.
   *
   * State of another adapter, data set or embedder of equal size looks alike: pass `options` to have it refused.
   *
   * @param data What `export` returned, also after a round trip through JSON.
   * @param options What the state must belong to: `adapters`, `examples` or both. What an older or the original's state
   *   does not tell is not compared.
   * @throws TypeError or RangeError, with nothing changed, when a matrix is missing, ragged, of another shape than its
   *   partner or not finite, a Fisher value is negative, a setting or count is out of range, the version is unknown, or
   *   the state does not belong to what `options` say. The message tells which differs.
   */
  import(data: unknown, options: ImportOptions = {}): void {
    checkOptions('EWCManager.import', options);
    this.#load('EWCManager.import', 'data', data, options);
  }

  #load(call: string, label: string, data: unknown, options: ImportOptions): void {
    const state = parseState(call, label, data);
    const { config, stats } = state;
    checkProvenance(call, options, { ...state.latest.fingerprints, weights: state.weights }, state.memories);
    [this.fisherInfo, this.optimalParams] = [new Map(), new Map()];
    this.#learned.clear();
    this.#learned.store(state, this);
    // A setting that a whole state lacks is one that it was made without. The original's is diagonal.
    const { mode: _mode, decay: _decay, fisher: _fisher, penalty: _penalty, seed: _seed, ...own } = this.config;
    const isDefault = config.lambda === undefined ? this.#defaultLambda.isIn(this.config) : state.isDefaultLambda;
    this.config = this.#defaultLambda.watch({ ...(state.isWhole ? own : this.config), ...config }, isDefault);
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
    this.#load('EWCManager.loadStateDict', 'state', state, {});
  }
}

/** Here, as a class that names itself in its body gets another name in the bundle. */
function isManager(value: unknown): value is EWCManager {
  return value instanceof EWCManager;
}

/** To tell whether it was overridden, on the prototype too. */
const originalGradients = EWCManager.prototype._computeGradients;
