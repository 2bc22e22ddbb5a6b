import { checkSameShape, describeAdapter, throwNonFiniteAdapter } from '../internal/adapters.js';
import { checkFinite, checkNumber, checkObject, checkVector, describe, throwNonFinite } from '../internal/validate.js';
import { kernels } from '../kernels/index.js';
import { float64Matrix } from '../kernels/matrix.js';
import type { Adapter, AdapterGradients, EmbeddedExample, MutableVector, Rows } from '../types.js';
import type { FisherInfo } from './diagonal.js';

/** Gradients of the caller's own loss for one example. */
export type ExampleGradients<E> = (example: E, adapter: Adapter, name: string) => AdapterGradients;

const CALL = 'computeFisher';

/** Checks that every example has what a Fisher or the inputs' moments need; targets only where they are read. */
export function checkExamples(
  data: readonly EmbeddedExample[],
  adapters: ReadonlyMap<string, Adapter>,
  withTargets: boolean,
): void {
  for (const [i, example] of data.entries()) {
    checkObject(CALL, `data[${i}]`, example);
    checkVector(CALL, `data[${i}].inputEmb`, example.inputEmb);
    if (withTargets) checkVector(CALL, `data[${i}].outputEmb`, example.outputEmb);
    for (const [name, { loraA }] of adapters) {
      if (example.inputEmb.length >= loraA.length) continue;
      const lengths = `${example.inputEmb.length} entries, ${describeAdapter(name)}.loraA has ${loraA.length} rows`;
      throw new RangeError(`${CALL}: data[${i}].inputEmb has ${lengths}`);
    }
  }
}

/** Mean squared gradients of the MSE between adapted input and output. */
export function mseFisher(
  sample: readonly EmbeddedExample[],
  adapter: Adapter,
  name: string,
  data: readonly EmbeddedExample[],
): FisherInfo {
  const inputs = sample.map(example => example.inputEmb);
  const targets = sample.map(example => example.outputEmb);
  checkNumber(CALL, `${describeAdapter(name)}.scaling`, adapter.scaling);
  return checkedFisher(kernels().mseFisher(adapter, inputs, targets), name, adapter, data);
}

/**
 * The expectation of the squared gradients of the MSE over targets from the model itself, a Gaussian around its output
 * of variance outDim/2, for which the MSE is the negative log-likelihood up to a constant (Martens 2020, "New insights
 * and perspectives on the natural gradient method"): `F_A[i][k] = (2/d)s²·E[x_i²]·Σ_j B[k][j]²`, `F_B[k][j] =
 * (2/d)s²·E[(xA)_k²]`.
 */
export function exactFisher(
  sample: readonly EmbeddedExample[],
  adapter: Adapter,
  name: string,
  data: readonly EmbeddedExample[],
): FisherInfo {
  const { loraA, loraB, scaling } = adapter;
  checkNumber(CALL, `${describeAdapter(name)}.scaling`, scaling);
  const [dim, rank, outDim] = [loraA.length, loraB.length, loraB[0]!.length];
  const inputSquares = new Float64Array(dim);
  const hiddenSquares = new Float64Array(rank);
  const hidden = new Float64Array(rank);
  for (const { inputEmb } of sample) {
    hidden.fill(0);
    for (let i = 0; i < dim; i++) {
      const input = inputEmb[i]!;
      const row = loraA[i]!;
      inputSquares[i]! += (input * input) / sample.length;
      for (let k = 0; k < rank; k++) hidden[k]! += input * row[k]!;
    }
    for (let k = 0; k < rank; k++) hiddenSquares[k]! += (hidden[k]! * hidden[k]!) / sample.length;
  }
  const factor = (2 / outDim) * scaling * scaling;
  const outputSquares = loraB.map(row => kernels().sumOfSquares([row]));
  const fisherA = float64Matrix(dim, rank);
  const fisherB = float64Matrix(rank, outDim);
  fisherA.forEach((row, i) => {
    for (let k = 0; k < rank; k++) row[k] = factor * inputSquares[i]! * outputSquares[k]!;
  });
  fisherB.forEach((row, k) => {
    row.fill(factor * hiddenSquares[k]!);
  });
  return checkedFisher({ fisherA, fisherB }, name, adapter, data);
}

/** Mean squared gradients by the caller's own function. */
export function fisherBy<E>(
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
    checkObject(CALL, label, ofExample);
    const { gradA, gradB } = ofExample;
    checkSameShape(CALL, `${label}: gradA`, gradA, adapter.loraA);
    checkSameShape(CALL, `${label}: gradB`, gradB, adapter.loraB);
    const allFinite = addSquares(fisherA, gradA, 1 / sample.length) && addSquares(fisherB, gradB, 1 / sample.length);
    if (!allFinite) throwNonFinite(CALL, { [`${label}: gradA`]: gradA, [`${label}: gradB`]: gradB });
  }
  return { fisherA, fisherB };
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
function checkedFisher(
  fisher: FisherInfo,
  name: string,
  adapter: Adapter,
  data: readonly EmbeddedExample[],
): FisherInfo {
  const { fisherA, fisherB } = fisher;
  const allFinite =
    Number.isFinite(kernels().sumOfSquares(fisherA)) && Number.isFinite(kernels().sumOfSquares(fisherB));
  if (allFinite) return fisher;
  checkFiniteInputs(data);
  data.forEach(({ outputEmb }, i) => {
    checkFinite(CALL, `data[${i}].outputEmb`, outputEmb ?? []);
  });
  throwNonFiniteAdapter(CALL, name, adapter, 'data');
}

/** Names the entry behind inputs whose squares are not finite. */
export function throwNonFiniteInputs(data: readonly EmbeddedExample[]): never {
  checkFiniteInputs(data);
  throw new RangeError(`${CALL}: the result overflows; data holds numbers that are too large`);
}

function checkFiniteInputs(data: readonly EmbeddedExample[]): void {
  data.forEach(({ inputEmb }, i) => {
    checkFinite(CALL, `data[${i}].inputEmb`, inputEmb);
  });
}
