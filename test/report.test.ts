import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  continualMetrics,
  KeepBest,
  LoRAAdapter,
  LossComputer,
  LRSchedulers,
  Retriever,
  sequence,
} from '../src/index.js';
import { type TrainingReportOptions, trainingReport } from '../src/report.js';
import { attribute, chartOf, curvesOf, descendants, parsePage, textOf } from './support/report-page.js';

const BLUE = 'var(--curve-1)';
const ORANGE = 'var(--curve-2)';
const GREEN = 'var(--curve-3)';

/** What plain JavaScript may pass. */
// biome-ignore lint/suspicious/noExplicitAny: the point is to pass what the types refuse
type Untyped = any;

const evaluation = (recall: number): { recallAt: Record<number, number>; mrr: number; intervals: object } => ({
  recallAt: { 1: recall, 10: recall + 0.2 },
  mrr: recall + 0.1,
  intervals: { recallAt: { 1: [recall - 0.05, recall + 0.04] } },
});

/** A report with every part, in which every text is `text`. */
function everything(text: string): TrainingReportOptions {
  return {
    title: text,
    description: text,
    language: text,
    steps: [
      { loss: 2, learningRate: 0.1 },
      { loss: 1, learningRate: 0.05 },
    ],
    schedule: [0.1, 0.05, 0.01],
    evaluations: [evaluation(0.2), evaluation(0.5)],
    baselines: { [`0${text}`]: evaluation(0.3) },
    keepBest: { bestStep: 1 },
    continual: { name: `0${text}`, tasks: [text, text], scores: [[0.8], [0.7, 0.9]], forgetting: 0.1 },
    examples: [{ query: text, answer: [text, '1'], before: [text, '2', `3${text}`], after: text }],
    settings: { [`0${text}`]: text, list: [text, 1], nested: { [`0${text}`]: null } },
    seeds: { [`0${text}`]: 1 },
    versions: { [`0${text}`]: text },
    fingerprint: { [`0${text}`]: text },
  };
}

const texts = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 30 }),
  fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 8 }).map(units => String.fromCharCode(...units)),
  fc
    .array(
      fc.constantFrom(
        '<script>',
        '</script>',
        '</style>',
        '</title>',
        '<!--',
        '-->',
        ']]>',
        '&amp;',
        '&#0;',
        '"',
        "'",
        '`',
        '=',
        ' onload=',
        '\0',
        '\r',
        '\r\n',
        '\n',
        '\t',
        '\u0085',
        '\u202E',
        '\u2066',
        '\uD83D',
        '\uFFFF',
        '🦊',
        'العربية',
        '${',
        'x'.repeat(500),
      ),
      { maxLength: 8 },
    )
    .map(pieces => pieces.join('')),
);

/** A text as a reader sees it, one character at a time. */
function visible(text: string): string {
  let seen = '';
  for (const character of text.replaceAll('\r\n', '\n')) {
    const code = character.codePointAt(0)!;
    if (code < 32 && character !== '\n' && character !== '\t') seen += String.fromCodePoint(0x2400 + code);
    else if (code === 127) seen += '␡';
    else if ((code > 127 && code < 160) || (code >= 0xd800 && code <= 0xdfff)) seen += '\uFFFD';
    else if ((code & 0xfffe) === 0xfffe || (code >= 0xfdd0 && code <= 0xfdef)) seen += '\uFFFD';
    else seen += character;
  }
  return seen;
}

describe('a page with any texts', () => {
  const shape = (page: string): unknown => {
    const { errors, elements } = parsePage(page);
    expect(errors).toEqual([]);
    return elements.map(({ tagName, attrs }) => [tagName, ...attrs.filter(({ name }) => name !== 'lang')]);
  };

  it('is well-formed, and has the elements and attributes of a page with harmless texts', () => {
    const harmless = shape(trainingReport(everything('text')));
    fc.assert(
      fc.property(
        texts.filter(text => text !== ''),
        text => {
          expect(shape(trainingReport(everything(text)))).toEqual(harmless);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('shows them as they are, except what HTML cannot hold', () => {
    fc.assert(
      fc.property(texts, text => {
        const { elements } = parsePage(
          trainingReport({ title: text, examples: [{ query: text, answer: text }], settings: { name: text } }),
        );
        const shown = (tag: string): string[] => elements.filter(({ tagName }) => tagName === tag).map(textOf);
        expect(shown('title')).toEqual([visible(text)]);
        expect(shown('h1')).toEqual([visible(text)]);
        expect(shown('h3')).toEqual([visible(text)]);
        expect(shown('dd')).toEqual([visible(text)]);
        expect(shown('td')).toEqual([visible(text)]);
      }),
    );
  });

  it('has no script, no link and nothing to load', () => {
    const { elements } = parsePage(
      trainingReport(everything('<script src="https://example.com"></script><img src=x onerror=alert(1)>')),
    );
    const tags = new Set(elements.map(({ tagName }) => tagName));
    for (const tag of ['script', 'link', 'img', 'iframe', 'a', 'base', 'form']) expect(tags.has(tag), tag).toBe(false);
    for (const { attrs } of elements) {
      for (const { name } of attrs) expect(name).not.toMatch(/^(on|src|href|xlink:href|action)/);
    }
  });
});

describe('a page', () => {
  it('is the same for the same options, whatever was drawn before', () => {
    const once = trainingReport(everything('text'));
    trainingReport({ title: 'another', steps: [1, 2, 3] });
    expect(trainingReport(everything('text'))).toBe(once);
    expect(() => trainingReport({ ...everything('text'), seeds: -1 })).toThrow(RangeError);
    expect(trainingReport(everything('text'))).toBe(once);
  });

  it('has ids that differ, headings in order, captions and named charts', () => {
    const { elements } = parsePage(trainingReport(everything('text')));
    const ids = elements.flatMap(element => attribute(element, 'id') ?? []);
    expect(new Set(ids).size).toBe(ids.length);
    const levels = elements.flatMap(({ tagName }) => (/^h[1-6]$/.test(tagName) ? [Number(tagName[1])] : []));
    expect(levels[0]).toBe(1);
    for (const [i, level] of levels.slice(1).entries()) expect(level).toBeLessThanOrEqual(levels[i]! + 1);
    for (const table of elements.filter(({ tagName }) => tagName === 'table'))
      expect(descendants(table)[0]!.tagName).toBe('caption');
    const charts = elements.filter(
      element => element.tagName === 'svg' && attribute(element, 'aria-hidden') === undefined,
    );
    expect(charts.length).toBe(5);
    for (const chart of charts) {
      expect(attribute(chart, 'role')).toBe('img');
      const [title] = descendants(chart);
      expect([title!.tagName, attribute(title!, 'id')]).toEqual(['title', attribute(chart, 'aria-labelledby')]);
      expect(textOf(title!)).toMatch(/by (step|epoch)$/);
    }
  });

  const parts = {
    steps: [],
    schedule: [],
    evaluations: [],
    baselines: {},
    continual: [],
    examples: [],
    settings: {},
    seeds: {},
    versions: {},
    fingerprint: {},
  } satisfies Partial<TrainingReportOptions>;

  it('has no section without a part, nor for empty parts', () => {
    for (const options of [
      { title: 'none' },
      { title: 'none', ...parts },
      { title: 'none', steps: undefined },
    ] as Untyped[]) {
      const { elements } = parsePage(trainingReport(options));
      expect(elements.filter(({ tagName }) => ['section', 'svg', 'table'].includes(tagName))).toEqual([]);
    }
  });

  it.each<[keyof TrainingReportOptions, string[]]>([
    ['steps', ['Training']],
    ['schedule', ['Training']],
    ['evaluations', ['Evaluation']],
    ['baselines', ['Evaluation']],
    ['keepBest', []],
    ['continual', ['Continual learning']],
    ['examples', ['Examples']],
    ['settings', ['How it was made']],
    ['seeds', ['How it was made']],
    ['versions', ['How it was made']],
    ['fingerprint', ['How it was made']],
  ])('needs no other part beside %s', (part, headings) => {
    const { errors, elements } = parsePage(trainingReport({ title: 'one part', [part]: everything('text')[part] }));
    expect(errors).toEqual([]);
    expect(elements.filter(({ tagName }) => tagName === 'h2').map(textOf)).toEqual(headings);
  });

  it('is written alike in a process of its own', () => {
    const program = `import { trainingReport } from './dist/report.js';
      process.stdout.write(trainingReport({ title: 'a', steps: [3, 2, 1], schedule: [1, 2] }));`;
    const { stdout, status } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
      encoding: 'utf8',
    });
    expect(status).toBe(0); // It ends, so no chart holds a timer.
    expect(stdout).toBe(trainingReport({ title: 'a', steps: [3, 2, 1], schedule: [1, 2] }));
  });
});

describe('curves', () => {
  const closeTo = (points: readonly (readonly number[])[], reach: number): unknown =>
    points.map(([x, y]) => [expect.closeTo(x!, 0), expect.toSatisfy((shown: number) => Math.abs(shown - y!) <= reach)]);

  it('of few losses go through every loss', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: -50, max: 50, noNaN: true }), { minLength: 2, maxLength: 59 }), losses => {
        const page = parsePage(trainingReport({ title: 'losses', steps: losses }));
        const range = Math.max(...losses) - Math.min(...losses);
        fc.pre(range > 1e-3);
        const curves = curvesOf(chartOf(page, 'loss'), BLUE);
        expect(curves).toHaveLength(1);
        expect(curves[0]).toEqual(
          closeTo(
            losses.map((loss, i) => [i, loss]),
            range / 100,
          ),
        );
      }),
      { numRuns: 30 },
    );
  });

  it('of many losses go through every loss and through the means over neighbours', () => {
    const losses = Array.from({ length: 240 }, (_, i) => 2 + Math.sin(i) + 100 / (i + 20));
    const [thin, means] = curvesOf(
      chartOf(parsePage(trainingReport({ title: 'losses', steps: losses })), 'loss'),
      BLUE,
    );
    expect(thin).toEqual(
      closeTo(
        losses.map((loss, i) => [i, loss]),
        0.05,
      ),
    );
    const meanAt = (i: number): number => {
      const reach = Math.min(4, i, 239 - i);
      let sum = 0;
      for (let k = i - reach; k <= i + reach; k++) sum += losses[k]!;
      return sum / (2 * reach + 1);
    };
    expect(means).toEqual(
      closeTo(
        losses.map((_, i) => [i, meanAt(i)]),
        0.05,
      ),
    );
  });

  it('of very many losses stay short, and keep both ends and the spike', () => {
    const losses = Float64Array.from({ length: 20_000 }, (_, i) => (i === 12_345 ? 9 : 1 + (i % 7) / 10));
    const text = trainingReport({ title: 'losses', steps: losses });
    expect(text.length).toBeLessThan(60_000);
    const [thin] = curvesOf(chartOf(parsePage(text), 'loss'), BLUE);
    expect(thin!.length).toBeLessThan(1000);
    expect(Math.max(...thin!.map(([, y]) => y))).toBeCloseTo(9, 1);
    expect(thin![0]![0]).toBeCloseTo(0, 0);
    expect(Math.abs(thin!.at(-1)![0] - 19_999)).toBeLessThan(20);
  });

  it('of rates are those of the steps and of the schedule', () => {
    const schedule = { schedule: LRSchedulers.warmupCosine, baseLR: 3e-3, opts: { warmupSteps: 10 } };
    const steps = Array.from({ length: 50 }, (_, step) => ({ loss: 1, learningRate: 1e-3 * (1 - step / 50) }));
    const chart = chartOf(parsePage(trainingReport({ title: 'rates', steps, schedule })), 'learning-rate');
    expect(curvesOf(chart, BLUE)).toEqual([
      closeTo(
        steps.map(({ learningRate }, i) => [i, learningRate]),
        2e-5,
      ),
    ]);
    const planned = steps.map((_, i) => [i, LRSchedulers.warmupCosine(3e-3, i, 50, { warmupSteps: 10 })]);
    expect(curvesOf(chart, ORANGE)).toEqual([closeTo(planned, 2e-5)]);
  });

  it('of a sequence are its rates, without steps too', () => {
    const schedule = sequence([
      { schedule: LRSchedulers.warmupLinear, steps: 10, opts: { warmupSteps: 10 } },
      { schedule: LRSchedulers.polynomial, steps: 30, opts: { power: 2 } },
    ]);
    const page = parsePage(trainingReport({ title: 'rates', schedule: { schedule, baseLR: 1, totalSteps: 40 } }));
    const expected = Array.from({ length: 40 }, (_, step) => [step, schedule(1, step)]);
    expect(curvesOf(chartOf(page, 'learning-rate'), BLUE)).toEqual([closeTo(expected, 0.01)]);
  });

  it('of steps with numbers stand at these numbers', () => {
    const steps = [
      [10, 3],
      [25, 2],
      [100, 1],
    ].map(([step, loss]) => ({ step: step!, loss: loss! }));
    const chart = chartOf(parsePage(trainingReport({ title: 'steps', steps })), 'loss');
    expect(curvesOf(chart, BLUE)).toEqual([
      closeTo(
        [
          [10, 3],
          [25, 2],
          [100, 1],
        ],
        0.03,
      ),
    ]);
  });

  it('of metrics have intervals, and baselines from end to end', () => {
    const evaluations = [0.21, 0.46, 0.55].map(evaluation);
    const page = parsePage(
      trainingReport({ title: 'metrics', evaluations, baselines: { index: evaluation(0.33), start: evaluations[0]! } }),
    );
    const chart = chartOf(page, 'metric-1');
    const lines = curvesOf(chart, BLUE);
    expect(lines.filter(line => line.length === 3)).toEqual([
      closeTo(
        [
          [0, 0.21],
          [1, 0.46],
          [2, 0.55],
        ],
        0.005,
      ),
    ]);
    const upright = lines
      .filter(([a, b]) => a![0] === b![0])
      .map(([a, b]) => [a![0], Math.min(a![1], b![1]), Math.max(a![1], b![1])]);
    expect(upright).toEqual(
      [
        [0, 0.16, 0.25],
        [1, 0.41, 0.5],
        [2, 0.5, 0.59],
      ].map(numbers => numbers.map(number => expect.closeTo(number, 1))),
    );
    expect(curvesOf(chart, ORANGE)).toEqual([
      closeTo(
        [
          [0, 0.33],
          [2, 0.33],
        ],
        0.005,
      ),
    ]);
    expect(curvesOf(chart, GREEN)).toEqual([
      closeTo(
        [
          [0, 0.21],
          [2, 0.21],
        ],
        0.005,
      ),
    ]);
    expect(textOf(chart)).toContain('Recall@1 by epoch');
    expect(curvesOf(chartOf(page, 'metric-2'), ORANGE)).toEqual([
      closeTo(
        [
          [0, 0.53],
          [2, 0.53],
        ],
        0.005,
      ),
    ]);
    expect(curvesOf(chartOf(page, 'metric-3'), ORANGE)).toEqual([
      closeTo(
        [
          [0, 0.43],
          [2, 0.43],
        ],
        0.005,
      ),
    ]);
  });

  it('never have coordinates that are no numbers', () => {
    const numbers = fc.double({ min: -1e300, max: 1e300, noNaN: true });
    fc.assert(
      fc.property(fc.array(numbers, { minLength: 1, maxLength: 5 }), losses => {
        const rates = losses.map(Math.abs);
        expect(trainingReport({ title: 'extremes', steps: losses, schedule: rates })).not.toMatch(
          /NaN|Infinity|undefined/,
        );
      }),
      { numRuns: 60 },
    );
  });
});

describe('results of the library', () => {
  const rows = [0, 1, 2, 3, 4, 5].map(i => [Math.cos(i), Math.sin(i), 0.1 * i]);
  const relevant = rows.map((_, i) => (i === 0 ? 1 : i));
  const retriever = new Retriever(rows);
  const shownIn = (options: TrainingReportOptions, tag: string): string[] =>
    parsePage(trainingReport(options))
      .elements.filter(({ tagName }) => tagName === tag)
      .map(textOf);

  it('of Retriever.evaluate show every metric with its interval, and KeepBest which one was kept', () => {
    const adapter = new LoRAAdapter({ dim: 3, rank: 1, seed: 1 });
    const keepBest = new KeepBest(new Map([['query', adapter]]));
    const evaluations = [0.9, 0.2, 0.4].map(noise => {
      const result = retriever.evaluate(
        rows.map((row, i) => row.map((x, k) => x + noise * Math.cos(7 * i + k))),
        relevant,
        { at: [1, 3] },
      );
      keepBest.step(result.mrr);
      return result;
    });
    const options = { title: 'fits', evaluations, baselines: { start: evaluations[0]! }, keepBest };
    const columns = shownIn(options, 'thead')[0];
    expect(columns).toBe(keepBest.bestStep === 2 ? 'startepoch 0epoch 2 (kept)' : 'startepoch 0epoch 1 (kept)epoch 2');
    const shares = shownIn(options, 'td').filter(text => /^\d/.test(text));
    const best = keepBest.bestStep!;
    const order = [evaluations[0]!, ...[...new Set([0, best, 2])].map(i => evaluations[i]!)];
    const percent = (x: number): string => (100 * x).toFixed(1);
    const expected = [
      ...[1, 3].map(k =>
        order.map(each => `${percent(each.recallAt[k]!)} % ${each.intervals.recallAt[k]!.map(percent).join('–')}`),
      ),
      order.map(each => `${each.mrr.toFixed(3)} ${each.intervals.mrr.map(x => x.toFixed(3)).join('–')}`),
    ];
    expect(shares.slice(0, 3 * order.length)).toEqual(expected.flat());
    expect(shares).toHaveLength(10 * order.length);
  });

  it('of losses are steps', () => {
    const steps = [0.5, 0.25].map(scale =>
      LossComputer.mse(
        rows,
        rows.map(row => row.map(x => scale * x)),
        { gradients: true },
      ),
    );
    const chart = chartOf(parsePage(trainingReport({ title: 'fits', steps })), 'loss');
    const [curve] = curvesOf(chart, BLUE);
    for (const [i, { loss }] of steps.entries()) expect(curve![i]![1]).toBeCloseTo(loss, 2);
  });

  it('of continualMetrics and the scores that it took are the task matrix, with the forgetting of each task', () => {
    const score = fc.integer({ min: 0, max: 1000 }).map(thousandths => thousandths / 1000);
    fc.assert(
      fc.property(
        fc
          .integer({ min: 2, max: 4 })
          .chain(tasks =>
            fc.array(fc.array(score, { minLength: tasks, maxLength: tasks }), { minLength: tasks, maxLength: tasks }),
          ),
        fc.boolean(),
        (scores, higherIsBetter) => {
          const metrics = continualMetrics(scores, { higherIsBetter });
          const rows = shownIn({ title: 'fits', continual: { scores, higherIsBetter, ...metrics } }, 'tr').map(text =>
            text.trim(),
          );
          const tasks = scores.map((_, i) => `task ${i + 1}`);
          expect(rows[0]).toBe(tasks.map(task => `on ${task}`).join(''));
          for (const [i, row] of scores.entries())
            expect(rows[i + 1]).toBe(`after ${tasks[i]}${row.map(each => each.toFixed(3)).join('')}`);
          const forgetting = rows[tasks.length + 1]!.match(/^forgetting(.*)–$/)![1]!;
          const shown = Array.from(forgetting.matchAll(/-?\d\.\d{3}/g), match => Number(match[0]));
          expect(shown).toHaveLength(tasks.length - 1);
          expect(shown.reduce((sum, each) => sum + each, 0) / shown.length).toBeCloseTo(metrics.forgetting, 2);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('of tasks that were not scored yet show a dash', () => {
    const rows = shownIn(
      { title: 'fits', continual: { scores: [[0.9], [0.8, 0.7]], tasks: ['a', 'b'], forwardTransfer: Number.NaN } },
      'tr',
    );
    expect(rows).toEqual([
      'on aon b',
      'after a0.900–',
      'after b0.8000.700',
      'forgetting0.100–',
      'value',
      'Forward transfer–',
    ]);
  });
});

describe('examples', () => {
  const shown = (example: TrainingReportOptions['examples']): string[] =>
    parsePage(trainingReport({ title: 'examples', examples: example! }))
      .elements.filter(({ tagName }) => tagName === 'dt' || tagName === 'li')
      .map(textOf);

  it('mark the right answers and say their rank', () => {
    expect(shown([{ query: 'q', answer: ['a', 'b'], before: ['x', 'b', 'a'], after: 'a' }])).toEqual([
      'Right answer',
      'Before: rank 2',
      'x',
      'b ✓ right',
      'a ✓ right',
      'After: rank 1',
      'a ✓ right',
    ]);
  });

  it('take ranks that the lists do not show', () => {
    expect(
      shown([{ query: 'q', answer: 'a', before: ['x'], rankBefore: 14, after: ['y'], rankAfter: Infinity }]),
    ).toEqual(['Right answer', 'Before: rank 14', 'x', 'After: not found', 'y']);
    expect(shown([{ query: 'q', answer: 'a', before: ['x'] }])).toEqual([
      'Right answer',
      'Before: not among these',
      'x',
    ]);
  });
});

describe('settings', () => {
  it('are shown by name, objects one value at a time', () => {
    const page = trainingReport({
      title: 'settings',
      settings: {
        lr: 3e-3,
        betas: [0.9, 0.999],
        optimizer: { name: 'AdamW', decay: { on: true, none: null } },
        absent: undefined,
      },
      seeds: 7,
      versions: { node: 'v20' },
      fingerprint: 'abc',
    });
    const rows = parsePage(page).elements.filter(({ tagName }) => tagName === 'tr');
    expect(rows.map(row => descendants(row).map(textOf))).toEqual([
      ['lr', '0.003'],
      ['betas', '0.9, 0.999'],
      ['optimizer.name', 'AdamW'],
      ['optimizer.decay.on', 'true'],
      ['optimizer.decay.none', 'null'],
      ['7'],
      ['node', 'v20'],
      ['abc'],
    ]);
  });
});

describe('bad input', () => {
  const loop: Record<string, unknown> = {};
  loop['self'] = loop;

  it.each<[object | null | undefined, string]>([
    [undefined, 'options must be an object, got undefined'],
    [null, 'options must be an object, got null'],
    [{}, 'title must be a string, got undefined'],
    [{ title: 7 }, 'title must be a string, got 7'],
    [{ title: 'a', step: [] }, 'unknown option "step"; did you mean steps?'],
    [{ title: 'a', description: 1 }, 'description must be a string, got 1'],
    [{ title: 'a', language: null }, 'language must be a string, got null'],
    [{ title: 'a', steps: 'abc' }, 'steps must be an array, got "abc"'],
    [{ title: 'a', steps: [1, null] }, 'steps[1] must be a number or an object, got null'],
    [{ title: 'a', steps: [1, Number.NaN] }, 'steps[1] must be a finite number from -1e+300 to 1e+300, got NaN'],
    [{ title: 'a', steps: [{ loss: '1' }] }, 'steps[0].loss must be a finite number from -1e+300 to 1e+300, got "1"'],
    [
      { title: 'a', steps: [{ loss: 1, learningRate: -1 }] },
      'steps[0].learningRate must be a finite number from 0 to 1e+300, got -1',
    ],
    [
      {
        title: 'a',
        steps: [
          { loss: 1, step: 3 },
          { loss: 1, step: 3 },
        ],
      },
      'steps[1].step must be a finite number above 3, got 3',
    ],
    [
      { title: 'a', steps: [{ loss: 1, step: 0.5 }] },
      'steps[0].step must be an integer from 0 to 9007199254740991, got 0.5',
    ],
    [{ title: 'a', schedule: 3 }, 'schedule must be an object, got 3'],
    [{ title: 'a', schedule: [1, -1] }, 'schedule[1] must be a finite number from 0 to 1e+300, got -1'],
    [{ title: 'a', schedule: { schedule: 1 } }, 'schedule.schedule must be a function, got 1'],
    [
      { title: 'a', schedule: { schedule: Math.max, baseLR: 'x' } },
      'schedule.baseLR must be a finite number from 0 to 1e+300, got "x"',
    ],
    [
      { title: 'a', schedule: { schedule: Math.max, baseLR: 1 } },
      'schedule.totalSteps is needed where there are no steps',
    ],
    [
      { title: 'a', schedule: { schedule: Math.max, baseLR: 1, totalSteps: 1.5 } },
      'schedule.totalSteps must be an integer of at least 1, got 1.5',
    ],
    [
      { title: 'a', schedule: { schedule: () => Number.NaN, baseLR: 1, totalSteps: 9 } },
      'rate of schedule.schedule at step 0 must be a finite number from 0 to 1e+300, got NaN',
    ],
    [{ title: 'a', evaluations: {} }, 'evaluations must be an array, got an object'],
    [{ title: 'a', evaluations: [{}, 3] }, 'evaluations[1] must be an object, got 3'],
    [{ title: 'a', evaluations: [{ mrr: 1.1 }] }, 'evaluations[0].mrr must be a finite number from 0 to 1, got 1.1'],
    [
      { title: 'a', evaluations: [{ recallAt: { 1: '1' } }] },
      'evaluations[0].recallAt[1] must be a finite number from 0 to 1, got "1"',
    ],
    [
      { title: 'a', evaluations: [{ recallAt: { k: 1 } }] },
      'evaluations[0].recallAt has the cut-off "k", expected an integer of at least 1',
    ],
    [
      { title: 'a', evaluations: [{ mrr: 1, intervals: { mrr: [0.5] } }] },
      'evaluations[0].intervals.mrr must be an array of 2 numbers, got an array of 1',
    ],
    [
      { title: 'a', evaluations: [{ mrr: 1, intervals: { mrr: [0.5, 0.4] } }] },
      'evaluations[0].intervals.mrr[1] must be at least 0.5, got 0.4',
    ],
    [
      { title: 'a', evaluations: [{ epoch: 2 }, { epoch: 1 }] },
      'evaluations[1].epoch must be a finite number above 2, got 1',
    ],
    [{ title: 'a', baselines: { start: 3 } }, 'baselines["start"] must be an object, got 3'],
    [
      { title: 'a', evaluations: [{ mrr: 1 }], keepBest: { bestStep: 1 } },
      'keepBest.bestStep must be less than the number of evaluations (1), got 1',
    ],
    [
      { title: 'a', evaluations: [{ mrr: 1 }], keepBest: {} },
      'keepBest.bestStep must be an integer of at least 0, got undefined',
    ],
    [{ title: 'a', continual: { scores: [] } }, 'continual.scores has no rows'],
    [{ title: 'a', continual: [{ scores: [[1], [1]] }] }, 'continual[0].scores[1] has 1 entry, expected 2'],
    [
      {
        title: 'a',
        continual: {
          scores: [
            [1, '2'],
            [1, 2],
          ],
        },
      },
      'continual.scores[0][1] must be a finite number, got "2"',
    ],
    [{ title: 'a', continual: { scores: [[Number.NaN]] } }, 'continual.scores[0][0] must be a finite number, got NaN'],
    [{ title: 'a', continual: { scores: [[1]], tasks: ['a', 'b'] } }, 'continual.tasks has 2 entries, expected 1'],
    [{ title: 'a', continual: { scores: [[1]], tasks: [1] } }, 'continual.tasks[0] must be a string, got 1'],
    [
      { title: 'a', continual: { scores: [[1]], forgetting: null } },
      'continual.forgetting must be a finite number, got null',
    ],
    [{ title: 'a', continual: { scores: [[1]], baseline: [] } }, 'continual.baseline has 0 entries, expected 1'],
    [{ title: 'a', examples: [{ answer: 'a' }] }, 'examples[0].query must be a string, got undefined'],
    [
      { title: 'a', examples: [{ query: 'a' }] },
      'examples[0].answer must be a string or an array of strings, got undefined',
    ],
    [
      { title: 'a', examples: [{ query: 'a', answer: [] }] },
      'examples[0].answer must be at least one text, got an array of 0',
    ],
    [
      { title: 'a', examples: [{ query: 'a', answer: 'a', before: ['a', 1] }] },
      'examples[0].before[1] must be a string, got 1',
    ],
    [
      { title: 'a', examples: [{ query: 'a', answer: 'a', rankAfter: 0 }] },
      'examples[0].rankAfter must be an integer of at least 1, got 0',
    ],
    [
      { title: 'a', settings: { f: () => 1 } },
      'settings["f"] must be a text, a number, a truth value or null, got a function',
    ],
    [
      { title: 'a', settings: { a: { b: [1, Symbol.iterator] } } },
      'settings["a"]["b"][1] must be a text, a number, a truth value or null, got Symbol(Symbol.iterator)',
    ],
    [{ title: 'a', seeds: -1 }, 'seeds must be an integer from 0 to 4294967295, got -1'],
    [{ title: 'a', seeds: { data: '1' } }, 'seeds["data"] must be a number, got "1"'],
    [{ title: 'a', versions: { node: 20 } }, 'versions["node"] must be a string, got 20'],
    [{ title: 'a', fingerprint: 1 }, 'fingerprint must be an object, got 1'],
  ])('%j: %s', (options, message) => {
    expect(() => trainingReport(options as Untyped)).toThrow(
      new RegExp(`^trainingReport: ${message.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`),
    );
  });

  it('is an error of its kind', () => {
    expect(() => trainingReport({ title: 1 } as Untyped)).toThrow(TypeError);
    expect(() => trainingReport({ title: 'a', seeds: 0.5 })).toThrow(RangeError);
    expect(() => trainingReport({ title: 'a', settings: loop } as Untyped)).toThrow(TypeError);
  });
});
