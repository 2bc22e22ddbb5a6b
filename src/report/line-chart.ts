import type { CustomSeriesOption, LineSeriesOption } from 'echarts/charts';
import type { EChartsCoreOption } from 'echarts/core';
import { type AxisRange, unitOf } from './axis-range.js';
import { COLOURS, DASHES } from './colours.js';
import { type Html, html, trusted } from './html.js';
import { type Drawing, svgChart } from './svg-chart.js';

/** A curve, or a horizontal line, of a chart. */
export interface Curve {
  points: readonly (readonly [x: number, y: number])[];
  /** Which of the colours it has. */
  colour: number;
  /** How it is drawn. `'thin'` stays behind other curves. Default `'line'`. */
  look?: 'line' | 'thin' | 'dots';
  /** Ends of the interval at each point. */
  intervals?: readonly (readonly [low: number, high: number] | undefined)[];
  /** Which point stands out. */
  marked?: number | undefined;
}

/** An axis of a chart. */
export interface Axis {
  /** Stands at the axis. */
  name?: string;
  range: AxisRange;
  /** How its numbers are written. */
  format: (value: number) => string;
}

/** The size of the charts of a report, which suits a phone and half of a wide page. */
const SIZE = { width: 440, height: 260 };
const WHISKER = 4;
/** Diameters of a point, and of one that stands out. */
const DOT = 7;
const MARK = 13;

/** A figure with a chart of curves, its caption above and notes below. */
export function lineFigure(
  drawing: Pick<Drawing, 'id' | 'title'>,
  axes: { x: Axis; y: Axis },
  curves: readonly Curve[],
  note?: Html,
): Html {
  const svg = svgChart({ ...SIZE, ...drawing }, chartOf(axes, curves));
  return html`<figure>
<figcaption>${drawing.title}</figcaption>
${trusted(svg)}
${note && html`<div class="note">${note}</div>`}
</figure>
`;
}

/** The list of what the curves of charts are. The look `'mark'` is that of a point that stands out. */
export function legend(entries: readonly { name: string; colour: number; look?: Curve['look'] | 'mark' }[]): Html {
  return html`<ul class="legend">${entries.map(
    ({ name, colour, look = 'line' }) => html`
<li><svg viewBox="0 0 28 14" width="28" height="14" aria-hidden="true">${sampleOf(colour, look)}</svg> <bdi>${name}</bdi></li>`,
  )}
</ul>
`;
}

function sampleOf(colour: number, look: Curve['look'] | 'mark'): Html {
  const stroke = colourOf(colour);
  const dash = DASHES[colour % DASHES.length]!;
  const dashes = look === 'line' && typeof dash === 'object' ? html` stroke-dasharray="${dash.join(' ')}"` : undefined;
  const dot = (r: number): Html => html`<circle cx="14" cy="7" r="${r}" fill="${stroke}"/>`;
  if (look === 'mark') return dot(MARK / 2);
  const line = html`<path d="M1 7H27" fill="none" stroke="${stroke}" stroke-width="${look === 'thin' ? 1 : 2}"${dashes}/>`;
  return look === 'dots' ? html`${line}${dot(DOT / 2)}` : line;
}

function chartOf({ x, y }: { x: Axis; y: Axis }, curves: readonly Curve[]): EChartsCoreOption {
  const units = { x: unitOf(x.range), y: unitOf(y.range) };
  const inUnits = curves.map(
    (curve): Curve => ({
      ...curve,
      points: curve.points.map(([px, py]) => [px / units.x, py / units.y]),
      ...(curve.intervals && {
        intervals: curve.intervals.map(ends => ends && [ends[0] / units.y, ends[1] / units.y]),
      }),
    }),
  );
  return {
    grid: { left: 62, right: 18, top: 14, bottom: 46, outerBoundsMode: 'none' },
    xAxis: { ...axisOf(x, units.x), nameLocation: 'middle', nameGap: 28, splitLine: { show: false } },
    yAxis: { ...axisOf(y, units.y), axisLine: { show: false } },
    series: inUnits.flatMap(curve => [lineOf(curve), ...(curve.intervals ? [whiskersOf(curve)] : [])]),
  };
}

function axisOf({ name, range, format }: Axis, unit: number): object {
  /** How far the end is from the tick before it, in intervals. */
  const rest = (range.max / range.interval) % 1;
  return {
    type: 'value',
    name,
    min: range.min / unit,
    max: range.max / unit,
    interval: range.interval / unit,
    nameTextStyle: { color: COLOURS.faint, fontSize: 14 },
    axisLabel: {
      color: COLOURS.faint,
      fontSize: 14,
      formatter: (value: number) => format(value * unit),
      hideOverlap: true,
      showMinLabel: true,
      showMaxLabel: rest === 0 || rest > 0.5,
    },
    axisLine: { lineStyle: { color: COLOURS.grid } },
    axisTick: { show: false },
    splitLine: { lineStyle: { color: COLOURS.grid } },
  };
}

function lineOf({ points, colour, look = 'line', marked }: Curve): LineSeriesOption {
  const type = DASHES[colour % DASHES.length]!;
  return {
    type: 'line',
    silent: true,
    data:
      look === 'dots'
        ? points.map((value, i) => ({ value: [...value], symbolSize: i === marked ? MARK : DOT }))
        : points.map(([x, y]) => [x, y]),
    symbolSize: DOT,
    showSymbol: look === 'dots' || points.length === 1,
    showAllSymbol: true,
    symbol: 'circle',
    sampling: 'lttb',
    itemStyle: { color: colourOf(colour) },
    lineStyle: {
      color: colourOf(colour),
      width: look === 'thin' ? 1 : 2,
      opacity: look === 'thin' ? 0.4 : 1,
      type: look === 'line' ? type : 'solid',
      join: 'round',
    },
  };
}

/** Intervals as lines through the points, with whiskers at their ends. */
function whiskersOf({ points, intervals = [], colour }: Curve): CustomSeriesOption {
  return {
    type: 'custom',
    silent: true,
    data: points.flatMap(([x], i) => (intervals[i] ? [[x, ...intervals[i]]] : [])),
    encode: { x: 0, y: [1, 2] },
    renderItem: (_, api) => {
      const [x, low] = api.coord([api.value(0), api.value(1)]) as [number, number];
      const [, high] = api.coord([api.value(0), api.value(2)]) as [number, number];
      return { type: 'group', children: whiskers(x, low, high, colourOf(colour)) };
    },
  };
}

/** The lines of one interval, at `x`, in units of the drawing. */
export function whiskers(
  x: number,
  low: number,
  high: number,
  stroke: string,
): { type: 'line'; shape: object; style: object }[] {
  const line = (x1: number, y1: number, x2: number, y2: number): ReturnType<typeof whiskers>[number] => ({
    type: 'line',
    shape: { x1, y1, x2, y2 },
    style: { stroke, lineWidth: 1.5 },
  });
  return [line(x, low, x, high), line(x - WHISKER, low, x + WHISKER, low), line(x - WHISKER, high, x + WHISKER, high)];
}

function colourOf(index: number): string {
  return COLOURS.curves[index % COLOURS.curves.length]!;
}
