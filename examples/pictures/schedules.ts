import { LRSchedulers, ReduceLROnPlateau, sequence } from '../../src/index.js';
import type { Schedule } from '../../src/lr-schedulers/schedule.js';
import { COLOURS, DASHES } from '../../src/report/colours.js';
import { picture } from './picture.js';

interface Curve {
  label: string;
  /** The rate of each step, from 0 to 1. */
  rates: number[];
}

/** One schedule, with at most two curves. */
interface Panel {
  title: string;
  /** What the rate 1 is called. */
  top: string;
  curves: Curve[];
}

const TOTAL = 240;
/** Steps past the end that are shown, flat where a schedule has an end. One step is one unit of the picture. */
const BEYOND = 30;
const COLUMNS = 3;
const PANEL = { width: TOTAL + BEYOND, height: 70, left: 50, top: 66, right: 14, bottom: 28 };
const CELL = {
  width: PANEL.left + PANEL.width + PANEL.right,
  height: PANEL.top + PANEL.height + PANEL.bottom,
};
const MARGIN = 10;
const LINE_HEIGHT = 16;

const CYCLE = { restartPeriod: TOTAL / 4 };
const RISE = { warmupSteps: 40 };

const PANELS: readonly Panel[] = [
  panel('constant', [{}]),
  panel('linear', [{}]),
  panel('cosine', [{}, { minLR: 0.25 }]),
  panel('polynomial', [{ power: 2 }, { power: 0.5, minLR: 0.2 }]),
  panel('exponential', [
    { gamma: 0.7, stepSize: 30 },
    { gamma: 0.98, stepSize: 1 },
  ]),
  panel('step', [{ gamma: 0.5, stepSize: 60 }]),
  panel('multiStep', [{}, { milestones: [40, 100], gamma: 0.4 }]),
  panel('warmupLinear', [RISE]),
  panel('warmupCosine', [RISE, { warmupSteps: 80, minLR: 0.25 }]),
  panel('inverseSqrt', [{ warmupSteps: 20 }, RISE]),
  panel('warmupStableDecay', [
    { ...RISE, decaySteps: 44 },
    { ...RISE, decaySteps: 110, decayType: '1-sqrt' },
  ]),
  panel('oneCycle', [{ maxLR: 1 }, { maxLR: 1, pctStart: 0.3, anneal: 'cosine' }], { baseLR: 0.1, top: 'maxLR' }),
  panel('cosineWarmRestarts', [CYCLE, { restartPeriod: 30, restartMultiplier: 2, peakDecay: 0.7 }]),
  {
    title: 'sequence',
    top: 'baseLR',
    curves: [
      {
        label: 'warmupLinear, constant, polynomial',
        rates: sample(
          sequence([
            { schedule: LRSchedulers.warmupLinear, steps: 40, opts: RISE },
            { schedule: LRSchedulers.constant, steps: 80 },
            { schedule: LRSchedulers.polynomial, steps: 120, opts: { power: 3 } },
          ]),
        ),
      },
    ],
  },
  { title: 'ReduceLROnPlateau', top: 'lr', curves: plateau() },
];

/** Every learning-rate schedule against the step, drawn from the functions themselves. */
export function schedulesPicture(): string {
  const places = PANELS.map((each, i) => ({
    ...each,
    left: MARGIN + (i % COLUMNS) * CELL.width + PANEL.left,
    top: MARGIN + Math.floor(i / COLUMNS) * CELL.height + PANEL.top,
    topLabel: each.top,
  }));
  const line = { lineStyle: { color: COLOURS.grid } };
  const axis = { type: 'value', min: 0, axisTick: { show: false }, axisLine: line, splitLine: line };
  const label = { color: COLOURS.faint, fontSize: 10.5 };
  return picture(
    {
      title: 'Learning rate against the step, for every schedule',
      width: 2 * MARGIN + COLUMNS * CELL.width,
      height: 2 * MARGIN + Math.ceil(PANELS.length / COLUMNS) * CELL.height,
    },
    {
      title: places.map(({ title, left, top }) => ({
        text: title,
        left,
        top: top - PANEL.top + 4,
        padding: 0,
        textStyle: { color: COLOURS.text, fontSize: 13, fontFamily: 'ui-monospace, Menlo, monospace' },
      })),
      legend: places.map(({ curves, left, top }, i) => ({
        data: curves.map((_, k) => nameOf(i, k)),
        formatter: (name: string) => curves.find((_, k) => nameOf(i, k) === name)!.label,
        orient: 'vertical',
        left,
        top: top - PANEL.top + 4 + LINE_HEIGHT + 4,
        padding: 0,
        itemGap: 3,
        itemWidth: 20,
        itemHeight: 10,
        itemStyle: { opacity: 0 },
        selectedMode: false,
        textStyle: label,
      })),
      grid: places.map(({ left, top }) => ({
        left,
        top,
        width: PANEL.width,
        height: PANEL.height,
        outerBoundsMode: 'none',
      })),
      xAxis: places.map((_, gridIndex) => ({
        ...axis,
        gridIndex,
        max: TOTAL + BEYOND,
        interval: TOTAL,
        axisLabel: { ...label, formatter: (step: number) => (step === 0 ? '0' : 'totalSteps'), showMaxLabel: false },
      })),
      yAxis: places.map(({ topLabel }, gridIndex) => ({
        ...axis,
        gridIndex,
        max: 1,
        interval: 1,
        axisLabel: { ...label, formatter: (rate: number) => (rate === 0 ? '0' : topLabel) },
      })),
      series: places
        .flatMap(({ curves }, i) => curves.map(({ rates }, k) => seriesOf(nameOf(i, k), rates, i, k)))
        .reverse(),
    },
  );
}

function seriesOf(name: string, rates: readonly number[], panelIndex: number, curveIndex: number): object {
  const color = COLOURS.curves[curveIndex]!;
  return {
    name,
    type: 'line',
    silent: true,
    symbol: 'none',
    xAxisIndex: panelIndex,
    yAxisIndex: panelIndex,
    itemStyle: { color },
    lineStyle: { color, width: 2, type: DASHES[curveIndex]!, join: 'round' },
    data: bendsOf(rates),
  };
}

/** Legends find curves by name, so each has one of its own. */
function nameOf(panelIndex: number, curveIndex: number): string {
  return `${panelIndex}.${curveIndex}`;
}

/** A panel of one schedule, one curve for each object of options. */
function panel(name: keyof typeof LRSchedulers, listOfOptions: object[], { baseLR = 1, top = 'baseLR' } = {}): Panel {
  const curves = listOfOptions.map(options => ({
    label: labelOf(options),
    rates: sample((_, step) => (LRSchedulers[name] as Schedule)(baseLR, step, TOTAL, options)),
  }));
  return { title: name, top, curves };
}

function sample(schedule: Schedule): number[] {
  return Array.from({ length: TOTAL + BEYOND + 1 }, (_, step) => schedule(1, step, TOTAL));
}

/** The rate over a loss that goes a twelfth of the way to its floor each step. The floor is lower for lower rates. */
function plateau(): Curve[] {
  const scheduler = new ReduceLROnPlateau({ lr: 1, factor: 0.5, patience: 10, threshold: 0.01 });
  const rates = [];
  const losses = [];
  let loss = 0.95;
  for (let step = 0; step <= TOTAL + BEYOND; step++) {
    losses.push(loss);
    rates.push(scheduler.lr);
    loss += (0.6 * scheduler.lr + 0.05 - loss) / 12;
    scheduler.step(loss);
  }
  return [
    { label: 'factor: 0.5, patience: 10', rates },
    { label: 'the loss it is given', rates: losses },
  ];
}

function labelOf(options: object): string {
  const entries = Object.entries(options).map(([key, value]) => {
    if (Array.isArray(value)) return `${key}: [${value.join(', ')}]`;
    return `${key}: ${typeof value === 'string' ? `'${value}'` : value}`;
  });
  return entries.length > 0 ? entries.join(', ') : 'by default';
}

/** The steps and rates of a curve, without those that lie within a tenth of a unit of the line through the others. */
function bendsOf(rates: readonly number[]): [step: number, rate: number][] {
  const between = (first: number, last: number): number[] => {
    const lineAt = (step: number): number =>
      rates[first]! + ((rates[last]! - rates[first]!) * (step - first)) / (last - first);
    let farthest = first;
    let distance = 0.1 / PANEL.height;
    for (let step = first + 1; step < last; step++) {
      const own = Math.abs(rates[step]! - lineAt(step));
      if (own > distance) [farthest, distance] = [step, own];
    }
    return farthest === first ? [] : [...between(first, farthest), farthest, ...between(farthest, last)];
  };
  const last = rates.length - 1;
  return [0, ...between(0, last), last].map(step => [step, rates[step]!]);
}
