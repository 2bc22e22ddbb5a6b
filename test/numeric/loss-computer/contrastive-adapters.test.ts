import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  AdamW,
  type Adapter,
  EWCManager,
  type Float32Row,
  LoRAAdapter,
  LossComputer,
  type LossResult,
  type Rows,
} from '../../../src/index.js';
import { arbitraryRows, expectGradient } from '../../laws/gradients.js';
import { expectClose, expectCloseToLargest } from '../../support/close.js';
import {
  arbitraryContrastive,
  bruteForce,
  type Contrastive,
  type Setting,
  settings,
} from '../../support/contrastive.js';
import { mulberry32 } from '../../support/golden.js';

/** A loss with its adapters in one call must equal the composition of separate calls. */

type Gradients = NonNullable<LossResult['adapterGradients']>;
type Argument = 'anchors' | 'positives' | 'negatives';

const routes = [
  { name: 'a query adapter', through: { anchors: 'query' } },
  { name: 'a query and an answer adapter', through: { anchors: 'query', positives: 'answer' } },
  { name: 'one adapter for both sides', through: { anchors: 'query', positives: 'query' } },
  { name: 'an answer adapter', through: { positives: 'answer' } },
] as const;
type Route = (typeof routes)[number];
const gradientNames = { anchors: 'gradients', positives: 'targetGradients', negatives: 'negativeGradients' } as const;

/** A problem and adapters for its rows. A single adapter may change the width only where both sides go through it. */
interface Adapted {
  problem: Contrastive;
  adapters: Map<string, { loraA: number[][]; loraB: number[][]; scaling: number }>;
}
const adaptedBy = (setting: Setting, { through }: Route): fc.Arbitrary<Adapted> =>
  fc
    .record({ problem: arbitraryContrastive(setting), rank: fc.integer({ min: 1, max: 3 }), isWider: fc.boolean() })
    .chain(({ problem, rank, isWider }) => {
      const dim = problem.rows.anchors[0]!.length;
      const outDim = isWider && 'anchors' in through && 'positives' in through ? dim + 2 : dim;
      // `LoRAAdapter.from` of the reference rounds to float32, so the weights are float32 numbers here.
      const weights = (height: number, width: number): fc.Arbitrary<number[][]> =>
        arbitraryRows(height, width).map(rows => rows.map(row => Array.from(row, Math.fround)));
      const adapter = fc.record({
        loraA: weights(dim, rank),
        loraB: weights(rank, outDim),
        scaling: fc.constantFrom(0.5, 1),
      });
      return fc.record({
        problem: fc.constant(problem),
        adapters: fc.record({ query: adapter, answer: adapter }).map(each => new Map(Object.entries(each))),
      });
    });

const call = ({ problem: { rows, options }, adapters }: Adapted, others: object): LossResult =>
  LossComputer.contrastive(rows.anchors, rows.positives, rows.negatives, { ...options, adapters, ...others });

/** The reference: traces of each argument by itself. */
function composed(
  { problem, adapters }: Adapted,
  through: { anchors?: string; positives?: string },
): {
  outputs: Rows;
  result: LossResult;
  adapterGradients: Map<string, { gradA: number[][]; gradB: number[][] }>;
  rowGradients: Record<Argument, Rows | undefined>;
} {
  const { rows, options } = problem;
  const traceOf = (name: string | undefined, of: Rows): { output: Rows; backward: LoRAAdapter['backward'] | null } => {
    if (name === undefined) return { output: of, backward: null };
    return LoRAAdapter.from(adapters.get(name)!).trace(of);
  };
  const names = { anchors: through.anchors, positives: through.positives, negatives: through.positives };
  const traces = {
    anchors: traceOf(names.anchors, rows.anchors),
    positives: traceOf(names.positives, rows.positives),
    negatives: rows.negatives && traceOf(names.negatives, rows.negatives),
  };
  const outputs = [traces.anchors.output, traces.positives.output, traces.negatives?.output ?? null] as const;
  const result = LossComputer.contrastive(...outputs, { ...options, gradients: true });
  const adapterGradients = new Map<string, { gradA: number[][]; gradB: number[][] }>();
  const rowGradients: Record<Argument, Rows | undefined> = {
    anchors: undefined,
    positives: undefined,
    negatives: undefined,
  };
  for (const argument of ['anchors', 'positives', 'negatives'] as const) {
    const ofOutput: Float32Row[] | undefined = result[gradientNames[argument]];
    const trace = traces[argument];
    rowGradients[argument] = ofOutput;
    if (!ofOutput || !trace?.backward) continue;
    const { gradA, gradB, gradInputs } = trace.backward(ofOutput);
    rowGradients[argument] = gradInputs;
    const before = adapterGradients.get(names[argument]!);
    const added = (rows: Rows, to: Rows | undefined): number[][] =>
      rows.map((row, i) => Array.from(row, (value, k) => value + (to ? to[i]![k]! : 0)));
    adapterGradients.set(names[argument]!, { gradA: added(gradA, before?.gradA), gradB: added(gradB, before?.gradB) });
  }
  return { outputs: outputs.flatMap(rows => rows ?? []), result, adapterGradients, rowGradients };
}

/** Near 0, where terms cancel, the tolerance of an entry is absolute. */
function expectSameGradients(actual: Rows, expected: Rows): void {
  expectCloseToLargest([...actual, [1]], [...expected, [1]], 1e-5);
}

describe.each(routes)('$name', route => {
  const { through } = route;

  it.each(settings)('equals separate calls: mode $mode, ids of $ids, symmetric $symmetric', setting => {
    fc.assert(
      fc.property(adaptedBy(setting, route), adapted => {
        const expected = composed(adapted, through);
        fc.pre(expected.outputs.every(row => Math.hypot(...row) > 0.3)); // the cosine's gradient grows with 1 / norm
        const wrt = ['anchors', 'positives', 'negatives'];
        const actual = call(adapted, { through, gradients: true, wrt });
        expectClose(actual.loss, expected.result.loss, 1e-6, 1e-3);
        expectClose(actual.temperatureGradient!, expected.result.temperatureGradient!, 1e-5, 1);
        expect([...actual.adapterGradients!.keys()]).toEqual([...expected.adapterGradients.keys()]);
        for (const [name, { gradA, gradB }] of expected.adapterGradients) {
          expectSameGradients(actual.adapterGradients!.get(name)!.gradA, gradA);
          expectSameGradients(actual.adapterGradients!.get(name)!.gradB, gradB);
        }
        for (const argument of ['anchors', 'positives', 'negatives'] as const) {
          const rows = actual[gradientNames[argument]];
          expect(rows === undefined).toBe(expected.rowGradients[argument] === undefined);
          if (rows) expectSameGradients(rows, expected.rowGradients[argument]!);
        }
        // By default only gradients of adapters are wanted, which may take another code path.
        const plain = call(adapted, { through, gradients: true });
        expect(Object.keys(plain)).toEqual(['loss', 'components', 'temperatureGradient', 'adapterGradients']);
        expectClose(plain.loss, expected.result.loss, 1e-6, 1e-3);
        expect(plain.components).toEqual({ contrastive: plain.loss });
        expectClose(plain.temperatureGradient!, expected.result.temperatureGradient!, 1e-5, 1);
        expect([...plain.adapterGradients!.keys()]).toEqual([...expected.adapterGradients.keys()]);
        for (const [name, { gradA, gradB }] of expected.adapterGradients) {
          expectSameGradients(plain.adapterGradients!.get(name)!.gradA, gradA);
          expectSameGradients(plain.adapterGradients!.get(name)!.gradB, gradB);
        }
        expect(call(adapted, { through })).toEqual({ loss: plain.loss, components: plain.components });
      }),
      { numRuns: 8 },
    );
  });

  it('has the gradients of finite differences', () => {
    for (const setting of settings) {
      fc.assert(
        fc.property(adaptedBy(setting, route), adapted => {
          const { rows } = adapted.problem;
          // Outputs are far from 0, because a cosine is not smooth near a zero row.
          const outputs = Object.values(adaptedRows(adapted, through).rows).flatMap(each => each ?? []);
          fc.pre(outputs.every(row => Math.hypot(...row) > 1));
          const texts = [...rows.positives, ...(rows.negatives ?? [])].map(row => row.join());
          fc.pre(new Set(texts).size === texts.length);
          const wrt = ['anchors', 'positives', 'negatives'];
          const { adapterGradients, ...result } = call(adapted, { through, gradients: true, wrt });
          for (const [name, { gradA, gradB }] of adapterGradients as Gradients) {
            const adapter = adapted.adapters.get(name)!;
            const lossWith = (changed: Partial<typeof adapter>): number => {
              const adapters = new Map(adapted.adapters).set(name, { ...adapter, ...changed });
              return bruteForce(adaptedRows({ ...adapted, adapters }, through)).loss;
            };
            expectGradient(loraA => lossWith({ loraA }), adapter.loraA, gradA);
            expectGradient(loraB => lossWith({ loraB }), adapter.loraB, gradB);
          }
          for (const argument of ['anchors', 'positives', 'negatives'] as const) {
            if (rows[argument] === null) continue;
            const lossOf = (changed: number[][]): number => {
              const problem = { ...adapted.problem, rows: { ...rows, [argument]: changed } };
              return bruteForce(adaptedRows({ ...adapted, problem }, through)).loss;
            };
            expectGradient(lossOf, rows[argument], result[gradientNames[argument]]!);
          }
        }),
        { numRuns: 3 },
      );
    }
  });
});

const random = mulberry32(31);
const rowsOf = (count: number, width: number): Float32Row[] =>
  Array.from({ length: count }, () => Float32Array.from({ length: width }, () => random() - 0.5));
const trainable = (dim: number, rank: number, seed: number): LoRAAdapter => {
  const adapter = new LoRAAdapter({ dim, rank, seed });
  for (const row of adapter.loraB) for (let k = 0; k < row.length; k++) row[k] = 0.2 * (random() - 0.5);
  return adapter;
};

describe('the call', () => {
  const both = { anchors: 'query', positives: 'answer' } as const;

  it('equals separate calls to 1e-6 in the loss and 1e-5 in the gradients, with several blocks of anchors', () => {
    const [anchors, positives, negatives] = [rowsOf(150, 48), rowsOf(150, 48), rowsOf(300, 48)];
    const adapters = new Map([
      ['query', trainable(48, 8, 1)],
      ['answer', trainable(48, 5, 2)],
    ]);
    const adapted = {
      adapters,
      problem: { rows: { anchors, positives, negatives }, options: {} },
    } as unknown as Adapted;
    for (const negativeMode of ['explicit', 'own', 'inBatch+explicit', 'inBatch+own'] as const) {
      const options = { negativeMode, symmetric: true, weights: anchors.map((_, i) => i % 3) };
      const each = { ...adapted, problem: { ...adapted.problem, options } } as unknown as Adapted;
      const expected = composed(each, both);
      const { loss, adapterGradients } = call(each, { through: both, gradients: true });
      expectClose(loss, expected.result.loss, 1e-6);
      for (const [name, { gradA, gradB }] of expected.adapterGradients) {
        expectCloseToLargest(adapterGradients!.get(name)!.gradA, gradA, 1e-5);
        expectCloseToLargest(adapterGradients!.get(name)!.gradB, gradB, 1e-5);
      }
    }
  });

  it('does not change what an adapter remembers about its last forward', () => {
    const query = trainable(6, 2, 3);
    const [rows, gradRows] = [rowsOf(2, 6), rowsOf(2, 6)];
    query.forward(rows);
    const before = query.backward(gradRows);
    const options = { adapters: new Map([['query', query]]), through: { anchors: 'query' }, gradients: true } as const;
    LossComputer.contrastive(rowsOf(2, 6), rowsOf(2, 6), null, options);
    expect(query.backward(gradRows)).toEqual(before);
    const fresh = trainable(6, 2, 3);
    LossComputer.contrastive(rows, rows, null, { ...options, adapters: new Map([['query', fresh]]) });
    expect(() => fresh.backward(gradRows)).toThrow('backward: call forward first');
  });

  it('returns gradients that an optimizer and addPenaltyGradient accept', () => {
    const adapters = new Map<string, Adapter>([
      ['query', trainable(6, 2, 4)],
      ['answer', { loraA: rowsOf(6, 1), loraB: rowsOf(1, 6), scaling: 2 }],
    ]);
    const [anchors, positives] = [rowsOf(8, 6), rowsOf(8, 6)];
    const options = { adapters, through: both, gradients: true } as const;
    const first = LossComputer.contrastive(anchors, positives, null, options);
    const manager = new EWCManager({ lambda: 1, fisher: 'exact' });
    manager.computeFisher(
      adapters,
      anchors.map((inputEmb, i) => ({ inputEmb, outputEmb: positives[i]! })),
    );
    const optimizer = new AdamW(adapters, { lr: 0.02 });
    for (let step = 0; step < 30; step++) {
      const { adapterGradients } = LossComputer.contrastive(anchors, positives, null, options);
      manager.addPenaltyGradient(adapters, adapterGradients);
      optimizer.step(adapterGradients);
    }
    expect(LossComputer.contrastive(anchors, positives, null, options).loss).toBeLessThan(first.loss);
  });

  it('returns diagnostics and losses per row of the adapted rows', () => {
    const adapters = new Map([['query', trainable(6, 2, 5)]]);
    const [anchors, positives] = [rowsOf(8, 6), rowsOf(8, 6)];
    const options = { diagnostics: true, perRow: true } as const;
    const through = { anchors: 'query', positives: 'query' };
    const query = adapters.get('query')!;
    expect(LossComputer.contrastive(anchors, positives, null, { ...options, adapters, through })).toEqual(
      LossComputer.contrastive(query.trace(anchors).output, query.trace(positives).output, null, options),
    );
  });

  it('combines with other losses by adapter', () => {
    const adapters = new Map([
      ['query', trainable(6, 2, 7)],
      ['answer', trainable(6, 3, 8)],
    ]);
    const [anchors, positives] = [rowsOf(4, 6), rowsOf(4, 6)];
    const options = { adapters, gradients: true } as const;
    const first = LossComputer.contrastive(anchors, positives, null, { ...options, through: { anchors: 'query' } });
    const second = LossComputer.contrastive(anchors, positives, null, { ...options, through: both });
    const { adapterGradients, gradients } = LossComputer.combine([
      { loss: first, weight: 2 },
      { loss: second, weight: -1 },
    ]);
    expect(gradients).toBeUndefined();
    expect([...adapterGradients!.keys()]).toEqual(['query', 'answer']);
    for (const matrix of ['gradA', 'gradB'] as const) {
      const sumOf = (name: string): number[][] =>
        second.adapterGradients
          .get(name)!
          [matrix].map((row, i) =>
            Array.from(row, (value, k) => 2 * (first.adapterGradients.get(name)?.[matrix][i]?.[k] ?? 0) - value),
          );
      expectCloseToLargest(adapterGradients!.get('query')![matrix], sumOf('query'), 1e-6);
      expectCloseToLargest(adapterGradients!.get('answer')![matrix], sumOf('answer'), 1e-6);
    }
    const other = { loss: 1, adapterGradients: new Map([['query', { gradA: rowsOf(5, 2), gradB: rowsOf(2, 6) }]]) };
    expect(() =>
      LossComputer.combine([
        { loss: first, weight: 1 },
        { loss: other, weight: 1 },
      ]),
    ).toThrow('combine: losses[1].loss.adapterGradients.get("query").gradA has 5 rows, the one before has 6');
    expect(
      LossComputer.combine([
        { loss: { loss: 1 }, weight: 1 },
        { loss: first, weight: 1 },
      ]),
    ).not.toHaveProperty('adapterGradients');
  });

  it('skips own negatives that equal the positive before the adapters', () => {
    const adapters = new Map([['query', trainable(6, 2, 6)]]);
    const [anchors, positives] = [rowsOf(3, 6), rowsOf(3, 6)];
    const negatives = positives.map(row => Array.from(row));
    const options = { adapters, through: { anchors: 'query' }, negativeMode: 'own', gradients: true } as const;
    const { loss, adapterGradients } = LossComputer.contrastive(anchors, positives, negatives, options);
    expect(loss).toBe(0);
    expect(adapterGradients.get('query')!.gradA.every(row => row.every(value => value === 0))).toBe(true);
  });
});

describe('refuses', () => {
  const rows = [
    [1, 2],
    [3, 4],
  ];
  const adapters = new Map<string, Adapter>([
    ['query', { loraA: [[1], [2]], loraB: [[3, 4]], scaling: 1 }],
    ['wide', { loraA: [[1], [2]], loraB: [[3, 4, 5]], scaling: 1 }],
    ['long', { loraA: [[1], [2], [3]], loraB: [[3, 4, 5]], scaling: 1 }],
    ['huge', { loraA: [[1e200], [1e200]], loraB: [[1e200, 1]], scaling: 1 }],
    ['spoiled', { loraA: [[1], [Number.NaN]], loraB: [[3, 4]], scaling: 1 }],
    ['unscaled', { loraA: [[1], [2]], loraB: [[3, 4]] } as unknown as Adapter],
  ]);

  it.each<[message: string, kind: typeof TypeError | typeof RangeError, options: object, negatives?: Rows]>([
    [
      'adapters must be a Map by adapter name, got an object',
      TypeError,
      { adapters: {}, through: { anchors: 'query' } },
    ],
    ['through must be an object, got undefined', TypeError, { adapters }],
    ['through needs adapters, got undefined', RangeError, { through: { anchors: 'query' } }],
    ['through names no adapter', RangeError, { adapters, through: {} }],
    ['through.anchors is "qery", which is no adapter', RangeError, { adapters, through: { anchors: 'qery' } }],
    ['through.positives must be the name of an adapter, got 1', TypeError, { adapters, through: { positives: 1 } }],
    [
      "through has \"negatives\", expected 'anchors' | 'positives'",
      RangeError,
      { adapters, through: { negatives: 'query' } },
    ],
    [
      'adapters.get("unscaled").scaling must be a finite number, got undefined',
      TypeError,
      { adapters, through: { anchors: 'unscaled' } },
    ],
    ['anchors[0] has 2 entries, expected 3', RangeError, { adapters, through: { anchors: 'long' } }],
    [
      'positives[0] has 2 entries, anchors[0] has 3 entries through adapters.get("wide")',
      RangeError,
      { adapters, through: { anchors: 'wide' } },
    ],
    [
      'positives[0] has 3 entries through adapters.get("wide"), anchors[0] has 2 entries through adapters.get("query")',
      RangeError,
      { adapters, through: { anchors: 'query', positives: 'wide' } },
    ],
    [
      'negatives[1] has 1 entry, anchors[0] has 2 entries through adapters.get("query")',
      RangeError,
      { adapters, through: { anchors: 'query' } },
      [[1, 2], [3]],
    ],
    ['negatives[1] has 1 entry, expected 2', RangeError, { adapters, through: { positives: 'query' } }, [[1, 2], [3]]],
    [
      'adapters.get("spoiled").loraA[1][0] must be finite, got NaN',
      RangeError,
      { adapters, through: { anchors: 'spoiled' } },
    ],
    ['the result overflows', RangeError, { adapters, through: { anchors: 'huge' } }],
    [
      "wrt[1] must be 'anchors' | 'positives' | 'negatives', got \"answers\"",
      RangeError,
      { wrt: ['anchors', 'answers'] },
    ],
    ['wrt must be an array, got "anchors"', TypeError, { wrt: 'anchors' }],
    ['negativeIds needs ids, got undefined', RangeError, { negativeIds: [1, 2] }, rows],
    ['negativeIds needs negatives, got null', RangeError, { ids: [1, 2], negativeIds: [1, 2] }],
    ['negativeIds has 1 row, negatives has 2', RangeError, { ids: [1, 2], negativeIds: [1] }, rows],
    ['negativeIds[0] is NaN, which equals no id', RangeError, { ids: [1, 2], negativeIds: [Number.NaN, 1] }, rows],
    ['negativeIds[1] must be a string or a number, got null', TypeError, { ids: [1, 2], negativeIds: [1, null] }, rows],
    ["negativeMode 'own' needs negatives, got null", RangeError, { negativeMode: 'own' }],
    [
      "negatives has 3 rows, anchors has 2; negativeMode 'own' needs k rows per anchor",
      RangeError,
      { negativeMode: 'own' },
      [...rows, [5, 6]],
    ],
    [
      "negatives has 0 rows, anchors has 2; negativeMode 'own' needs k rows per anchor",
      RangeError,
      { negativeMode: 'own' },
      [],
    ],
  ])('%s', (message, kind, options, negatives) => {
    const given = options as { gradients?: boolean };
    const refused = (): unknown =>
      LossComputer.contrastive(rows, rows, negatives ?? null, { ...given, gradients: true });
    expect(refused).toThrow(kind);
    expect(refused).toThrow(`contrastive: ${message}`);
  });
});

/** The outputs of the adapters, by plain loops in float64. */
function adaptedRows({ problem, adapters }: Adapted, through: { anchors?: string; positives?: string }): Contrastive {
  const outputOf = (name: string | undefined, rows: number[][]): number[][] => {
    if (name === undefined) return rows;
    const { loraA, loraB, scaling } = adapters.get(name)!;
    return rows.map(row => {
      const hidden = loraB.map((_, k) => row.reduce((sum, value, i) => sum + value * loraA[i]![k]!, 0));
      return loraB[0]!.map((_, j) => {
        const own = row.length === loraB[0]!.length ? row[j]! : 0;
        return hidden.reduce((sum, value, k) => sum + scaling * value * loraB[k]![j]!, own);
      });
    });
  };
  const { anchors, positives, negatives } = problem.rows;
  const rows = {
    anchors: outputOf(through.anchors, anchors),
    positives: outputOf(through.positives, positives),
    negatives: negatives && outputOf(through.positives, negatives),
  };
  return { rows, options: problem.options };
}
