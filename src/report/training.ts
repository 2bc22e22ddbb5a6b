import { inWords, wrongType } from '../internal/validate/messages.js';
import { checkCount, checkFunction, checkNumber, checkObject } from '../internal/validate/option-checks.js';
import type { Schedule } from '../lr-schedulers/schedule.js';
import { type AxisRange, extentOf, rangeOf, roundInterval } from './axis-range.js';
import { CALL, checkList, checkNumbers, checkRising, MOST } from './checks.js';
import { type Html, html } from './html.js';
import { type Curve, legend, lineFigure } from './line-chart.js';
import { count, short } from './numbers.js';

/** One step of a training. A result of `LossComputer` is one. */
export interface ReportStep {
  /** The loss of the step. */
  loss: number;
  /** The learning rate of the step, at least 0. */
  learningRate?: number;
  /**
   * Number of the step, an integer, at least 0 and greater than that of the step before.
   *
   * @default its index
   */
  step?: number;
}

/** A schedule and what it is called with. */
export interface ReportSchedule<Part extends Schedule = Schedule> {
  /** A schedule: one of `LRSchedulers`, a sequence, or your function. */
  schedule: Part;
  /** The rate that it is called with, at least 0. */
  baseLR: number;
  /**
   * The number of steps, an integer of at least 1.
   *
   * @default the number of `steps`
   */
  totalSteps?: number;
  /** Options of the schedule. */
  opts?: Parameters<Part>[3];
}

type Points = [x: number, y: number][];

const LOSS = { min: -MOST, max: MOST };
/** From this many steps on, the mean over neighbours is drawn too. */
const MANY = 60;
/** Points of a schedule, at most. */
const SAMPLES = 400;

/** Loss and learning rate by step. */
export function trainingSection(steps: unknown, schedule: unknown): Html | undefined {
  const { losses, rates } = checkSteps(steps);
  const planned = schedule === undefined ? [] : checkSchedule(schedule, losses.length);
  const figures = [
    ...(losses.length > 0 ? [lossFigure(losses)] : []),
    ...(rates.length + planned.length > 0 ? [rateFigure(rates, planned)] : []),
  ];
  if (figures.length === 0) return undefined;
  return html`<section>
<h2>Training</h2>
<div class="charts">
${figures}</div>
</section>
`;
}

function lossFigure(losses: Points): Html {
  const [first, last] = [losses[0]!, losses.at(-1)!];
  const summary = html`${inWords(losses.length, 'step')}. Step ${count(first[0])}: ${short(first[1])}. Step ${count(last[0])}: ${short(last[1])}.`;
  const span = 2 * Math.round(losses.length / MANY) + 1;
  const hasMeans = losses.length >= MANY;
  const names = legend([
    { name: 'each step', colour: 0, look: 'thin' },
    { name: `mean over ${span} steps`, colour: 0 },
  ]);
  const curves: Curve[] = hasMeans
    ? [
        { points: losses, colour: 0, look: 'thin' },
        { points: smoothed(losses, span), colour: 0 },
      ]
    : [{ points: losses, colour: 0 }];
  return lineFigure(
    { id: 'loss', title: 'Loss by step' },
    {
      x: { name: 'step', range: stepRange(losses), format: count },
      y: { range: rangeOf(losses.map(([, loss]) => loss)), format: short },
    },
    curves,
    html`${hasMeans ? names : undefined}${summary}`,
  );
}

function rateFigure(rates: Points, planned: Points): Html {
  const all = [...rates, ...planned].map(([, rate]) => rate);
  const curves: Curve[] = [];
  const names = [];
  if (rates.length > 0) {
    curves.push({ points: rates, colour: 0 });
    names.push({ name: 'used', colour: 0 });
  }
  if (planned.length > 0) {
    curves.push({ points: planned, colour: rates.length > 0 ? 1 : 0 });
    names.push({ name: 'schedule', colour: 1 });
  }
  const note = html`${names.length > 1 ? legend(names) : undefined}Greatest: ${short(extentOf(all)[1])}. Last: ${short((rates.at(-1) ?? planned.at(-1)!)[1])}.`;
  return lineFigure(
    { id: 'learning-rate', title: 'Learning rate by step' },
    {
      x: { name: 'step', range: stepRange([...rates, ...planned]), format: count },
      y: { range: rangeOf(all, 0), format: short },
    },
    curves,
    note,
  );
}

/** An axis of whole steps, which ends at the last one. */
function stepRange(points: Points): AxisRange {
  const [first, last] = extentOf(points.map(([step]) => step));
  const interval = Math.max(1, roundInterval((last - first) / 6));
  const min = interval * Math.floor(first / interval);
  return { min, max: Math.max(min + 1, last), interval };
}

/** The mean over `span` neighbours, an odd number. At the ends it is over as many as there are on both sides. */
function smoothed(points: Points, span: number): Points {
  const sums = new Float64Array(points.length + 1);
  for (const [i, [, y]] of points.entries()) sums[i + 1] = sums[i]! + y;
  const half = (span - 1) / 2;
  return points.map(([x], i) => {
    const reach = Math.min(half, i, points.length - 1 - i);
    return [x, (sums[i + reach + 1]! - sums[i - reach]!) / (2 * reach + 1)];
  });
}

function checkSteps(steps: unknown): { losses: Points; rates: Points } {
  const entries = steps === undefined ? [] : checkList('steps', steps);
  const checked = entries.map((entry, i) => {
    const name = `steps[${i}]`;
    if (typeof entry === 'number') return { step: i, loss: checkNumber(CALL, name, entry, LOSS) };
    if (typeof entry !== 'object' || entry === null || Array.isArray(entry))
      throw wrongType(CALL, name, 'a number or an object', entry);
    const { step, loss, learningRate } = entry as Record<keyof ReportStep, unknown>;
    return {
      step: step ?? i,
      loss: checkNumber(CALL, `${name}.loss`, loss, LOSS),
      ...(learningRate !== undefined && {
        rate: checkNumber(CALL, `${name}.learningRate`, learningRate, { min: 0, max: MOST }),
      }),
    };
  });
  const positions = checkRising(
    'steps',
    'step',
    checked.map(({ step }) => step),
    { integer: true, max: Number.MAX_SAFE_INTEGER },
  );
  return {
    losses: checked.map(({ loss }, i) => [positions[i]!, loss]),
    rates: checked.flatMap(({ rate }, i): Points => (rate === undefined ? [] : [[positions[i]!, rate]])),
  };
}

function checkSchedule(schedule: unknown, steps: number): Points {
  if (Array.isArray(schedule) || ArrayBuffer.isView(schedule))
    return checkNumbers('schedule', schedule, { min: 0, max: MOST }).map((rate, step) => [step, rate]);
  checkObject(CALL, 'schedule', schedule);
  const { schedule: rateAt, baseLR, totalSteps = steps, opts } = schedule as unknown as ReportSchedule;
  checkFunction(CALL, 'schedule.schedule', rateAt);
  checkNumber(CALL, 'schedule.baseLR', baseLR, { min: 0, max: MOST });
  if (totalSteps === 0) throw new RangeError(`${CALL}: schedule.totalSteps is needed where there are no steps`);
  checkCount(CALL, 'schedule.totalSteps', totalSteps);
  const samples = Math.min(SAMPLES, totalSteps);
  return Array.from({ length: samples }, (_, i) => {
    const step = samples === 1 ? 0 : Math.round((i * (totalSteps - 1)) / (samples - 1));
    return [
      step,
      checkNumber(CALL, `rate of schedule.schedule at step ${step}`, rateAt(baseLR, step, totalSteps, opts), {
        min: 0,
        max: MOST,
      }),
    ];
  });
}
