import { isSeed, randomFor } from '../internal/random.js';
import {
  checkBoolean,
  checkNumber,
  checkObject,
  checkOneOf,
  checkOptions,
  throwNonFinite,
} from '../internal/validate.js';
import { kernels } from '../kernels/index.js';
import { COSINE_ERROR, type CosineRows } from '../kernels/kernels.js';
import { areEqual, cosineInOrder, firstHighest } from '../kernels/vector.js';
import type { EmbeddedExample, Rows, Vector } from '../types.js';
import { labelsOf, shareLabel } from './labels.js';
import type { BatchGeneratorConfig } from './options.js';
import { cosineRowsBy } from './overridden-similarity.js';

/** Which positive of another example in the batch becomes an anchor's negative. */
export interface NegativeMining {
  /**
   * Which candidate is taken.
   * - `'hardest'`: the one most similar to the anchor.
   * - `'semi-hard'`: the most similar of those that are less similar than the anchor's positive (Schroff et al. 2015,
   *   "FaceNet").
   * - `'random'`: any one.
   */
  strategy: 'hardest' | 'semi-hard' | 'random';
  /**
   * Highest cosine of a candidate with the anchor, from -1 to 1. Candidates above it are skipped as likely false
   * negatives. By default, none are skipped.
   */
  maxSimilarity?: number;
  /**
   * Margin to the anchor's positive, at least 0. Candidates whose cosine with the anchor is above
   * `positive - relativeMargin · |positive|` are skipped, where `positive` is the cosine of the anchor's positive. By
   * default, none are skipped.
   */
  relativeMargin?: number;
  /**
   * Whether duplicates of the anchor's example are skipped: those by `duplicatesBy`, and examples with an equal output
   * row.
   *
   * @default true
   */
  excludeDuplicates?: boolean;
}

export function checkNegativeMining(call: string, mining: unknown): void {
  checkObject(call, 'negativeMining', mining);
  checkOptions(call, mining, 'negativeMining', 'negativeMining');
  checkOneOf(call, 'negativeMining.strategy', mining['strategy'], ['hardest', 'semi-hard', 'random']);
  const { maxSimilarity, relativeMargin, excludeDuplicates } = mining;
  if (excludeDuplicates !== undefined) checkBoolean(call, 'negativeMining.excludeDuplicates', excludeDuplicates);
  if (maxSimilarity !== undefined)
    checkNumber(call, 'negativeMining.maxSimilarity', maxSimilarity, { min: -1, max: 1 });
  if (relativeMargin !== undefined) checkNumber(call, 'negativeMining.relativeMargin', relativeMargin, { min: 0 });
}

/** Makes the draws of `strategy: 'random'` differ from those of the shuffle. */
const MINING = 0x6d696e65;

interface MiningContext<E extends EmbeddedExample> {
  /** For messages. */
  call: string;
  config: Pick<BatchGeneratorConfig<E>, 'seed' | 'duplicatesBy'>;
  mining: NegativeMining;
  /** Indices of the examples in the data. */
  indices: readonly number[];
  /** Replaces the cosine, if a subclass overrides it. */
  similarity: ((a: Vector, b: Vector) => number) | undefined;
  /** Makes the draws of batches differ from each other. */
  stream: number;
}

/**
 * Mines one negative for each example of a batch: the positive of another example, or the example's positive where every
 * candidate is skipped.
 */
export function mineNegatives<E extends EmbeddedExample>(
  examples: readonly E[],
  { call, config, mining, indices, similarity, stream }: MiningContext<E>,
): E['outputEmb'][] {
  const { seed, duplicatesBy = 'exact' } = config;
  const anchors = examples.map(example => example.inputEmb);
  const positives = examples.map(example => example.outputEmb);
  // Kernels return cosines as views of memory that any other kernel call writes to. So the caller's functions run
  // before: keys of duplicates, and `Math.random`.
  const labels = mining.excludeDuplicates === false ? undefined : labelsOf(call, examples, duplicatesBy, { indices });
  const random = randomFor(isSeed(seed) ? seed ^ MINING : undefined, stream);
  const mined = search({
    call,
    anchors,
    positives,
    mining,
    // Texts that differ, for example in case, may have equal rows.
    isDuplicate: (i, j) => labels !== undefined && (shareLabel(labels, i, j) || areEqual(positives[i]!, positives[j]!)),
    cosineRows: similarity ? cosineRowsBy(similarity) : kernels().cosineRows,
    cosine: similarity ?? cosineInOrder,
    draws: mining.strategy === 'random' ? Float64Array.from(anchors, () => random()) : undefined,
  });
  return Array.from(mined, index => positives[index]!);
}

interface SearchProblem {
  /** For messages. */
  call: string;
  anchors: Rows;
  positives: Rows;
  mining: NegativeMining;
  /** Whether example j of the batch must not be a negative of example i. */
  isDuplicate: (i: number, j: number) => boolean;
  /** Cosines of each anchor with all positives, which may be rounded to float32. */
  cosineRows: CosineRows;
  /** The exact cosine of one pair. */
  cosine: (a: Vector, b: Vector) => number;
  /** For each anchor, a number in [0, 1) that picks a candidate. Undefined for other strategies than `'random'`. */
  draws: Float64Array | undefined;
}

/** For each anchor, the index of the positive that is its negative. It is the anchor's index if there is none. */
function search({
  call,
  anchors,
  positives,
  mining,
  isDuplicate,
  cosineRows,
  cosine,
  draws,
}: SearchProblem): Int32Array {
  const { strategy, maxSimilarity = Infinity, relativeMargin } = mining;
  const mined = new Int32Array(anchors.length);
  const candidates: number[] = [];
  cosineRows(anchors, positives, (i, cosines) => {
    const exact = (j: number): number => cosine(anchors[i]!, positives[j]!);
    const positive = exact(i);
    const atMost =
      relativeMargin === undefined
        ? maxSimilarity
        : Math.min(maxSimilarity, positive - relativeMargin * Math.abs(positive));
    const below = strategy === 'semi-hard' ? positive : Infinity;
    // A cosine that is closer to a limit than its error is computed again, exactly.
    const [surely, maybe] = [Math.min(atMost, below) - COSINE_ERROR, Math.min(atMost, below) + COSINE_ERROR];
    let highest = -Infinity;
    candidates.length = 0;
    for (let j = 0; j < positives.length; j++) {
      if (j === i || isDuplicate(i, j) || cosines[j]! > maybe) continue;
      let similarity = cosines[j]!;
      if (!(similarity < surely)) {
        similarity = exact(j);
        if (!Number.isFinite(similarity)) throwNonFinite(call, { anchors, positives });
        if (similarity > atMost || similarity >= below) continue;
      }
      candidates.push(j);
      if (similarity > highest) highest = similarity;
    }
    if (candidates.length === 0) mined[i] = i;
    else if (draws) mined[i] = candidates[Math.min(Math.floor(draws[i]! * candidates.length), candidates.length - 1)]!;
    else
      mined[i] = firstHighest(
        candidates.filter(j => cosines[j]! >= highest - 2 * COSINE_ERROR),
        exact,
      );
  });
  return mined;
}
