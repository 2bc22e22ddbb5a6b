import {
  checkAdapter,
  checkAdapters,
  checkedCopy,
  checkSameRank,
  checkTrainable,
  describeAdapter,
  shapeOf,
} from './internal/adapters.js';
import { withDefaults } from './internal/options.js';
import {
  checkCount,
  checkFiniteRows,
  checkNumber,
  checkObject,
  checkOneOf,
  checkRowShapes,
  describe,
} from './internal/validate.js';
import { copyRows, type FloatMatrix, toNestedArrays } from './kernels/matrix.js';
import type { Adapter, MutableVector, Stateful } from './types.js';

export interface KeepBestOptions {
  /**
   * Whether a greater metric is better (`'max'`, as for an accuracy) or a smaller one (`'min'`, as for a loss).
   *
   * @default 'max'
   */
  mode?: 'max' | 'min';
  /**
   * Number of metrics in a row without improvement after which `step` still returns true, an integer of at least 0 or
   * `Infinity`. With `Infinity`, `step` always returns true.
   *
   * @default Infinity
   */
  patience?: number;
}

/** The state of a `KeepBest`, as plain data for JSON. */
export interface KeepBestState {
  /** The direction of `best`. The instance that loads the state must have the same. */
  mode: 'max' | 'min';
  /** Number of metrics so far. */
  steps: number;
  /** The best metric so far. Null before the first. */
  best: number | null;
  /** The number of that metric, from 0. Null before the first. */
  bestStep: number | null;
  /** The weights that it was measured with, by adapter. Null before the first. */
  adapters: Record<string, { loraA: number[][]; loraB: number[][]; scaling: number }> | null;
}

/** One copy of an adapter's weights. */
interface Weights {
  loraA: FloatMatrix;
  loraB: FloatMatrix;
}

/** The metric, when it was measured and the weights of all adapters then. */
interface Best {
  metric: number;
  step: number;
  weights: Map<string, Weights>;
}

const CALL = 'KeepBest';
const MODES = ['max', 'min'] as const;
const MATRICES = ['loraA', 'loraB'] as const;

/**
 * Keeps the adapters' weights that measured best on validation data, and tells when the metric has stopped improving.
 * With one `step` before training and one after each epoch, `restore` never leaves the adapters worse on that data
 * than they were at the start.
 *
 * It holds one copy of the weights. If metrics are equal, the first counts: only a better metric is an improvement.
 *
 * @example
 * ```js
 * import { KeepBest, LoRAAdapter } from 'microlora-training-utils';
 *
 * const adapter = new LoRAAdapter({ dim: 2, rank: 1, seed: 1 });
 * const keep = new KeepBest(new Map([['query', adapter]]), { patience: 1 });
 * keep.step(0.5); // The untrained adapter.
 * for (const accuracy of [0.7, 0.6, 0.65, 0.9]) {
 *   adapter.loraB[0].fill(accuracy); // Stands for an epoch of training.
 *   if (!keep.step(accuracy)) break;
 * }
 * keep.restore();
 * console.log(keep.best, keep.bestStep, keep.steps); // 0.7 1 4
 * ```
 */
export class KeepBest implements Stateful<KeepBestState> {
  readonly #adapters: ReadonlyMap<string, Adapter>;
  /** The matrices when this instance was made. `restore` writes to their rows. */
  readonly #matrices: ReadonlyMap<string, Pick<Adapter, 'loraA' | 'loraB'>>;
  /** Their shapes at that time. The shapes of plain arrays may change. */
  readonly #shapes: ReadonlyMap<string, readonly number[]>;
  readonly #scalings: ReadonlyMap<string, number>;
  readonly #mode: 'max' | 'min';
  readonly #patience: number;
  #steps = 0;
  #best: Best | undefined;

  /**
   * @param adapters At least one adapter, by name. Their matrices may be `number[][]`.
   * @throws TypeError or RangeError that names the option or the adapter and the value.
   */
  constructor(adapters: ReadonlyMap<string, Adapter>, options: KeepBestOptions = {}) {
    const { mode, patience } = withDefaults(CALL, { mode: 'max' as const, patience: Infinity }, options);
    checkAdapters(CALL, adapters, checkFiniteRows);
    if (adapters.size === 0) throw new RangeError(`${CALL}: adapters is empty`);
    checkOneOf(CALL, 'mode', mode, MODES);
    checkNumber(CALL, 'patience', patience, { integer: true, min: 0, infinity: true });
    checkWritable(CALL, adapters);
    this.#adapters = adapters;
    this.#matrices = new Map(Array.from(adapters, ([name, { loraA, loraB }]) => [name, { loraA, loraB }]));
    this.#shapes = new Map(Array.from(adapters, ([name, adapter]) => [name, shapeOf(adapter)]));
    this.#scalings = new Map(Array.from(adapters, ([name, { scaling }]) => [name, scaling]));
    this.#mode = mode;
    this.#patience = patience;
  }

  /** The best metric so far. Null before the first. */
  get best(): number | null {
    return this.#best?.metric ?? null;
  }

  /**
   * The number of the best metric, from 0. Null before the first. With one `step` before training and one after each
   * epoch, this is the number of epochs.
   */
  get bestStep(): number | null {
    return this.#best?.step ?? null;
  }

  /** Number of metrics so far. */
  get steps(): number {
    return this.#steps;
  }

  /**
   * Takes the next metric, and copies the weights if it is the best so far. The first metric always is. Call this
   * method once before training, so that the untrained weights count too.
   *
   * @param metric The metric of the current weights, a finite number.
   * @returns Whether to continue: false after more than `patience` metrics in a row that were no better than the best.
   * @throws TypeError or RangeError for a metric that is not a finite number, for a new best with weights that are not
   *   finite, and where an adapter was added, removed, replaced or reshaped after this instance was made. Nothing has
   *   changed then.
   */
  step(metric: number): boolean {
    const call = `${CALL}.step`;
    checkNumber(call, 'metric', metric);
    this.#checkSame(call);
    if (this.#isImprovement(metric)) {
      checkAdapters(call, this.#adapters, checkFiniteRows);
      const weights = new Map(
        Array.from(this.#matrices, ([name, { loraA, loraB }]) => [
          name,
          { loraA: copyRows(loraA), loraB: copyRows(loraB) },
        ]),
      );
      this.#best = { metric, step: this.#steps, weights };
    }
    this.#steps++;
    return this.#steps - 1 - this.#best!.step <= this.#patience;
  }

  /**
   * Writes the best weights back into the adapters, in place, so that an optimizer can continue from there.
   *
   * @throws Error before the first `step`. TypeError or RangeError where an adapter was added, removed, replaced,
   *   reshaped or frozen after this instance was made. Nothing has changed then.
   */
  restore(): void {
    const call = `${CALL}.restore`;
    if (!this.#best) throw new Error(`${call}: call step first`);
    this.#checkSame(call);
    checkWritable(call, this.#adapters);
    for (const [name, weights] of this.#best.weights) {
      for (const matrix of MATRICES) write(this.#matrices.get(name)![matrix], weights[matrix]);
    }
  }

  /**
   * The state with the best weights, as plain data for JSON. Every weight survives JSON exactly, except the sign of a
   * zero.
   */
  stateDict(): KeepBestState {
    const weights = this.#best?.weights;
    const saved = ([name, each]: [string, Weights]) => [name, { ...nested(each), scaling: this.#scalings.get(name)! }];
    const adapters = weights && Object.fromEntries(Array.from(weights, saved));
    const { best, bestStep } = this;
    return { mode: this.#mode, steps: this.#steps, best, bestStep, adapters: adapters ?? null };
  }

  /**
   * Continues where the state was taken, with the `patience` of this instance. The adapters stay as they are: load
   * their own states too, or call {@link restore}.
   *
   * @throws TypeError or RangeError for a state that `stateDict` cannot have returned, another `mode`, other adapters,
   *   other shapes or another scaling. Nothing has changed then.
   */
  loadStateDict(state: KeepBestState): void {
    const call = `${CALL}.loadStateDict`;
    checkObject(call, 'state', state);
    const { mode, steps, best, bestStep, adapters } = state as KeepBestState;
    checkOneOf(call, 'state.mode', mode, [this.#mode]);
    checkCount(call, 'state.steps', steps, 0);
    if (steps === 0) {
      for (const [name, value] of Object.entries({ best, bestStep, adapters })) {
        if (value !== null) throw new RangeError(`${call}: state.${name} must be null before the first step`);
      }
      this.#best = undefined;
    } else {
      checkNumber(call, 'state.best', best);
      checkNumber(call, 'state.bestStep', bestStep, { integer: true, min: 0, max: steps - 1 });
      this.#best = { metric: best!, step: bestStep!, weights: this.#parse(call, adapters) };
    }
    this.#steps = steps;
  }

  #parse(call: string, adapters: unknown): Map<string, Weights> {
    checkObject(call, 'state.adapters', adapters);
    const unknown = Object.keys(adapters).find(name => !this.#matrices.has(name));
    if (unknown !== undefined)
      throw new RangeError(`${call}: state.adapters has ${describe(unknown)}, which is no adapter`);
    return new Map(
      Array.from(this.#matrices, ([name, { loraA, loraB }]) => {
        const label = `state.adapters[${describe(name)}]`;
        const saved = adapters[name];
        checkObject(call, label, saved);
        checkSameRank(call, label, saved['loraA'], saved['loraB'], loraB.length);
        const copy = (matrix: (typeof MATRICES)[number], like: readonly MutableVector[]): FloatMatrix =>
          checkedCopy(call, `${label}.${matrix}`, saved[matrix], like);
        const weights = { loraA: copy('loraA', loraA), loraB: copy('loraB', loraB) };
        const scaling = this.#scalings.get(name);
        if (saved['scaling'] !== scaling)
          throw new RangeError(
            `${call}: ${label}.scaling is ${describe(saved['scaling'])}, the adapter's is ${scaling}`,
          );
        return [name, weights];
      }),
    );
  }

  #isImprovement(metric: number): boolean {
    if (!this.#best) return true;
    return this.#mode === 'max' ? metric > this.#best.metric : metric < this.#best.metric;
  }

  #checkSame(call: string): void {
    for (const name of new Set([...this.#adapters.keys(), ...this.#matrices.keys()])) {
      const [adapter, known] = [this.#adapters.get(name), this.#matrices.get(name)];
      if (!adapter || !known || adapter.loraA !== known.loraA || adapter.loraB !== known.loraB)
        throw new RangeError(
          `${call}: adapter ${describe(name)} was added, removed or replaced after KeepBest was made`,
        );
      checkAdapter(call, describeAdapter(name), adapter, checkRowShapes);
      const [shape, before] = [shapeOf(adapter).join(' × '), this.#shapes.get(name)!.join(' × ')];
      if (shape !== before)
        throw new RangeError(`${call}: adapter ${describe(name)} is ${shape}, was ${before} when KeepBest was made`);
    }
  }
}

function checkWritable(call: string, adapters: ReadonlyMap<string, Adapter>): void {
  for (const [name, adapter] of adapters) {
    for (const matrix of MATRICES) checkTrainable(call, `${describeAdapter(name)}.${matrix}`, adapter[matrix]);
  }
}

function nested({ loraA, loraB }: Weights): { loraA: number[][]; loraB: number[][] } {
  return { loraA: toNestedArrays(loraA), loraB: toNestedArrays(loraB) };
}

function write(target: readonly MutableVector[], source: FloatMatrix): void {
  target.forEach((row, i) => {
    const from = source[i]!;
    for (let j = 0; j < row.length; j++) row[j] = from[j]!;
  });
}
