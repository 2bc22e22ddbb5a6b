import { withDefaults } from '../internal/options.js';
import { randomFor, shuffle } from '../internal/random.js';
import { checkIterable, checkNumber, checkObject, checkOneOf, checkSeed, wrongType } from '../internal/validate.js';
import { comparable } from './comparable.js';

/** The fields of an example that {@link splitPairs} reads. */
export interface TextPair {
  /** Input text. */
  input: string;
  /** Expected output text. */
  output: string;
}

export interface SplitPairsOptions {
  /**
   * Share of the examples to validate with, from 0 to below 1.
   *
   * @default 0.1
   */
  validation?: number;
  /**
   * Share of the examples to test with at the very end, from 0 to below 1. Both shares together are below 1.
   *
   * @default 0
   */
  test?: number;
  /**
   * What no two parts may share.
   * - `'input'`: an equal input.
   * - `'output'`: an equal output. All held-out answers are then new.
   * - `'either'`: an equal input or an equal output.
   *
   * @default 'input'
   */
  by?: 'input' | 'output' | 'either';
  /** Seed (uint32) of the draw. By default, `Math.random` draws. */
  seed?: number;
}

/** The parts of a split, and its summary. */
export interface PairSplit<P extends TextPair> {
  /** The examples to train on, in their given order. */
  train: P[];
  /** The examples to validate with, in their given order. */
  validation: P[];
  /** The examples to test with, in their given order. */
  test: P[];
  /** Groups and counts of the split. */
  summary: SplitSummary;
}

/** Groups and counts of a split. `JSON.stringify` and `console.log` show all of it. */
export interface SplitSummary {
  /** Which equal texts were kept together. */
  by: 'input' | 'output' | 'either';
  /** Number of examples. */
  examples: number;
  /** Number of groups of examples that were kept together. */
  groups: number;
  /** Number of examples in the largest group. */
  largestGroup: number;
  /** Size of the part to train on. */
  train: SplitPart;
  /** Size of the part to validate with. */
  validation: SplitPart;
  /** Size of the part to test with. */
  test: SplitPart;
}

/** Size of one part. */
export interface SplitPart {
  /** Number of its examples. */
  examples: number;
  /** Number of its groups. */
  groups: number;
}

const CALL = 'splitPairs';
const PARTS = ['train', 'validation', 'test'] as const;
/** The stream of this draw. Other draws from the same seed have other streams. */
const SPLIT = 0x73706c74;

type Part = (typeof PARTS)[number];

/**
 * Splits pairs at random into parts to train on, to validate with and to test with. No text leaks from one part into
 * another.
 *
 * Examples with an equal input (by `'input'`) or an equal output (by `'output'`) form a group, and each group is in
 * one part. By `'either'`, a group holds all examples that equal inputs and outputs connect, also through other
 * examples. Texts are compared in Unicode's NFKC, without invisible code points, in lower case, with each run of white
 * space as one space, and without white space at the ends. Texts that are equal in this form have nearly equal
 * embeddings.
 *
 * The shares count examples. Groups come in random order. Each goes to validation if that still lacks as many examples
 * as the group has, otherwise to test on the same condition, and otherwise to train. At the end, a part takes the
 * smallest group of train if that brings it nearer to its share. So single examples give the shares to the nearest
 * example, and large groups, which fit nowhere else, go to train. Train is never empty, and neither is a part whose
 * share is not 0. If all groups are large, a part may hold more than its share. `summary` has the counts.
 *
 * @param examples Pairs of texts, raw or processed, with any other fields. The parts hold the objects themselves.
 * @returns The parts, and a summary of the groups and counts.
 * @throws TypeError or RangeError that names the option, or the index of the example and the field. RangeError where
 *   there are no examples, or fewer groups than parts.
 *
 * @example
 * ```js
 * import { splitPairs } from 'microlora-training-utils';
 *
 * const pairs = Array.from({ length: 20 }, (_, i) => ({ input: `Question ${i % 10}`, output: `Answer ${i}` }));
 * const { train, validation, summary } = splitPairs(pairs, { validation: 0.2, by: 'input', seed: 1 });
 * console.log(train.length, validation.length, summary.groups, summary.largestGroup); // 16 4 10 2
 * ```
 */
export function splitPairs<P extends TextPair>(examples: Iterable<P>, options: SplitPairsOptions = {}): PairSplit<P> {
  const defaults = { validation: 0.1, test: 0, by: 'input' as const };
  const { validation, test, by, seed } = withDefaults(CALL, defaults, options);
  checkNumber(CALL, 'validation', validation, { min: 0, below: 1 });
  checkNumber(CALL, 'test', test, { min: 0, below: 1 });
  if (validation + test >= 1)
    throw new RangeError(`${CALL}: validation and test leave nothing to train on, got ${validation} and ${test}`);
  checkOneOf(CALL, 'by', by, ['input', 'output', 'either']);
  const random = randomFor(checkSeed(CALL, seed), SPLIT);
  const pairs = checkedPairs(examples);

  const groupOf = groupsBy(pairs, by);
  const sizes: number[] = [];
  for (const group of groupOf) sizes[group] = (sizes[group] ?? 0) + 1;
  const shares: [Part, number][] = [
    ['validation', validation],
    ['test', test],
  ];
  const wanted = wantedSizes(
    pairs.length,
    shares.filter(([, share]) => share > 0),
  );
  if (sizes.length <= wanted.size)
    throw new RangeError(
      `${CALL}: the number of groups by '${by}' is ${sizes.length}, too few for ${wanted.size + 1} parts`,
    );
  const order = sizes.map((_, group) => group);
  shuffle(order, random);
  const partOf = allot(order, sizes, wanted);

  const partsOf = (part: Part): P[] => pairs.filter((_, i) => partOf[groupOf[i]!] === part);
  const [train, validating, testing] = PARTS.map(partsOf) as [P[], P[], P[]];
  const sizeOf = (part: Part, { length }: P[]): SplitPart => ({
    examples: length,
    groups: partOf.filter(each => each === part).length,
  });
  return {
    train,
    validation: validating,
    test: testing,
    summary: {
      by,
      examples: pairs.length,
      groups: sizes.length,
      largestGroup: sizes.reduce((largest, size) => Math.max(largest, size), 0),
      train: sizeOf('train', train),
      validation: sizeOf('validation', validating),
      test: sizeOf('test', testing),
    },
  };
}

function checkedPairs<P extends TextPair>(examples: Iterable<P>): P[] {
  checkIterable(CALL, 'examples', examples);
  const pairs = [...examples];
  pairs.forEach((pair, i) => {
    checkObject(CALL, `examples[${i}]`, pair);
    for (const field of ['input', 'output'] as const) {
      if (typeof pair[field] !== 'string') throw wrongType(CALL, `examples[${i}].${field}`, 'a string', pair[field]);
    }
  });
  if (pairs.length === 0) throw new RangeError(`${CALL}: examples is empty`);
  return pairs;
}

/** The number of each example's group. Groups are numbered in order of appearance. */
function groupsBy(pairs: readonly TextPair[], by: SplitSummary['by']): number[] {
  const inputs = new Map<string, number>();
  const outputs = new Map<string, number>();
  const union = new Union();
  const members = pairs.map(({ input, output }) => {
    const ofInput = by === 'output' ? undefined : nodeOf(inputs, input, union);
    const ofOutput = by === 'input' ? undefined : nodeOf(outputs, output, union);
    if (ofInput !== undefined && ofOutput !== undefined) union.join(ofInput, ofOutput);
    return (ofInput ?? ofOutput)!;
  });
  const numbers = new Map<number, number>();
  return members.map(member => {
    const root = union.rootOf(member);
    const number = numbers.get(root) ?? numbers.size;
    numbers.set(root, number);
    return number;
  });
}

function nodeOf(nodes: Map<string, number>, text: string, union: Union): number {
  const key = comparable(text);
  const known = nodes.get(key);
  if (known !== undefined) return known;
  const node = union.add();
  nodes.set(key, node);
  return node;
}

/** Disjoint sets of small integers (union by size, with path halving). */
class Union {
  readonly #parents: number[] = [];
  readonly #sizes: number[] = [];

  /** A new set of one. */
  add(): number {
    this.#sizes.push(1);
    return this.#parents.push(this.#parents.length) - 1;
  }

  rootOf(node: number): number {
    const parents = this.#parents;
    let at = node;
    while (parents[at] !== at) at = parents[at] = parents[parents[at]!]!;
    return at;
  }

  join(a: number, b: number): void {
    const [one, other] = [this.rootOf(a), this.rootOf(b)];
    if (one === other) return;
    const [large, small] = this.#sizes[one]! >= this.#sizes[other]! ? [one, other] : [other, one];
    this.#parents[small] = large;
    this.#sizes[large]! += this.#sizes[small]!;
  }
}

/** The number of examples that each held-out part should have: at least one, and together not all. */
function wantedSizes(examples: number, shares: readonly [Part, number][]): Map<Part, number> {
  const wanted = new Map(shares.map(([part, share]) => [part, Math.max(1, Math.round(share * examples))]));
  const total = [...wanted.values()].reduce((sum, count) => sum + count, 0);
  // Both shares may be rounded up to all examples.
  if (total >= examples) {
    const [largest] = [...wanted].reduce((most, each) => (each[1] > most[1] ? each : most));
    wanted.set(largest, wanted.get(largest)! - (total - examples + 1));
  }
  return wanted;
}

/** The part of each group, by the rule of {@link splitPairs}. There are more groups than held-out parts. */
function allot(order: readonly number[], sizes: readonly number[], wanted: ReadonlyMap<Part, number>): Part[] {
  const partOf = new Array<Part>(sizes.length).fill('train');
  const lacking = new Map(wanted);
  const groupsIn = (part: Part): number[] => order.filter(group => partOf[group] === part);
  const move = (group: number, part: Part): void => {
    const from = partOf[group]!;
    partOf[group] = part;
    if (lacking.has(from)) lacking.set(from, lacking.get(from)! + sizes[group]!);
    lacking.set(part, lacking.get(part)! - sizes[group]!);
  };
  const smallest = (groups: readonly number[]): number =>
    groups.reduce((least, group) => (sizes[group]! < sizes[least]! ? group : least));

  for (const group of order) {
    for (const [part, lack] of lacking) {
      if (sizes[group]! > lack) continue;
      move(group, part);
      break;
    }
  }
  for (const part of lacking.keys()) {
    if (partOf.includes(part)) continue;
    // Train gives a group if it has more than one. Otherwise, the other held-out part has.
    const donor = PARTS.map(groupsIn).find(groups => groups.length > 1)!;
    move(smallest(donor), part);
  }
  for (const part of lacking.keys()) {
    const training = groupsIn('train');
    const group = smallest(training);
    const lack = lacking.get(part)!;
    if (training.length > 1 && Math.abs(lack - sizes[group]!) < lack) move(group, part);
  }
  return partOf;
}
