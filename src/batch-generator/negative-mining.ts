import type { Random } from '../internal/random.js';
import {
  checkBoolean,
  checkNumber,
  checkObject,
  checkOneOf,
  checkOptions,
  throwNonFinite,
} from '../internal/validate.js';
import { COSINE_ERROR, type CosineRows } from '../kernels/kernels.js';
import { firstHighest } from '../kernels/vector.js';
import type { Rows, Vector } from '../types.js';

/** Which positive of another example of the batch becomes an anchor's negative. */
export interface NegativeMining {
  /**
   * `'hardest'`, the most similar to the anchor; `'semi-hard'`, the most similar of those that are less similar than
   * its positive (Schroff et al. 2015, "FaceNet"); `'random'`, any.
   */
  strategy: 'hardest' | 'semi-hard' | 'random';
  /**
   * Candidates of a higher cosine with the anchor are left out as likely false negatives, from -1 to 1. Default: none
   * are.
   */
  maxSimilarity?: number;
  /**
   * Candidates of a higher cosine than `positive - relativeMargin · |positive|` are left out, where `positive` is the
   * cosine of the anchor's own positive; 0 or more. Default: none are.
   */
  relativeMargin?: number;
  /**
   * Whether examples with an input or output text equal to the anchor's, or an equal output row, are left out. Default
   * true.
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

interface MiningProblem {
  anchors: Rows;
  positives: Rows;
  mining: NegativeMining;
  /** Whether example j of the batch must not be a negative of example i. */
  isDuplicate: (i: number, j: number) => boolean;
  /** Cosines of every anchor with all positives, maybe in float32. */
  cosineRows: CosineRows;
  /** The same of one pair, exactly. */
  cosine: (a: Vector, b: Vector) => number;
  random: Random;
}

/** For each anchor the index of the positive that is its negative, or its own where every candidate is left out. */
export function mineNegatives(problem: MiningProblem): Int32Array {
  const { anchors, positives, mining, isDuplicate, cosineRows, cosine, random } = problem;
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
    else if (strategy === 'random') mined[i] = candidates[Math.floor(random() * candidates.length)]!;
    else
      mined[i] = firstHighest(
        candidates.filter(j => cosines[j]! >= highest - 2 * COSINE_ERROR),
        exact,
      );
  });
  return mined;
}
