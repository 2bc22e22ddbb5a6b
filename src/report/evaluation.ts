import { wrongValue } from '../internal/validate/messages.js';
import { checkNumber, checkObject } from '../internal/validate/option-checks.js';
import { type AxisRange, roundInterval } from './axis-range.js';
import { CALL, checkEntries, checkList, checkRising } from './checks.js';
import { type Html, html } from './html.js';
import { type Curve, legend, lineFigure } from './line-chart.js';
import { formatOf, type Metric, metricsOf, type ReportMetrics } from './metrics.js';
import { count } from './numbers.js';
import { table } from './table.js';

/** One evaluation of a training. */
export interface ReportEvaluation extends ReportMetrics {
  /**
   * Number of passes over the data before the evaluation, at least 0 and greater than that of the evaluation before.
   *
   * @default its index, which fits one evaluation before the training and one after each epoch
   */
  epoch?: number;
}

/** One metric of all evaluations. */
interface Series extends Pick<Metric, 'name' | 'field'> {
  /** By evaluation; absent where the evaluation does not have it. */
  values: readonly (Metric | undefined)[];
  /** By baseline. */
  baselines: readonly (Metric | undefined)[];
}

/** The metrics by epoch, with baselines, as charts and as a table. */
export function evaluationSection(evaluations: unknown, baselines: unknown, keepBest: unknown): Html | undefined {
  const { epochs, metrics } = checkEvaluations(evaluations);
  const others = baselines === undefined ? [] : checkEntries('baselines', baselines);
  const ofOthers = others.map(([name, each]) => metricsOf(`baselines[${JSON.stringify(name)}]`, each));
  const kept = checkKept(keepBest, epochs.length);
  const series = seriesOf(metrics, ofOthers);
  if (series.length === 0) return undefined;
  const names = others.map(([name]) => name);
  const charts = epochs.length > 1 ? charted(series) : [];
  return html`<section>
<h2>Evaluation</h2>
${
  charts.length > 0
    ? html`${legend([
        { name: 'the training', colour: 0, look: 'dots' },
        ...(kept === undefined ? [] : [{ name: 'kept', colour: 0, look: 'mark' as const }]),
        ...names.map((name, i) => ({ name, colour: i + 1 })),
      ])}<div class="charts">
${charts.map((each, i) => metricFigure(each, epochs, kept, i))}</div>
`
    : undefined
}${numbers(series, epochs, names, kept)}</section>
`;
}

function metricFigure(
  { name, field, values, baselines }: Series,
  epochs: readonly number[],
  kept: number | undefined,
  index: number,
): Html {
  const here = epochs.flatMap((epoch, i) => (values[i] ? [{ epoch, metric: values[i], isKept: i === kept }] : []));
  const ends = [epochs[0]!, epochs.at(-1)!] as const;
  const marked = here.findIndex(({ isKept }) => isKept);
  const curves: Curve[] = [
    ...baselines.flatMap((baseline, i): Curve[] =>
      baseline ? [{ points: ends.map(epoch => [epoch, baseline.value]), colour: i + 1 }] : [],
    ),
    {
      points: here.map(({ epoch, metric }) => [epoch, metric.value]),
      intervals: here.map(({ metric }) => metric.interval),
      colour: 0,
      look: 'dots',
      ...(marked >= 0 && { marked }),
    },
  ];
  const shown = [...values, ...baselines].flatMap(metric => (metric ? [metric.value, ...(metric.interval ?? [])] : []));
  const isPercent = formatOf(field)(1) === '100.0 %';
  const format = (value: number): string =>
    isPercent ? `${Math.round(100 * value)} %` : String(Number(value.toFixed(3)));
  return lineFigure(
    { id: `metric-${index + 1}`, title: `${name} by epoch` },
    {
      x: { name: 'epoch', range: epochRange(ends), format: count },
      y: { range: shareRange(shown), format },
    },
    curves,
  );
}

/** An axis from the first epoch to the last, with ticks at whole epochs where there are some. */
function epochRange([first, last]: readonly [number, number]): AxisRange {
  const least = (last - first) / 6;
  return {
    min: first,
    max: last,
    interval: last - first >= 1 ? Math.max(1, roundInterval(least)) : roundInterval(least),
  };
}

/** An axis of shares, from 0 to 1, whose ends and ticks are round. */
function shareRange(shares: readonly number[]): AxisRange {
  const [least, greatest] = [Math.min(...shares), Math.max(...shares)];
  const ticks = greatest - least <= 0.15 ? 20 : greatest - least <= 0.4 ? 10 : 5;
  const top = Math.max(1, Math.ceil(ticks * greatest));
  const bottom = Math.min(top - 1, Math.floor(ticks * least));
  return { min: bottom / ticks, max: top / ticks, interval: 1 / ticks };
}

/** A table with a row for each metric and a column for each baseline and for the evaluations that matter. */
function numbers(
  series: readonly Series[],
  epochs: readonly number[],
  names: readonly string[],
  kept: number | undefined,
): Html {
  const shown = [...new Set([0, ...(kept === undefined ? [] : [kept]), epochs.length - 1])]
    .filter(i => i in epochs)
    .sort((a, b) => a - b);
  const cell = (metric: Metric | undefined): Html => {
    if (!metric) return html`–`;
    const format = formatOf(metric.field);
    const { interval } = metric;
    return html`${format(metric.value)}${interval && html` <small>${format(interval[0]).replace(' %', '')}–${format(interval[1]).replace(' %', '')}</small>`}`;
  };
  const hasIntervals = series.some(({ values, baselines }) =>
    [...values, ...baselines].some(metric => metric?.interval),
  );
  return table({
    label: 'Metrics',
    caption: hasIntervals ? 'Metrics, with their intervals in small print' : 'Metrics',
    columns: [
      ...names.map(name => html`<bdi>${name}</bdi>`),
      ...shown.map(i => html`epoch ${count(epochs[i]!)}${i === kept ? ' (kept)' : undefined}`),
    ],
    rows: series.map(({ name, values, baselines }) => ({
      head: html`${name}`,
      cells: [...baselines, ...shown.map(i => values[i])].map(cell),
    })),
  });
}

/** The series worth a chart: no accuracy or precision beside a recall, and none with the values of one before it. */
function charted(series: readonly Series[]): Series[] {
  const hasRecall = series.some(({ field }) => field === 'recallAt');
  const seen = new Set<string>();
  return series.filter(({ field, values }) => {
    if (hasRecall && (field === 'accuracyAt' || field === 'precisionAt')) return false;
    if (values.filter(Boolean).length < 2) return false;
    const look = JSON.stringify(values.map(metric => metric?.value ?? null));
    return !seen.has(look) && seen.add(look);
  });
}

function seriesOf(evaluations: readonly Metric[][], baselines: readonly Metric[][]): Series[] {
  const known = new Map<string, Metric>();
  for (const metric of [...evaluations, ...baselines].flat())
    if (!known.has(metric.name)) known.set(metric.name, metric);
  const find = (lists: readonly Metric[][], name: string): (Metric | undefined)[] =>
    lists.map(list => list.find(metric => metric.name === name));
  return Array.from(known.values(), ({ name, field }) => ({
    name,
    field,
    values: find(evaluations, name),
    baselines: find(baselines, name),
  }));
}

function checkEvaluations(evaluations: unknown): { epochs: readonly number[]; metrics: Metric[][] } {
  const entries = evaluations === undefined ? [] : checkList('evaluations', evaluations);
  const metrics = entries.map((entry, i) => metricsOf(`evaluations[${i}]`, entry));
  const epochs = checkRising(
    'evaluations',
    'epoch',
    entries.map((entry, i) => (entry as ReportEvaluation).epoch ?? i),
    { max: 1e9 },
  );
  return { epochs, metrics };
}

/** The index of the evaluation whose weights were kept. */
function checkKept(keepBest: unknown, evaluations: number): number | undefined {
  if (keepBest === undefined) return undefined;
  checkObject(CALL, 'keepBest', keepBest);
  const { bestStep } = keepBest;
  if (bestStep === null || evaluations === 0) return undefined;
  checkNumber(CALL, 'keepBest.bestStep', bestStep, { integer: true, min: 0 });
  if ((bestStep as number) < evaluations) return bestStep as number;
  throw wrongValue(CALL, 'keepBest.bestStep', `less than the number of evaluations (${evaluations})`, bestStep);
}
