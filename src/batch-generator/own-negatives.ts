import { checkArray, checkFinite, checkVector } from '../internal/validate.js';
import type { EmbeddedExample, Vector } from '../types.js';
import type { NegativeMining } from './negative-mining.js';

const CALL = 'BatchGenerator';

/** The negatives that an example brings along. */
function ownNegatives({ negativeEmb, negativeEmbs }: EmbeddedExample): readonly Vector[] {
  return negativeEmbs ?? (negativeEmb ? [negativeEmb] : []);
}

/** The negatives of a batch's examples, which were counted at the start of the epoch. */
export function ownNegativesOf(
  examples: readonly EmbeddedExample[],
  indices: readonly number[],
  count: number,
): readonly Vector[] {
  return examples.flatMap((example, i) => {
    checkOwn(example, indices[i]!);
    const negatives = ownNegatives(example);
    if (negatives.length === count) return negatives;
    throw new RangeError(
      `${CALL}: data[${indices[i]}] has ${negatives.length} negatives of its own, this epoch's examples have ${count}`,
    );
  });
}

/** Checks the negatives of all examples; how many each of them has. None are to be mined where there are some. */
export function countOwnNegatives(
  examples: readonly EmbeddedExample[],
  { hardNegatives, negativeMining }: { hardNegatives: boolean; negativeMining?: NegativeMining | undefined },
): number {
  examples.forEach(checkOwn);
  const [first] = examples;
  const count = first ? ownNegatives(first).length : 0;
  const other = examples.findIndex(example => ownNegatives(example).length !== count);
  if (other >= 0) {
    const counts = `data[${other}] has ${ownNegatives(examples[other]!).length}, data[0] has ${count}`;
    throw new RangeError(`${CALL}: all examples need equally many negatives of their own, ${counts}`);
  }
  if (count === 0 || !(hardNegatives || negativeMining)) return count;
  const option = hardNegatives ? 'hardNegatives' : 'negativeMining';
  throw new RangeError(`${CALL}: ${option} and the examples' own negatives exclude each other`);
}

function checkOwn({ negativeEmb, negativeEmbs }: EmbeddedExample, index: number): void {
  const name = `data[${index}]`;
  const row = (label: string, value: unknown): void => {
    checkVector(CALL, label, value);
    checkFinite(CALL, label, value);
  };
  const [hasOne, hasList] = [negativeEmb, negativeEmbs].map(value => value !== undefined && value !== null);
  if (hasOne && hasList) throw new RangeError(`${CALL}: ${name} has both negativeEmb and negativeEmbs`);
  if (hasOne) row(`${name}.negativeEmb`, negativeEmb);
  if (!hasList) return;
  checkArray(CALL, `${name}.negativeEmbs`, negativeEmbs);
  for (const [i, each] of negativeEmbs.entries()) row(`${name}.negativeEmbs[${i}]`, each);
}
