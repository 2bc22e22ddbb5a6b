import { checkArray, checkFinite, checkVector, inWords } from '../internal/validate.js';
import type { EmbeddedExample, Vector } from '../types.js';
import type { NegativeMining } from './negative-mining.js';

/** The own negatives of an example. */
function ownNegatives({ negativeEmb, negativeEmbs }: EmbeddedExample): readonly Vector[] {
  return negativeEmbs ?? (negativeEmb ? [negativeEmb] : []);
}

/**
 * The own negatives of a batch's examples.
 *
 * @param count How many each example had at the start of the epoch.
 */
export function ownNegativesOf(
  call: string,
  examples: readonly EmbeddedExample[],
  indices: readonly number[],
  count: number,
): readonly Vector[] {
  return examples.flatMap((example, i) => {
    checkOwnNegatives(call, example, indices[i]!);
    const negatives = ownNegatives(example);
    if (negatives.length === count) return negatives;
    throw new RangeError(
      `${call}: data[${indices[i]}] has ${inWords(negatives.length, 'negative')} of its own, this epoch's examples have ${count}`,
    );
  });
}

/**
 * Checks the own negatives of all examples.
 *
 * @returns How many own negatives each example has.
 * @throws RangeError where examples differ in that number, or negatives are to be mined as well.
 */
export function countOwnNegatives(
  call: string,
  examples: readonly EmbeddedExample[],
  { hardNegatives, negativeMining }: { hardNegatives: boolean; negativeMining?: NegativeMining | undefined },
): number {
  examples.forEach((example, i) => {
    checkOwnNegatives(call, example, i);
  });
  const [first] = examples;
  const count = first ? ownNegatives(first).length : 0;
  const other = examples.findIndex(example => ownNegatives(example).length !== count);
  if (other >= 0) {
    const counts = `data[${other}] has ${ownNegatives(examples[other]!).length}, data[0] has ${count}`;
    throw new RangeError(`${call}: all examples need equally many own negatives, ${counts}`);
  }
  if (count === 0 || !(hardNegatives || negativeMining)) return count;
  const option = hardNegatives ? 'hardNegatives' : 'negativeMining';
  throw new RangeError(`${call}: ${option} and the examples' own negatives exclude each other`);
}

function checkOwnNegatives(call: string, { negativeEmb, negativeEmbs }: EmbeddedExample, index: number): void {
  const name = `data[${index}]`;
  const row = (label: string, value: unknown): void => {
    checkVector(call, label, value);
    checkFinite(call, label, value);
  };
  const [hasOne, hasList] = [negativeEmb, negativeEmbs].map(value => value !== undefined && value !== null);
  if (hasOne && hasList) throw new RangeError(`${call}: ${name} has both negativeEmb and negativeEmbs`);
  if (hasOne) row(`${name}.negativeEmb`, negativeEmb);
  if (!hasList) return;
  checkArray(call, `${name}.negativeEmbs`, negativeEmbs);
  for (const [i, each] of negativeEmbs.entries()) row(`${name}.negativeEmbs[${i}]`, each);
}
