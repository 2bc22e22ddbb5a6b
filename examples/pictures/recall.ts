import { readFileSync } from 'node:fs';
import type { BarSeriesOption, CustomSeriesOption } from 'echarts/charts';
import { COLOURS } from '../../src/report/colours.js';
import { whiskers } from '../../src/report/line-chart.js';
import { picture } from './picture.js';

/** One cell of the table: recall@1 and its interval, in percent. */
interface Recall {
  recall: number;
  low: number;
  high: number;
}

const GAPS = { barGap: '10%', barCategoryGap: '30%' };
const FILLS = ['var(--index)', 'var(--untrained)', 'var(--curve-1)'];
const FILL_RULES = `
:root { --index: #c3cad5; --untrained: #9cc3f2; }
@media screen and (prefers-color-scheme: dark) { :root { --index: #3d4653; --untrained: #29548a; } }`;

/** The table of docs/evaluating.md: recall@1 of an untrained index, the untrained embedding and the trained one. */
export function recallPicture(): string {
  const page = readFileSync(new URL('../../docs/evaluating.md', import.meta.url), 'utf8');
  const [table] = page.match(/^\| Pairs \(held out\)(.*\n\|)*.*$/m)!;
  const [header, , ...sets] = table.split('\n').map(line =>
    line
      .split('|')
      .slice(1, -1)
      .map(cell => cell.trim()),
  );
  const names = header!.slice(1);
  const rows = sets.map(([set, ...cells]) => ({ set: shortened(set!), cells: cells.map(recallIn) }));
  const columns = names.map((_, i) => rows.map(({ cells }) => cells[i]!));
  const label = { color: COLOURS.text, fontSize: 12 };
  return picture(
    { title: 'Held-out queries that find their answer at rank 1, percent', width: 760, height: 320 },
    {
      title: {
        text: 'Held-out queries that find their answer at rank 1, percent',
        left: 8,
        top: 6,
        textStyle: { fontSize: 14, color: COLOURS.text },
      },
      legend: { top: 32, left: 8, itemGap: 36, textStyle: label },
      grid: { left: 40, right: 12, top: 66, bottom: 40, outerBoundsMode: 'none' },
      xAxis: {
        type: 'category',
        data: rows.map(({ set }) => set),
        axisTick: { show: false },
        axisLine: { lineStyle: { color: COLOURS.grid } },
        axisLabel: { ...label, lineHeight: 15 },
      },
      yAxis: {
        type: 'value',
        max: 100,
        axisLabel: { color: COLOURS.faint },
        splitLine: { lineStyle: { color: COLOURS.grid } },
      },
      series: names.flatMap((name, i) => [barsOf(name, columns[i]!, i), intervalsOf(columns, i)]),
    },
    FILL_RULES,
  );
}

function barsOf(name: string, cells: readonly Recall[], i: number): BarSeriesOption {
  return {
    name,
    type: 'bar',
    silent: true,
    ...GAPS,
    itemStyle: { color: FILLS[i]! },
    data: cells.map(({ recall }) => recall),
    label: { show: true, position: 'insideBottom', fontSize: 12, color: i === 2 ? COLOURS.page : COLOURS.text },
  };
}

/** The 95 % intervals of the bars of one column, as lines on top of them. */
function intervalsOf(columns: readonly (readonly Recall[])[], i: number): CustomSeriesOption {
  return {
    type: 'custom',
    silent: true,
    z: 5,
    data: columns[i]!.map(({ low, high }, set) => [set, low, high]),
    renderItem: (_, api) => {
      const bar = api.barLayout!({ ...GAPS, count: columns.length })![i] as { offset: number; width: number };
      const [x, low] = api.coord([api.value(0), api.value(1)]) as [number, number];
      const [, high] = api.coord([api.value(0), api.value(2)]) as [number, number];
      return { type: 'group', children: whiskers(x + bar.offset + bar.width / 2, low, high, COLOURS.text) };
    },
  };
}

/** "**91.9 / 99.6** (90.1–93.8)": recall@1, recall@10 and the interval of recall@1. */
function recallIn(cell: string): Recall {
  const [recall, , low, high] = cell.match(/[\d.]+/g)!.map(Number);
  return { recall: recall!, low: low!, high: high! };
}

function shortened(set: string): string {
  return set.replace(/:.*\(/, ' (').replace(' (', '\n(');
}
