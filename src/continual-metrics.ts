import { checkArray, checkBoolean, checkNumber, checkOptions, checkVector, inWords } from './internal/validate.js';

export interface ContinualMetricsOptions {
  /**
   * Whether greater scores are better, as for accuracies. If not, smaller scores are better, as for losses.
   *
   * @default true
   */
  higherIsBetter?: boolean;
  /** Scores of an untrained model on each task, for the forward transfer. By default, 0 on each task. */
  baseline?: ArrayLike<number>;
}

/**
 * Means over tasks, in the unit of the scores. The transfers are better if greater, and the forgettings are better if
 * smaller, whether or not greater scores are better. For `accuracy`, the better direction is that of the scores.
 */
export interface ContinualMetrics {
  /** Mean score over all tasks at the end: `1/T · Σ_j R[T-1][j]`. */
  accuracy: number;
  /**
   * How much worse the final score of each earlier task is than its best score after any earlier task, which may be one
   * before the task was learned (Chaudhry et al. 2018). 0 for one task.
   */
  forgetting: number;
  /** How much worse the final score of each earlier task is than its score right after it was learned. */
  forgettingFromFirst: number;
  /** How much later tasks improved the scores of earlier ones: `-forgettingFromFirst` (Lopez-Paz and Ranzato 2017). */
  backwardTransfer: number;
  /**
   * How much better than the baseline the score of each later task is, just before the task is learned (Lopez-Paz and
   * Ranzato 2017). The mean is over the later tasks whose score at that time is given. NaN if none is given, 0 for one
   * task.
   */
  forwardTransfer: number;
}

const CALL = 'continualMetrics';

/**
 * Measures how a sequence of tasks affected each other, from the scores on every task after every task (Lopez-Paz and
 * Ranzato 2017, "Gradient episodic memory for continual learning"; Chaudhry et al. 2018, "Riemannian walk for incremental
 * learning").
 *
 * @param scores T rows of T numbers. `scores[i][j]` is the score on task j after task i was learned. Scores on tasks that
 *   were not learned yet (j > i) may be missing: as NaN, or as a shorter row of at least i + 1 numbers.
 * @throws TypeError or RangeError that names the row and the value, for no tasks, rows of another length, and a score
 *   that is not finite.
 *
 * @example
 * ```js
 * import { continualMetrics } from 'microlora-training-utils';
 *
 * const { accuracy, forgetting } = continualMetrics([[0.9, 0.5], [0.7, 0.8]]);
 * console.log(accuracy.toFixed(2), forgetting.toFixed(2)); // 0.75 0.20
 * ```
 */
export function continualMetrics(
  scores: readonly ArrayLike<number>[],
  options: ContinualMetricsOptions = {},
): ContinualMetrics {
  checkOptions(CALL, options);
  const { higherIsBetter = true, baseline } = options;
  checkBoolean(CALL, 'higherIsBetter', higherIsBetter);
  checkArray(CALL, 'scores', scores);
  if (scores.length === 0) throw new RangeError(`${CALL}: scores has no rows`);
  const tasks = scores.length;
  for (const [i, row] of scores.entries()) checkScores(`scores[${i}]`, row, i + 1, tasks);
  if (baseline !== undefined) checkScores('baseline', baseline, tasks, tasks);

  const sign = higherIsBetter ? 1 : -1;
  /** A score, greater if better. NaN if it is missing. */
  const score = (i: number, j: number): number => sign * (scores[i]![j] ?? Number.NaN);
  const last = tasks - 1;
  const earlier = Array.from({ length: last }, (_, j) => j);
  const best = (j: number): number => Math.max(...present(earlier.map(i => score(i, j))));
  const transfers = present(earlier.map(i => score(i, i + 1) - sign * (baseline?.[i + 1] ?? 0)));
  const fromFirst = mean(earlier.map(j => score(j, j) - score(last, j)));
  return {
    accuracy: mean(Array.from(scores[last]!)),
    forgetting: mean(earlier.map(j => best(j) - score(last, j))),
    forgettingFromFirst: fromFirst,
    backwardTransfer: fromFirst === 0 ? 0 : -fromFirst,
    forwardTransfer: tasks > 1 && transfers.length === 0 ? Number.NaN : mean(transfers),
  };
}

/** Checks a row of at most `tasks` scores. All except the first `needed` scores may be missing. */
function checkScores(name: string, row: unknown, needed: number, tasks: number): void {
  checkVector(CALL, name, row);
  if (row.length < needed || row.length > tasks) {
    const expected = needed === tasks ? `${tasks}` : `${needed} to ${tasks}`;
    throw new RangeError(`${CALL}: ${name} has ${inWords(row.length, 'entry')}, expected ${expected}`);
  }
  for (let j = 0; j < row.length; j++) {
    if (j < needed || !Number.isNaN(row[j])) checkNumber(CALL, `${name}[${j}]`, row[j]);
  }
}

/** The values that are not missing. */
function present(values: readonly number[]): number[] {
  return values.filter(value => !Number.isNaN(value));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}
