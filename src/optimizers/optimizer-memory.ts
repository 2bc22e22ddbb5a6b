import {
  checkAdapter,
  checkAdapters,
  checkFiniteGradients,
  checkGradients,
  checkSameRank,
  checkTrainable,
  describeAdapter,
  shapeOf,
} from '../internal/adapters.js';
import { checkDistinct } from '../internal/distinct.js';
import { fingerprintOf } from '../internal/fingerprint.js';
import { jsonOf, shortened } from '../internal/json.js';
import {
  checkFiniteRows,
  checkMap,
  checkNumber,
  checkObject,
  checkOneOf,
  checkRowShapes,
  describe,
  wrongType,
} from '../internal/validate.js';
import { bufferOf } from '../kernels/matrix.js';
import type { Adapter, AdapterGradients, MutableVector, Rows } from '../types.js';
import type { MomentsKind, OptimizerState, SavedMoments } from './moments.js';

/** One matrix of parameters, its gradient, and its moments: what the optimizer remembers of it. */
interface Parameter<Moments> {
  values: readonly MutableVector[];
  gradients: Rows;
  moments: Moments;
}

/** One matrix as it was when the optimizer was made, and its moments. */
interface Known<Moments> {
  values: readonly MutableVector[];
  moments: Moments;
}

type Matrices<Moments> = Record<'loraA' | 'loraB', Known<Moments>>;

const MATRICES = ['loraA', 'loraB'] as const;

/** What an optimizer remembers of each matrix, with its options. Checks, clipping and the state are here. */
export class OptimizerMemory<State extends OptimizerState, Moments> {
  readonly options: State['options'];
  readonly #name: State['optimizer'];
  readonly #adapters: ReadonlyMap<string, Adapter>;
  readonly #kind: MomentsKind<Moments, SavedMoments<State>>;
  #matrices: Map<string, Matrices<Moments>>;
  /** Shapes of the adapters when the optimizer was made. Those of plain arrays may change. */
  readonly #shapes: ReadonlyMap<string, ReturnType<typeof shapeOf>>;

  constructor(
    name: State['optimizer'],
    adapters: ReadonlyMap<string, Adapter>,
    options: State['options'],
    kind: MomentsKind<Moments, SavedMoments<State>>,
  ) {
    checkAdapters(name, adapters, checkFiniteRows);
    checkDistinct(name, adapters);
    const known = (label: string, values: readonly MutableVector[]): Known<Moments> => {
      checkTrainable(name, label, values);
      return { values, moments: kind.start(values) };
    };
    this.options = options;
    this.#name = name;
    this.#adapters = adapters;
    this.#kind = kind;
    this.#shapes = new Map(Array.from(adapters, ([each, adapter]) => [each, shapeOf(adapter)]));
    this.#matrices = new Map(
      Array.from(adapters, ([adapterName, { loraA, loraB }]) => {
        const label = describeAdapter(adapterName);
        return [adapterName, { loraA: known(`${label}.loraA`, loraA), loraB: known(`${label}.loraB`, loraB) }];
      }),
    );
  }

  /** The state of the optimizer at a learning rate. */
  stateDict(lr: number): State {
    const save = ({ moments }: Known<Moments>): SavedMoments<State> => this.#kind.save(moments);
    const saved = Array.from(this.#matrices, ([name, { loraA, loraB }]) => [
      name,
      { loraA: save(loraA), loraB: save(loraB) },
    ]);
    return {
      optimizer: this.#name,
      lr,
      options: structuredClone(this.options),
      adapters: Object.fromEntries(saved),
      fingerprints: Object.fromEntries(Array.from(this.#matrices, ([name, each]) => [name, weightsOf(each)])),
    } as State;
  }

  /** Takes over a state. Returns its learning rate. Checks everything before anything changes. */
  loadStateDict(state: State): number {
    const call = `${this.#name}.loadStateDict`;
    checkObject(call, 'state', state);
    const { optimizer, lr, options, adapters }: Record<string, unknown> = state;
    checkOneOf(call, 'state.optimizer', optimizer, [this.#name]);
    const rate = checkNumber(call, 'state.lr', lr, { min: 0 });
    this.#checkOptions(call, options);
    checkObject(call, 'state.adapters', adapters);
    const saved = new Map(Object.entries(adapters));
    const unknown = [...saved.keys()].find(name => !this.#matrices.has(name));
    if (unknown !== undefined) {
      throw new RangeError(`${call}: state.adapters has ${describe(unknown)}, which is no adapter`);
    }
    const loaded = new Map<string, Matrices<Moments>>();
    for (const [name, { loraA, loraB }] of this.#matrices) {
      const label = `state.adapters[${describe(name)}]`;
      const entry = saved.get(name);
      checkObject(call, label, entry);
      checkSameRank(call, label, matrixOf(entry['loraA']), matrixOf(entry['loraB']), loraB.values.length);
      const load = (matrix: keyof Matrices<Moments>, { values }: Known<Moments>): Known<Moments> => {
        const moments = entry[matrix];
        checkObject(call, `${label}.${matrix}`, moments);
        return { values, moments: this.#kind.parse(call, `${label}.${matrix}`, moments, values) };
      };
      loaded.set(name, { loraA: load('loraA', loraA), loraB: load('loraB', loraB) });
    }
    this.#checkFingerprints(call, state.fingerprints);
    this.#matrices = loaded;
    return rate;
  }

  #checkFingerprints(call: string, fingerprints: unknown): void {
    if (fingerprints === undefined) return;
    checkObject(call, 'state.fingerprints', fingerprints);
    for (const [name, matrices] of this.#matrices) {
      const saved = fingerprints[name];
      if (saved === weightsOf(matrices)) continue;
      const label = `state.fingerprints[${describe(name)}]`;
      if (typeof saved !== 'string') throw wrongType(call, label, 'a string', saved);
      throw new RangeError(
        `${call}: ${label} belongs to other weights than ${describeAdapter(name)} has; load the adapter first, or delete state.fingerprints to use other weights`,
      );
    }
  }

  #checkOptions(call: string, options: unknown): void {
    checkObject(call, 'state.options', options);
    const own = this.options as Record<string, unknown>;
    for (const option of new Set([...Object.keys(own), ...Object.keys(options)])) {
      const [theirs, ours] = [jsonOf(options[option]), jsonOf(own[option])];
      if (theirs !== ours)
        throw new RangeError(`${call}: state has ${option} ${shortened(theirs)}, this optimizer has ${ours}`);
    }
  }

  /** The matrices to update and the factor from clipping. Checks everything before anything changes. */
  prepare(
    grads: ReadonlyMap<string, AdapterGradients>,
    lr: number,
    largestNorm = Infinity,
  ): { parameters: Parameter<Moments>[]; gradientScale: number } {
    const call = `${this.#name}.step`;
    const { maxGradNorm } = this.options;
    checkMap(call, 'grads', grads);
    for (const name of grads.keys()) this.#checkAdapter(call, name);
    checkGradients(call, grads, this.#adapters);
    checkRate(call, lr);
    const norm = Math.sqrt(checkFiniteGradients(call, grads));
    const gradientScale = maxGradNorm !== undefined && norm > maxGradNorm ? maxGradNorm / norm : 1;
    if (norm * gradientScale > largestNorm) {
      throw new RangeError(`${call}: grads have norm ${norm}, whose square float32 cannot hold; pass maxGradNorm`);
    }
    const parameters: Parameter<Moments>[] = [];
    for (const [name, { gradA, gradB }] of grads) {
      const { loraA, loraB } = this.#matrices.get(name)!;
      parameters.push({ ...loraA, gradients: gradA }, { ...loraB, gradients: gradB });
    }
    return { parameters, gradientScale };
  }

  /** Checks that an adapter is as it was when the optimizer was made, and can still be updated. */
  #checkAdapter(call: string, name: string): void {
    const adapter = this.#adapters.get(name);
    // An unknown name is reported with the gradients.
    if (adapter === undefined) return;
    const known = this.#matrices.get(name);
    if (known?.loraA.values !== adapter.loraA || known.loraB.values !== adapter.loraB) {
      throw new RangeError(`${call}: adapter ${describe(name)} was added or replaced after the optimizer was made`);
    }
    const [height, rank, width] = this.#shapes.get(name)!;
    if (areWritable(adapter.loraA, height, rank) && areWritable(adapter.loraB, rank, width)) return;
    const label = describeAdapter(name);
    checkAdapter(call, label, adapter, checkRowShapes);
    const [shape, before] = [shapeOf(adapter), this.#shapes.get(name)!].map(each => each.join(' × '));
    if (shape !== before)
      throw new RangeError(`${call}: adapter ${describe(name)} is ${shape}, was ${before} when the optimizer was made`);
    for (const matrix of MATRICES) checkTrainable(call, `${label}.${matrix}`, adapter[matrix]);
  }
}

/**
 * Whether all rows are arrays or typed arrays that can be written, of the same width. Each step asks, so this is one
 * pass. Where it is false, slower checks find what is wrong, if anything.
 */
function areWritable(rows: Rows, height: number, width: number): boolean {
  if (rows.length !== height) return false;
  if (bufferOf(rows)) return true;
  for (let i = 0; i < height; i++) {
    const row: unknown = rows[i];
    const isWritable = Array.isArray(row)
      ? !Object.isFrozen(row)
      : row instanceof Float32Array || row instanceof Float64Array;
    if (!isWritable || (row as ArrayLike<number>).length !== width) return false;
  }
  return true;
}

function weightsOf({ loraA, loraB }: Matrices<unknown>): string {
  return fingerprintOf([...loraA.values, ...loraB.values]);
}

/** The first matrix of saved moments. */
function matrixOf(moments: unknown): unknown {
  return typeof moments === 'object' && moments !== null ? Object.values(moments).find(Array.isArray) : undefined;
}

/** Checks a learning rate: 0 or more, and within float32. A greater one would make every weight infinite. */
export function checkRate(call: string, lr: unknown): void {
  checkNumber(call, 'lr', lr, { min: 0, max: LARGEST_RATE });
}

const LARGEST_RATE = 3.4e38;
