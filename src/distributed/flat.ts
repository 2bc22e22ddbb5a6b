import { checkAdapters, checkGradients, checkTrainable, describeAdapter } from '../internal/adapters.js';
import { checkDistinctAdapters } from '../internal/distinct.js';
import { checkArray, checkFiniteRows, describe, inWords, throwNonFinite, wrongType } from '../internal/validate.js';
import { kernels } from '../kernels/index.js';
import { asMatrix, bufferOf } from '../kernels/matrix.js';
import type { Adapter, AdapterGradients, Float32Row, MutableVector, Rows } from '../types.js';

/**
 * The weights of all adapters as one array, to be sent to another process: adapters in the order of the Map, of each
 * `loraA` before `loraB`, row by row.
 *
 * @returns `Σ rank · (dim + outDim)` numbers in float32. The weights of a `LoRAAdapter` lose nothing.
 * @throws TypeError or RangeError when an adapter's matrices do not fit each other, or an entry is not finite in float32.
 *
 * @example
 * ```js
 * import { LoRAAdapter, packWeights, unpackWeights } from 'microlora-training-utils';
 *
 * const [sent, received] = [1, 2].map(seed => new LoRAAdapter({ dim: 4, rank: 1, seed }));
 * unpackWeights(new Map([['query', received]]), packWeights(new Map([['query', sent]])));
 * console.log(received.loraA[0][0] === sent.loraA[0][0]); // true
 * ```
 */
export function packWeights(adapters: ReadonlyMap<string, Adapter>): Float32Row {
  const call = 'packWeights';
  checkAdapters(call, adapters, checkFiniteRows);
  return packed(
    call,
    matricesOf(adapters, adapter => [adapter.loraA, adapter.loraB]),
    describeAdapter,
    ['loraA', 'loraB'],
  );
}

/**
 * Writes the weights of {@link packWeights} into adapters of the same shapes in the same order.
 *
 * @param flat `Σ rank · (dim + outDim)` numbers.
 * @throws TypeError or RangeError, with the adapters unchanged, when `flat` has another length or an entry that is not
 *   finite, or a row of an adapter is frozen or of integers.
 */
export function unpackWeights(adapters: ReadonlyMap<string, Adapter>, flat: Float32Array): void {
  const call = 'unpackWeights';
  checkAdapters(call, adapters);
  checkDistinctAdapters(call, adapters);
  for (const [name, { loraA, loraB }] of adapters) {
    checkTrainable(call, `${describeAdapter(name)}.loraA`, loraA);
    checkTrainable(call, `${describeAdapter(name)}.loraB`, loraB);
  }
  checkFlat(call, 'flat', flat, countOf(adapters));
  let at = 0;
  for (const [, { loraA, loraB }] of adapters) {
    for (const rows of [loraA, loraB]) {
      for (const row of rows as readonly MutableVector[]) {
        for (let j = 0; j < row.length; j++) row[j] = flat[at++]!;
      }
    }
  }
}

/**
 * The gradients of all adapters as one array, in the order of {@link packWeights}.
 *
 * @param grads Gradients by adapter, one for each.
 * @throws TypeError or RangeError when an adapter has no gradients, or theirs are of another shape or not finite in
 *   float32.
 */
export function packGradients(
  adapters: ReadonlyMap<string, Adapter>,
  grads: ReadonlyMap<string, AdapterGradients>,
): Float32Row {
  const call = 'packGradients';
  checkAdapters(call, adapters);
  checkGradients(call, grads, adapters);
  for (const name of adapters.keys()) {
    if (!grads.has(name)) throw new RangeError(`${call}: grads lacks ${describe(name)}; send zeros for no gradients`);
  }
  const matrices = matricesOf(adapters, (_, name) => [grads.get(name)!.gradA, grads.get(name)!.gradB]);
  return packed(call, matrices, name => `grads.get(${describe(name)})`, ['gradA', 'gradB']);
}

/**
 * The gradients of {@link packGradients}, as optimizers take them.
 *
 * @param flat `Σ rank · (dim + outDim)` numbers.
 * @returns gradA, dim × rank, and gradB, rank × outDim, by adapter: views of a copy of `flat`.
 * @throws TypeError or RangeError when `flat` has another length or an entry that is not finite.
 */
export function unpackGradients(
  adapters: ReadonlyMap<string, Adapter>,
  flat: Float32Array,
): Map<string, { gradA: readonly Float32Row[]; gradB: readonly Float32Row[] }> {
  const call = 'unpackGradients';
  checkAdapters(call, adapters);
  checkFlat(call, 'flat', flat, countOf(adapters));
  const copy = flat.slice();
  let at = 0;
  const matrix = (height: number, width: number): readonly Float32Row[] => {
    const start = at;
    at += height * width;
    return asMatrix(copy.subarray(start, at), height, width);
  };
  return new Map(
    Array.from(adapters, ([name, { loraA, loraB }]) => {
      const gradA = matrix(loraA.length, loraB.length);
      return [name, { gradA, gradB: matrix(loraB.length, loraB[0]!.length) }];
    }),
  );
}

/**
 * The sum of arrays, added up in float32 in their order. So the bits do not depend on who computed which part, or on what
 * arrived first.
 *
 * @param parts At least one array. All have the same length.
 * @throws TypeError or RangeError for another length or an entry that is not finite, and where a sum overflows.
 */
export function sumInOrder(parts: readonly Float32Array[]): Float32Row {
  const call = 'sumInOrder';
  checkArray(call, 'parts', parts);
  if (parts.length === 0) throw new RangeError(`${call}: parts is empty`);
  for (let i = 0; i < parts.length; i++)
    checkFlat(call, `parts[${i}]`, parts[i], i === 0 ? undefined : parts[0]!.length);
  const sum = parts[0]!.slice();
  for (const part of parts.slice(1)) for (let k = 0; k < sum.length; k++) sum[k]! += part[k]!;
  if (!areFinite(sum)) throw new RangeError(`${call}: the sum overflows float32`);
  return sum;
}

/** Checks an array that came from elsewhere. */
export function checkFlat(
  call: string,
  label: string,
  flat: unknown,
  length: number | undefined,
): asserts flat is Float32Array {
  if (!(flat instanceof Float32Array)) throw wrongType(call, label, 'a Float32Array', flat);
  if (length !== undefined && flat.length !== length)
    throw new RangeError(`${call}: ${label} has ${inWords(flat.length, 'entry')}, expected ${length}`);
  if (areFinite(flat)) return;
  const index = flat.findIndex(value => !Number.isFinite(value));
  throw new RangeError(`${call}: ${label}[${index}] must be finite, got ${flat[index]}`);
}

function areFinite(flat: Float32Array): boolean {
  return flat.length === 0 || Number.isFinite(kernels().sumOfSquares([flat]));
}

type Matrices = readonly (readonly [name: string, matrices: readonly [Rows, Rows]])[];

function matricesOf(
  adapters: ReadonlyMap<string, Adapter>,
  of: (adapter: Adapter, name: string) => readonly [Rows, Rows],
): Matrices {
  return Array.from(adapters, ([name, adapter]) => [name, of(adapter, name)] as const);
}

function packed(
  call: string,
  matrices: Matrices,
  label: (name: string) => string,
  names: readonly [string, string],
): Float32Row {
  const all = matrices.flatMap(([, pair]) => pair);
  const flat = new Float32Array(all.reduce((total, rows) => total + rows.length * rows[0]!.length, 0));
  let at = 0;
  for (const rows of all) {
    const buffer = bufferOf(rows);
    if (buffer) flat.set(buffer, at);
    else for (const [i, row] of rows.entries()) flat.set(row, at + i * row.length);
    at += rows.length * rows[0]!.length;
  }
  if (areFinite(flat)) return flat;
  for (const [name, pair] of matrices) {
    throwNonFiniteIn(call, { [`${label(name)}.${names[0]}`]: pair[0], [`${label(name)}.${names[1]}`]: pair[1] });
  }
  throw new RangeError(`${call}: an entry is beyond float32`);
}

/** Throws where an entry is not finite. */
function throwNonFiniteIn(call: string, matrices: Record<string, Rows>): void {
  const isBad = Object.values(matrices).some(rows => !Number.isFinite(kernels().sumOfSquares(rows)));
  if (isBad) throwNonFinite(call, matrices);
}

function countOf(adapters: ReadonlyMap<string, Adapter>): number {
  let count = 0;
  for (const { loraA, loraB } of adapters.values()) count += loraB.length * (loraA.length + loraB[0]!.length);
  return count;
}
