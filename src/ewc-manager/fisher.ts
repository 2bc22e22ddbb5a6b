import { checkGradients, checkSameShape, describeAdapter, throwNonFiniteAdapter } from '../internal/adapters.js';
import {
  checkFinite,
  checkNumber,
  checkObject,
  checkVector,
  describe,
  inWords,
  throwNonFinite,
} from '../internal/validate.js';
import { kernels } from '../kernels/index.js';
import { float64Matrix } from '../kernels/matrix.js';
import type { Adapter, AdapterGradients, EmbeddedExample, MutableVector, Rows } from '../types.js';
import type { FisherInfo } from './diagonal.js';
import { inputsOf, otherSide, type Side, type Tower, targetsOf, turned } from './through.js';

/** Gradients of the caller's own loss for one example and one adapter. */
export type ExampleGradients<E> = (example: E, adapter: Adapter, name: string) => AdapterGradients;

/** Gradients of the caller's own loss for one example and all adapters that take part in it, by name. */
export type ExampleAdapterGradients<E> = (
  example: E,
  adapters: ReadonlyMap<string, Adapter>,
) => ReadonlyMap<string, AdapterGradients>;

const CALL = 'computeFisher';

/** Checks that every example has what a Fisher or the inputs' moments need; targets only where they are read. */
export function checkExamples(data: readonly EmbeddedExample[], towers: readonly Tower[], withTargets: boolean): void {
  const inputs = new Set(towers.flatMap(({ sides }) => sides));
  const read = new Set([...inputs, ...(withTargets ? [...inputs].map(otherSide) : [])]);
  for (const [i, example] of data.entries()) {
    checkObject(CALL, `data[${i}]`, example);
    for (const side of read) checkVector(CALL, `data[${i}].${side}`, example[side]);
    for (const { name, adapter, sides } of towers) {
      for (const side of sides) {
        const [length, rows] = [example[side].length, adapter.loraA.length];
        if (length >= rows) continue;
        const lengths = `${inWords(length, 'entry')}, ${describeAdapter(name)}.loraA has ${inWords(rows, 'row')}`;
        throw new RangeError(`${CALL}: data[${i}].${side} has ${lengths}`);
      }
    }
  }
}

/** The Fishers of adapters one by one, of the MSE or by the caller's own gradients. */
export function fishersOf<E extends EmbeddedExample>(
  towers: readonly Tower[],
  sample: readonly E[],
  data: readonly E[],
  kind: 'empirical' | 'exact' | ExampleGradients<E>,
): Map<string, FisherInfo> {
  const fisherOf = (tower: Tower): FisherInfo => {
    if (typeof kind === 'function') return fisherBy(kind, sample, tower, data);
    return (kind === 'exact' ? exactFisher : mseFisher)(sample, tower, data);
  };
  return new Map(towers.map(tower => [tower.name, fisherOf(tower)]));
}

/** Mean squared gradients of the MSE between adapted inputs and the other side of their pairs. */
function mseFisher(sample: readonly EmbeddedExample[], tower: Tower, data: readonly EmbeddedExample[]): FisherInfo {
  const { name, adapter, sides } = tower;
  checkNumber(CALL, `${describeAdapter(name)}.scaling`, adapter.scaling);
  return checkedFisher(kernels().mseFisher(adapter, inputsOf(sample, sides), targetsOf(sample, sides)), tower, data);
}

/**
 * The expectation of the squared gradients of the MSE over targets from the model itself, a Gaussian around its output
 * of variance outDim/2, for which the MSE is the negative log-likelihood up to a constant (Martens 2020, "New insights
 * and perspectives on the natural gradient method"): `F_A[i][k] = (2/d)s²·E[x_i²]·Σ_j B[k][j]²`, `F_B[k][j] =
 * (2/d)s²·E[(xA)_k²]`.
 */
function exactFisher(sample: readonly EmbeddedExample[], tower: Tower, data: readonly EmbeddedExample[]): FisherInfo {
  const { loraA, loraB, scaling } = tower.adapter;
  checkNumber(CALL, `${describeAdapter(tower.name)}.scaling`, scaling);
  const [dim, rank, outDim] = [loraA.length, loraB.length, loraB[0]!.length];
  const inputs = inputsOf(sample, tower.sides);
  const inputSquares = new Float64Array(dim);
  const hiddenSquares = new Float64Array(rank);
  const hidden = new Float64Array(rank);
  for (const row of inputs) {
    hidden.fill(0);
    for (let i = 0; i < dim; i++) {
      const input = row[i]!;
      const weights = loraA[i]!;
      inputSquares[i]! += (input * input) / inputs.length;
      for (let k = 0; k < rank; k++) hidden[k]! += input * weights[k]!;
    }
    for (let k = 0; k < rank; k++) hiddenSquares[k]! += (hidden[k]! * hidden[k]!) / inputs.length;
  }
  const factor = (2 / outDim) * scaling * scaling;
  const outputSquares = loraB.map(row => kernels().sumOfSquares([row]));
  const { fisherA, fisherB } = zerosFor(tower.adapter);
  fisherA.forEach((row, i) => {
    for (let k = 0; k < rank; k++) row[k] = factor * inputSquares[i]! * outputSquares[k]!;
  });
  fisherB.forEach((row, k) => {
    row.fill(factor * hiddenSquares[k]!);
  });
  return checkedFisher({ fisherA, fisherB }, tower, data);
}

/** Mean squared gradients by the caller's own function, for examples as the adapter sees them. */
function fisherBy<E extends EmbeddedExample>(
  gradients: ExampleGradients<E>,
  sample: readonly E[],
  { name, adapter, sides }: Tower,
  data: readonly E[],
): FisherInfo {
  const fisher = zerosFor(adapter);
  const labelOf = labelsIn(data);
  const scale = 1 / (sample.length * sides.length);
  for (const example of sample) {
    const label = `gradients of ${labelOf(example)} for ${describe(name)}`;
    for (const side of sides) {
      const ofExample = gradients(turned(example, side), adapter, name);
      checkObject(CALL, label, ofExample);
      checkSameShape(CALL, `${label}: gradA`, ofExample.gradA, adapter.loraA);
      checkSameShape(CALL, `${label}: gradB`, ofExample.gradB, adapter.loraB);
      addToFisher(fisher, ofExample, scale, label);
    }
  }
  return fisher;
}

/**
 * The same of all adapters at once. An adapter without gradients for an example takes no part in its loss, so they are
 * 0; one without any is not in the result.
 */
export function fishersBy<E extends EmbeddedExample>(
  adapterGradients: ExampleAdapterGradients<E>,
  sample: readonly E[],
  adapters: ReadonlyMap<string, Adapter>,
  data: readonly E[],
): Map<string, FisherInfo> {
  const fishers = new Map<string, FisherInfo>();
  const labelOf = labelsIn(data);
  for (const example of sample) {
    const label = `adapterGradients of ${labelOf(example)}`;
    const ofExample = adapterGradients(example, adapters);
    checkGradients(CALL, ofExample, adapters, label);
    for (const [name, gradients] of ofExample) {
      const fisher = fishers.get(name) ?? zerosFor(adapters.get(name)!);
      fishers.set(name, fisher);
      addToFisher(fisher, gradients, 1 / sample.length, `${label} for ${describe(name)}`);
    }
  }
  if (fishers.size === 0) throw new RangeError(`${CALL}: adapterGradients gave no adapter's gradients`);
  return fishers;
}

function zerosFor({ loraA, loraB }: Adapter): { fisherA: readonly Float64Array[]; fisherB: readonly Float64Array[] } {
  return {
    fisherA: float64Matrix(loraA.length, loraA[0]!.length),
    fisherB: float64Matrix(loraB.length, loraB[0]!.length),
  };
}

/** A sample's examples are not in order: messages tell where each stands in the data. */
function labelsIn<E>(data: readonly E[]): (example: E) => string {
  const positions = new Map(Array.from(data, (example, i) => [example, i]));
  return example => `data[${positions.get(example)}]`;
}

function addToFisher(
  { fisherA, fisherB }: FisherInfo,
  { gradA, gradB }: AdapterGradients,
  scale: number,
  label: string,
): void {
  const allFinite = addSquares(fisherA, gradA, scale) && addSquares(fisherB, gradB, scale);
  if (!allFinite) throwNonFinite(CALL, { [`${label}: gradA`]: gradA, [`${label}: gradB`]: gradB });
}

/** Divides a Fisher by its largest entry. */
export function scaleToMaximumOne({ fisherA, fisherB }: FisherInfo): void {
  const rows = [...fisherA, ...fisherB];
  let largest = 0;
  for (const row of rows) for (let j = 0; j < row.length; j++) largest = Math.max(largest, row[j]!);
  if (largest === 0) return;
  for (const row of rows) for (let j = 0; j < row.length; j++) row[j]! /= largest;
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

/** The Fisher, if it is finite; else an error that names the entry to blame. */
function checkedFisher(fisher: FisherInfo, { name, adapter }: Tower, data: readonly EmbeddedExample[]): FisherInfo {
  const { fisherA, fisherB } = fisher;
  const allFinite =
    Number.isFinite(kernels().sumOfSquares(fisherA)) && Number.isFinite(kernels().sumOfSquares(fisherB));
  if (allFinite) return fisher;
  checkFiniteSides(data, ['inputEmb', 'outputEmb']);
  throwNonFiniteAdapter(CALL, name, adapter, 'data');
}

/** Names the entry behind inputs whose squares are not finite. */
export function throwNonFiniteInputs(data: readonly EmbeddedExample[], sides: readonly Side[]): never {
  checkFiniteSides(data, sides);
  throw new RangeError(`${CALL}: the result overflows; data holds numbers that are too large`);
}

function checkFiniteSides(data: readonly EmbeddedExample[], sides: readonly Side[]): void {
  for (const side of sides) {
    data.forEach((example, i) => {
      checkFinite(CALL, `data[${i}].${side}`, example[side] ?? []);
    });
  }
}
