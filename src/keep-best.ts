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
  /** Whether the metric is to rise (an accuracy) or to fall (a loss). Default `'max'`. */
  mode?: 'max' | 'min';
  /** Metrics in a row without improvement that are put up with, 0 or more. Default Infinity: no end before the last. */
  patience?: number;
}

/** Where a `KeepBest` stands: plain values, ready for JSON. */
export interface KeepBestState {
  /** The direction of `best`, which must be that of the instance that loads the state. */
  mode: 'max' | 'min';
  /** Number of metrics so far. */
  steps: number;
  /** The best metric so far, null before the first. */
  best: number | null;
  /** Which metric it was, from 0, null before the first. */
  bestStep: number | null;
  /** The weights it was measured with, by adapter; null before the first. */
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
 * Keeps the adapters' weights that measured best on validation data, the untrained ones included, and says when
 * patience with a metric that no longer improves has run out. With one `step` before training and one after each epoch,
 * `restore` never leaves the adapters worse on that data than they started.
 *
 * It holds one copy of the weights. Of equal metrics the first counts, and only a better one is an improvement.
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
  /** The matrices as they were when this was made: their rows are written to. */
  readonly #matrices: ReadonlyMap<string, Pick<Adapter, 'loraA' | 'loraB'>>;
  /** Their shapes then, as rank and outDim of plain arrays may change. */
  readonly #shapes: ReadonlyMap<string, readonly number[]>;
  readonly #scalings: ReadonlyMap<string, number>;
  readonly #mode: 'max' | 'min';
  readonly #patience: number;
  #steps = 0;
  #best: Best | undefined;

  /**
   * @param adapters Adapters by name, at least one; `number[][]` matrices work too.
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

  /** The best metric so far, null before the first. */
  get best(): number | null {
    return this.#best?.metric ?? null;
  }

  /**
   * Which metric it was, from 0; null before the first. With one before training and one after each epoch it is the
   * number of epochs.
   */
  get bestStep(): number | null {
    return this.#best?.step ?? null;
  }

  /** Number of metrics so far. */
  get steps(): number {
    return this.#steps;
  }

  /**
   * Takes the next metric, and copies the weights if it is the best so far. The first always is: call this once before
   * training, so that the start counts too.
   *
   * @param metric What the adapters measure as they are now; a finite number.
   * @returns Whether to go on: false once more than `patience` metrics in a row were no better than the best.
   * @throws TypeError or RangeError, with nothing changed, for a metric that is not a finite number, for a new best with
   *   weights that are not finite, and when an adapter was added, removed, replaced, reshaped or frozen after this was
   *   made.
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
   * Writes the best weights back into the adapters, in place, so that an optimizer could go on from there.
   *
   * @throws Error before the first `step`; TypeError or RangeError, with nothing changed, when an adapter was added,
   *   removed, replaced, reshaped or frozen after this was made.
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
   * Where it stands, the best weights included, ready for JSON. Every weight survives JSON exactly, except for the sign
   * of a zero.
   */
  stateDict(): KeepBestState {
    const weights = this.#best?.weights;
    const saved = ([name, each]: [string, Weights]) => [name, { ...nested(each), scaling: this.#scalings.get(name)! }];
    const adapters = weights && Object.fromEntries(Array.from(weights, saved));
    const { best, bestStep } = this;
    return { mode: this.#mode, steps: this.#steps, best, bestStep, adapters: adapters ?? null };
  }

  /**
   * Goes on where the state was taken, with this instance's own `patience`. The adapters stay as they are: load their
   * own states too, or call {@link restore}.
   *
   * @throws TypeError or RangeError, with nothing changed, for what `stateDict` cannot have given, another `mode`,
   *   other adapters, other shapes or another scaling.
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
