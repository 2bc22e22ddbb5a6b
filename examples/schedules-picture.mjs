// Draws every learning-rate schedule from the functions themselves, as SVG.
//
//   node examples/schedules-picture.mjs > docs/schedules.svg

import { LRSchedulers, ReduceLROnPlateau, sequence } from 'microlora-training-utils';

const TOTAL = 240;
/** Number of steps shown past the end, where schedules with an end are flat. One step is one unit of the picture. */
const BEYOND = 30;
const COLUMNS = 3;
const PANEL = { width: TOTAL + BEYOND, height: 70, left: 46, top: 62, right: 14, bottom: 26 };
const CELL = {
  width: PANEL.left + PANEL.width + PANEL.right,
  height: PANEL.top + PANEL.height + PANEL.bottom,
};
const MARGIN = 10;

const CYCLE = { restartPeriod: TOTAL / 4 };
const RISE = { warmupSteps: 40 };

/** The panels, with at most two curves each. */
const panels = [
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
    curves: [
      {
        label: 'warmupLinear, constant, polynomial',
        points: sample(
          sequence([
            { schedule: LRSchedulers.warmupLinear, steps: 40, opts: RISE },
            { schedule: LRSchedulers.constant, steps: 80 },
            { schedule: LRSchedulers.polynomial, steps: 120, opts: { power: 3 } },
          ]),
        ),
      },
    ],
  },
  { title: 'ReduceLROnPlateau', ...plateau() },
];

process.stdout.write(picture());

/** A panel of one schedule, with one curve per object of options. */
function panel(name, listOfOptions, { baseLR = 1, top = 'baseLR' } = {}) {
  const curves = listOfOptions.map(options => ({
    label: labelOf(options),
    points: sample((_, step) => LRSchedulers[name](baseLR, step, TOTAL, options)),
  }));
  return { title: name, top, curves };
}

function sample(schedule) {
  return Array.from({ length: TOTAL + BEYOND + 1 }, (_, step) => schedule(1, step, TOTAL));
}

/** Rates for a loss that falls by a twelfth of its distance to a floor in each step. A lower rate has a lower floor. */
function plateau() {
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
  return {
    top: 'lr',
    curves: [
      { label: 'factor: 0.5, patience: 10', points: rates },
      { label: 'loss passed to step()', points: losses },
    ],
  };
}

function labelOf(options) {
  const entries = Object.entries(options).map(([key, value]) => {
    if (Array.isArray(value)) return `${key}: [${value.join(', ')}]`;
    return `${key}: ${typeof value === 'string' ? `'${value}'` : value}`;
  });
  return entries.length > 0 ? entries.join(', ') : 'by default';
}

function picture() {
  const width = 2 * MARGIN + COLUMNS * CELL.width;
  const height = 2 * MARGIN + Math.ceil(panels.length / COLUMNS) * CELL.height;
  const cells = panels.map((each, i) => {
    const x = MARGIN + (i % COLUMNS) * CELL.width + PANEL.left;
    const y = MARGIN + Math.floor(i / COLUMNS) * CELL.height + PANEL.top;
    return `<g transform="translate(${x} ${y})">\n${drawn(each)}\n</g>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title">
<title id="title">Learning rate against the step, for every schedule</title>
<style>
text { font: 10.5px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #59636e; }
.name { font: 600 13px ui-monospace, SFMono-Regular, Menlo, 'DejaVu Sans Mono', monospace; fill: #1f2328; }
.page { fill: #ffffff; stroke: #d1d9e0; }
.grid { stroke: #d1d9e0; fill: none; }
.curve { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.first { stroke: #0969da; }
.second { stroke: #bc4c00; stroke-dasharray: 5 3.5; }
@media (prefers-color-scheme: dark) {
  text { fill: #9198a1; }
  .name { fill: #f0f6fc; }
  .page { fill: #0d1117; stroke: #3d444d; }
  .grid { stroke: #3d444d; }
  .first { stroke: #58a6ff; }
  .second { stroke: #f0883e; }
}
</style>
<rect class="page" x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="8"/>
${cells.join('\n')}
</svg>
`;
}

function drawn({ title, top = 'baseLR', curves }) {
  const { width, height } = PANEL;
  const kinds = ['first', 'second'];
  return [
    `<text class="name" x="0" y="-42">${title}</text>`,
    ...curves.flatMap(({ label }, i) => {
      const y = 15 * i - 27;
      return [`<path class="curve ${kinds[i]}" d="M1 ${y - 3.5}h17"/>`, `<text x="25" y="${y}">${label}</text>`];
    }),
    `<path class="grid" d="M0 0.5H${width}M0 ${height + 0.5}H${width}M0.5 0V${height}M${TOTAL + 0.5} 0V${height + 4}"/>`,
    `<text x="-6" y="4" text-anchor="end">${top}</text>`,
    `<text x="-6" y="${height + 4}" text-anchor="end">0</text>`,
    `<text x="0" y="${height + 17}">0</text>`,
    `<text x="${TOTAL}" y="${height + 17}" text-anchor="middle">totalSteps</text>`,
    ...curves.map(({ points }, i) => `<path class="curve ${kinds[i]}" d="${pathOf(points)}"/>`).reverse(),
  ].join('\n');
}

/** A line through the rates, one unit per step, exact to a tenth of a unit. Points on a straight line are skipped. */
function pathOf(rates) {
  const tenths = rates.map(rate => Math.round(10 * PANEL.height * (1 - rate)));
  const isBend = (y, step) => y - tenths[step - 1] !== tenths[step + 1] - y;
  return `M${tenths.flatMap((y, step) => (isBend(y, step) ? [`${step} ${y / 10}`] : [])).join('L')}`;
}
