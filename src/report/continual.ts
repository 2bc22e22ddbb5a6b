import type { ContinualMetrics } from '../continual-metrics.js';
import { inWords } from '../internal/validate/messages.js';
import { checkBoolean, checkNumber, checkObject } from '../internal/validate/option-checks.js';
import { extentOf } from './axis-range.js';
import { CALL, checkList, checkNumbers, checkText, checkTexts } from './checks.js';
import { type Html, html, trusted } from './html.js';
import { alike } from './numbers.js';
import { table } from './table.js';

/** The scores of a sequence of tasks. What `continualMetrics` returns fits in. */
export interface ReportContinual extends Partial<ContinualMetrics> {
  /**
   * T rows of T numbers, as `continualMetrics` takes them: `scores[i][j]` is the score on task j after task i was
   * learned. Scores on later tasks (j > i) may be missing: as NaN, or as a shorter row of at least i + 1 numbers.
   */
  scores: readonly ArrayLike<number>[];
  /** Names the sequence, where there are several. */
  name?: string;
  /** Names of the tasks. */
  tasks?: readonly string[];
  /** Scores of an untrained model on each task. */
  baseline?: ArrayLike<number>;
  /**
   * Whether greater scores are better, as for accuracies.
   *
   * @default true
   */
  higherIsBetter?: boolean;
}

/** A sequence of tasks, checked. */
interface Sequence {
  name: string | undefined;
  tasks: readonly string[];
  scores: readonly (readonly number[])[];
  baseline: readonly number[] | undefined;
  higherIsBetter: boolean;
  metrics: readonly (readonly [label: string, value: number])[];
}

const METRICS = {
  accuracy: 'Mean score at the end',
  forgetting: 'Forgetting, against the best score before',
  forgettingFromFirst: 'Forgetting, against the score when learned',
  backwardTransfer: 'Backward transfer',
  forwardTransfer: 'Forward transfer',
} as const satisfies Record<keyof ContinualMetrics, string>;

/** The scores of all tasks after every task, with what was forgotten. */
export function continualSection(continual: unknown): Html | undefined {
  if (continual === undefined) return undefined;
  const isList = Array.isArray(continual);
  const sequences = isList
    ? continual.map((each, i) => checkSequence(`continual[${i}]`, each))
    : [checkSequence('continual', continual)];
  if (sequences.length === 0) return undefined;
  return html`<section>
<h2>Continual learning</h2>
<div class="tables">
${sequences.map(matrix)}</div>
${summary(sequences)}</section>
`;
}

/** The task matrix. Better scores have a deeper ground. */
function matrix(sequence: Sequence): Html {
  const { name, tasks, scores, baseline, higherIsBetter } = sequence;
  const present = [...scores, baseline ?? []].flat().filter(score => !Number.isNaN(score));
  const [low, high] = extentOf(present);
  const forgetting = tasks.map((_, j) => forgettingOf(sequence, j));
  const format = alike(present);
  const depthOf = (score: number): number => {
    const share = high === low ? 0.5 : (score / 2 - low / 2) / (high / 2 - low / 2);
    return Math.round(35 * (higherIsBetter ? share : 1 - share));
  };
  const cell = (score: number): Html =>
    Number.isNaN(score)
      ? html`–`
      : html`<span class="score"${trusted(` style="--depth:${depthOf(score)}%"`)}>${format(score)}</span>`;
  const rowOf = (head: string | Html, values: readonly number[]): { head: string | Html; cells: Html[] } => ({
    head,
    cells: tasks.map((_, j) => cell(values[j] ?? Number.NaN)),
  });
  return table({
    label: 'Scores',
    caption: html`Score on each task after each task${name !== undefined && name !== '' ? html`: <bdi>${name}</bdi>` : undefined}`,
    columns: tasks.map(task => html`on <bdi>${task}</bdi>`),
    rows: [
      ...(baseline ? [rowOf('untrained', baseline)] : []),
      ...scores.map((row, i) => rowOf(html`after <bdi>${tasks[i]!}</bdi>`, row)),
      ...(tasks.length > 1
        ? [{ head: 'forgetting', cells: forgetting.map(value => (value === undefined ? '–' : format(value))) }]
        : []),
    ],
  });
}

/** How much worse the final score on a task is than the best one after an earlier task. The last task has none. */
function forgettingOf({ scores, higherIsBetter }: Sequence, task: number): number | undefined {
  const last = scores.length - 1;
  if (task === last) return undefined;
  const sign = higherIsBetter ? 1 : -1;
  const before = scores
    .slice(0, last)
    .map(row => sign * (row[task] ?? Number.NaN))
    .filter(score => !Number.isNaN(score));
  return Math.max(...before) - sign * scores[last]![task]!;
}

/** The metrics of all sequences side by side. */
function summary(sequences: readonly Sequence[]): Html | undefined {
  const labels = Object.values(METRICS).filter(label =>
    sequences.some(({ metrics }) => metrics.some(([name]) => name === label)),
  );
  if (labels.length === 0) return undefined;
  const format = alike(sequences.flatMap(({ metrics }) => metrics.map(([, value]) => value)));
  return table({
    label: 'Means over tasks',
    caption: 'Means over tasks',
    columns: sequences.map(({ name }, i) =>
      name === undefined || name === ''
        ? sequences.length > 1
          ? `sequence ${i + 1}`
          : 'value'
        : html`<bdi>${name}</bdi>`,
    ),
    rows: labels.map(label => ({
      head: label,
      cells: sequences.map(({ metrics }) => {
        const value = metrics.find(([name]) => name === label)?.[1];
        return value === undefined || Number.isNaN(value) ? '–' : format(value);
      }),
    })),
  });
}

function checkSequence(label: string, value: unknown): Sequence {
  checkObject(CALL, label, value);
  const { name, higherIsBetter = true } = value;
  checkBoolean(CALL, `${label}.higherIsBetter`, higherIsBetter);
  const rows = checkList(`${label}.scores`, value['scores']);
  if (rows.length === 0) throw new RangeError(`${CALL}: ${label}.scores has no rows`);
  const scores = rows.map((row, i) => checkScores(`${label}.scores[${i}]`, row, i + 1, rows.length));
  const tasks =
    value['tasks'] === undefined ? rows.map((_, i) => `task ${i + 1}`) : checkTexts(`${label}.tasks`, value['tasks']);
  if (tasks.length !== rows.length)
    throw new RangeError(`${CALL}: ${label}.tasks has ${inWords(tasks.length, 'entry')}, expected ${rows.length}`);
  const baseline = value['baseline'];
  const metrics = Object.entries(METRICS).flatMap(([field, metric]): [string, number][] => {
    const given = value[field];
    if (given === undefined) return [];
    const isMissing = field === 'forwardTransfer' && Number.isNaN(given);
    return [[metric, isMissing ? Number.NaN : checkNumber(CALL, `${label}.${field}`, given)]];
  });
  return {
    name: name === undefined ? undefined : checkText(`${label}.name`, name),
    tasks,
    scores,
    baseline: baseline === undefined ? undefined : checkScores(`${label}.baseline`, baseline, rows.length, rows.length),
    higherIsBetter: higherIsBetter as boolean,
    metrics,
  };
}

/** Checks a row of at most `tasks` scores. All except the first `needed` scores may be missing. */
function checkScores(name: string, value: unknown, needed: number, tasks: number): readonly number[] {
  const row = checkList(name, value);
  if (row.length < needed || row.length > tasks) {
    const expected = needed === tasks ? `${tasks}` : `${needed} to ${tasks}`;
    throw new RangeError(`${CALL}: ${name} has ${inWords(row.length, 'entry')}, expected ${expected}`);
  }
  checkNumbers(
    name,
    row.map((score, j) => (j >= needed && Number.isNaN(score) ? 0 : score)),
  );
  return row as readonly number[];
}
