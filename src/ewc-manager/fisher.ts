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
import type { Adapter, AdapterGradients, EmbeddedExample } from '../types.js';
import type { FisherRows } from './diagonal.js';
import type { Task } from './memory.js';
import { inputsOf, otherSide, type Side, type Tower, targetsOf, turned } from './through.js';

/** Gradients of the caller's own loss for one example and one adapter. */
export type ExampleGradients<E, A extends Adapter = Adapter> = (
  example: E,
  adapter: A,
  name: string,
) => AdapterGradients;

/** Gradients of the caller's own loss for one example and all adapters that take part in it, by name. */
export type ExampleAdapterGradients<E, A extends Adapter = Adapter> = (
  example: E,
  adapters: ReadonlyMap<string, A>,
) => ReadonlyMap<string, AdapterGradients>;

/** Checks that every example has what a Fisher or the inputs' moments need; targets only where they are read. */
export function checkExamples(
  call: string,
  data: readonly EmbeddedExample[],
  towers: readonly Tower[],
  withTargets: boolean,
): void {
  const inputs = new Set(towers.flatMap(({ sides }) => sides));
  const read = new Set([...inputs, ...(withTargets ? [...inputs].map(otherSide) : [])]);
  for (const [i, example] of data.entries()) {
    checkObject(call, `data[${i}]`, example);
    for (const side of read) checkVector(call, `data[${i}].${side}`, example[side]);
    for (const { name, adapter, sides } of towers) {
      for (const side of sides) {
        const [length, rows] = [example[side].length, adapter.loraA.length];
        if (length >= rows) continue;
        const lengths = `${inWords(length, 'entry')}, ${describeAdapter(name)}.loraA has ${inWords(rows, 'row')}`;
        throw new RangeError(`${call}: data[${i}].${side} has ${lengths}`);
      }
    }
  }
}

/** The Fishers of the adapters that take part, by name. Each is the caller's to write to. */
export function fishersOf<E extends EmbeddedExample>(
  call: string,
  { adapters, towers, data, sample, gradients }: Task<E>,
): Map<string, FisherRows> {
  const examples = sample();
  if (typeof gradients === 'object' && 'ofAll' in gradients)
    return fishersOfAll(call, gradients.ofAll, examples, adapters, data);
  const fisherOf = (tower: Tower): FisherRows => {
    if (gradients === 'empirical') return mseFisher(call, examples, tower, data);
    if (gradients === 'exact') return exactFisher(call, examples, tower, data);
    return fisherOfOne(call, gradients.ofAdapter, examples, tower, data);
  };
  return new Map(towers.map(tower => [tower.name, fisherOf(tower)]));
}

/** Mean squared gradients of the MSE between adapted inputs and the other side of their pairs. */
function mseFisher(
  call: string,
  sample: readonly EmbeddedExample[],
  tower: Tower,
  data: readonly EmbeddedExample[],
): FisherRows {
  const { name, adapter, sides } = tower;
  checkNumber(call, `${describeAdapter(name)}.scaling`, adapter.scaling);
  const fisher = kernels().mseFisher(adapter, inputsOf(sample, sides), targetsOf(sample, sides));
  return checkedFisher(call, fisher, tower, data);
}

/**
 * The expectation of the squared gradients of the MSE over targets from the model itself. These are a Gaussian around
 * its output of variance outDim/2, for which the MSE is the negative log-likelihood up to a constant (Martens 2020, "New
 * insights and perspectives on the natural gradient method").
 */
function exactFisher(
  call: string,
  sample: readonly EmbeddedExample[],
  tower: Tower,
  data: readonly EmbeddedExample[],
): FisherRows {
  const { name, adapter, sides } = tower;
  checkNumber(call, `${describeAdapter(name)}.scaling`, adapter.scaling);
  return checkedFisher(call, kernels().exactFisher(adapter, inputsOf(sample, sides)), tower, data);
}

/** Mean squared gradients by the caller's own function, for examples as the adapter sees them. */
function fisherOfOne<E extends EmbeddedExample>(
  call: string,
  gradients: ExampleGradients<E>,
  sample: readonly E[],
  { name, adapter, sides }: Tower,
  data: readonly E[],
): FisherRows {
  const fisher = zerosFor(adapter);
  const labelOf = labelsIn(data);
  const scale = 1 / (sample.length * sides.length);
  for (const example of sample) {
    const label = `gradients of ${labelOf(example)} for ${describe(name)}`;
    for (const side of sides) {
      const ofExample = gradients(turned(example, side), adapter, name);
      checkObject(call, label, ofExample);
      checkSameShape(call, `${label}: gradA`, ofExample.gradA, adapter.loraA);
      checkSameShape(call, `${label}: gradB`, ofExample.gradB, adapter.loraB);
      addToFisher(call, fisher, ofExample, scale, label);
    }
  }
  return fisher;
}

/**
 * Mean squared gradients of all adapters at once. An adapter without gradients for an example takes no part in its loss,
 * so these gradients are 0. An adapter without any gradients is not in the result.
 */
function fishersOfAll<E extends EmbeddedExample>(
  call: string,
  adapterGradients: ExampleAdapterGradients<E>,
  sample: readonly E[],
  adapters: ReadonlyMap<string, Adapter>,
  data: readonly E[],
): Map<string, FisherRows> {
  const fishers = new Map<string, FisherRows>();
  const labelOf = labelsIn(data);
  for (const example of sample) {
    const label = `adapterGradients of ${labelOf(example)}`;
    const ofExample = adapterGradients(example, adapters);
    checkGradients(call, ofExample, adapters, label);
    for (const [name, gradients] of ofExample) {
      const fisher = fishers.get(name) ?? zerosFor(adapters.get(name)!);
      fishers.set(name, fisher);
      addToFisher(call, fisher, gradients, 1 / sample.length, `${label} for ${describe(name)}`);
    }
  }
  if (fishers.size === 0) throw new RangeError(`${call}: adapterGradients gave no adapter's gradients`);
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
  call: string,
  { fisherA, fisherB }: FisherRows,
  { gradA, gradB }: AdapterGradients,
  scale: number,
  label: string,
): void {
  const allFinite = kernels().addSquares(fisherA, gradA, scale) && kernels().addSquares(fisherB, gradB, scale);
  if (!allFinite) throwNonFinite(call, { [`${label}: gradA`]: gradA, [`${label}: gradB`]: gradB });
}

/** The Fisher, if it is finite; else an error that names the entry to blame. */
function checkedFisher(
  call: string,
  fisher: FisherRows,
  { name, adapter }: Tower,
  data: readonly EmbeddedExample[],
): FisherRows {
  const { fisherA, fisherB } = fisher;
  const allFinite =
    Number.isFinite(kernels().sumOfSquares(fisherA)) && Number.isFinite(kernels().sumOfSquares(fisherB));
  if (allFinite) return fisher;
  checkFiniteSides(call, data, ['inputEmb', 'outputEmb']);
  throwNonFiniteAdapter(call, name, adapter, 'data');
}

/** Names the entry behind inputs whose squares are not finite. */
export function throwNonFiniteInputs(call: string, data: readonly EmbeddedExample[], sides: readonly Side[]): never {
  checkFiniteSides(call, data, sides);
  throw new RangeError(`${call}: the result overflows; data holds numbers that are too large`);
}

function checkFiniteSides(call: string, data: readonly EmbeddedExample[], sides: readonly Side[]): void {
  for (const side of sides) {
    data.forEach((example, i) => {
      checkFinite(call, `data[${i}].${side}`, example[side] ?? []);
    });
  }
}
