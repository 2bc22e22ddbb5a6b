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
import { cosineRowsBy } from './own-similarity.js';

/** Which positive of another example of the batch becomes an anchor's negative. */
export interface NegativeMining {
  /**
   * `'hardest'`, the most similar to the anchor; `'semi-hard'`, the most similar of those that are less similar than
   * its positive (Schroff et al. 2015, "FaceNet"); `'random'`, any.
   */
  strategy: 'hardest' | 'semi-hard' | 'random';
  /**
   * Candidates of a higher cosine with the anchor are skipped as likely false negatives, from -1 to 1. Default: none
   * are.
   */
  maxSimilarity?: number;
  /**
   * Candidates of a higher cosine than `positive - relativeMargin · |positive|` are skipped, where `positive` is the
   * cosine of the anchor's own positive; 0 or more. Default: none are.
   */
  relativeMargin?: number;
  /**
   * Whether duplicates of the anchor's example, by `duplicatesBy`, and examples with an equal output row are skipped.
   * Default true.
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

/** Sets the draws of `strategy: 'random'` apart from the shuffle's. */
const MINING = 0x6d696e65;

interface MiningContext<E extends EmbeddedExample> {
  config: Pick<BatchGeneratorConfig<E>, 'seed' | 'duplicatesBy'>;
  mining: NegativeMining;
  /** Where the examples are in the data. */
  indices: readonly number[];
  /** In place of the cosine, where a subclass has one of its own. */
  similarity: ((a: Vector, b: Vector) => number) | undefined;
  /** Tells the draws of batches apart. */
  stream: number;
}

/**
 * For each example of a batch the positive of another one that is its negative, or its own where every candidate is
 * skipped.
 */
export function mineNegatives<E extends EmbeddedExample>(
  examples: readonly E[],
  { config, mining, indices, similarity, stream }: MiningContext<E>,
): E['outputEmb'][] {
  const { seed, duplicatesBy = 'exact' } = config;
  const anchors = examples.map(example => example.inputEmb);
  const positives = examples.map(example => example.outputEmb);
  // Kernels hand out cosines as views of memory that any other kernel call writes to. So what is the caller's runs
  // before: keys of duplicates, `Math.random`.
  const labels = mining.excludeDuplicates === false ? undefined : labelsOf(examples, duplicatesBy, { indices });
  const random = randomFor(isSeed(seed) ? seed ^ MINING : undefined, stream);
  const mined = search({
    anchors,
    positives,
    mining,
    // Texts that differ in case, say, may have equal rows.
    isDuplicate: (i, j) => labels !== undefined && (shareLabel(labels, i, j) || areEqual(positives[i]!, positives[j]!)),
    cosineRows: similarity ? cosineRowsBy(similarity) : kernels().cosineRows,
    cosine: similarity ?? cosineInOrder,
    draws: mining.strategy === 'random' ? Float64Array.from(anchors, () => random()) : undefined,
  });
  return Array.from(mined, index => positives[index]!);
}

interface SearchProblem {
  anchors: Rows;
  positives: Rows;
  mining: NegativeMining;
  /** Whether example j of the batch must not be a negative of example i. */
  isDuplicate: (i: number, j: number) => boolean;
  /** Cosines of every anchor with all positives, maybe in float32. */
  cosineRows: CosineRows;
  /** The same of one pair, exactly. */
  cosine: (a: Vector, b: Vector) => number;
  /** For each anchor a number in [0, 1) that picks any candidate. */
  draws: Float64Array | undefined;
}

/** For each anchor the index of the positive that is its negative, or its own. */
function search({ anchors, positives, mining, isDuplicate, cosineRows, cosine, draws }: SearchProblem): Int32Array {
  const { strategy, maxSimilarity = Infinity, relativeMargin } = mining;
  const mined = new Int32Array(anchors.length);
  const candidates: number[] = [];
  cosineRows(anchors, positives, (i, cosines) => {
    const exact = (j: number): number => cosine(anchors[i]!, positives[j]!);
    const own = exact(i);
    const atMost =
      relativeMargin === undefined ? maxSimilarity : Math.min(maxSimilarity, own - relativeMargin * Math.abs(own));
    const below = strategy === 'semi-hard' ? own : Infinity;
    // What is nearer to a limit than cosines may be off is computed again.
    const [surely, maybe] = [Math.min(atMost, below) - COSINE_ERROR, Math.min(atMost, below) + COSINE_ERROR];
    let highest = -Infinity;
    candidates.length = 0;
    for (let j = 0; j < positives.length; j++) {
      if (j === i || isDuplicate(i, j) || cosines[j]! > maybe) continue;
      let similarity = cosines[j]!;
      if (!(similarity < surely)) {
        similarity = exact(j);
        if (!Number.isFinite(similarity)) throwNonFinite('BatchGenerator', { anchors, positives });
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
