import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Adapter,
  type AdapterGradients,
  type EmbeddedExample,
  EWCManager,
  type EWCOptions,
  LoRAAdapter,
  LossComputer,
  type Through,
} from '../../../src/index.js';
import { arbitraryRows, expectGradient, finiteDifferences } from '../../laws/gradients.js';
import { expectClose, expectCloseToLargest } from '../../support/close.js';
import { mulberry32 } from '../../support/golden.js';

type Plain = { loraA: number[][]; loraB: number[][]; scaling: number };
type Adapters = Map<string, Plain>;
type Example = { inputEmb: number[]; outputEmb: number[] };

/** For each adapter, which side of the pairs its inputs are, and which side its targets are. */
type Ways = Record<string, (example: Example) => [input: number[], target: number[]][]>;

const answers = ({ inputEmb, outputEmb }: Example): [number[], number[]] => [outputEmb, inputEmb];
const questions = ({ inputEmb, outputEmb }: Example): [number[], number[]] => [inputEmb, outputEmb];
const WAYS: [name: string, through: Through, ways: Ways][] = [
  ['the queries alone', { anchors: 'query' }, { query: each => [questions(each)] }],
  ['the answers alone', { positives: 'answer' }, { answer: each => [answers(each)] }],
  [
    'two adapters',
    { anchors: 'query', positives: 'answer' },
    { query: each => [questions(each)], answer: each => [answers(each)] },
  ],
  [
    'two adapters, the other way round',
    { anchors: 'answer', positives: 'query' },
    { answer: each => [questions(each)], query: each => [answers(each)] },
  ],
  [
    'one adapter for both sides',
    { anchors: 'answer', positives: 'answer' },
    { answer: each => [questions(each), answers(each)] },
  ],
];
const twoTowers: Through = { anchors: 'query', positives: 'answer' };

const shapes = fc.record({
  dim: fc.integer({ min: 1, max: 4 }),
  outDim: fc.integer({ min: 1, max: 4 }),
  ranks: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
});
const history = shapes.chain(({ dim, outDim, ranks }) => {
  const adapter = (rank: number): fc.Arbitrary<Plain> =>
    fc.record({
      loraA: arbitraryRows(dim, rank),
      loraB: arbitraryRows(rank, outDim),
      scaling: fc.constantFrom(0.6, 1),
    });
  const adapters = fc.tuple(adapter(ranks[0]), adapter(ranks[1])).map(
    ([query, answer]): Adapters =>
      new Map([
        ['query', query],
        ['answer', answer],
      ]),
  );
  const examples = fc
    .tuple(arbitraryRows(4, dim), arbitraryRows(4, dim))
    .map(([inputs, outputs]) => inputs.map((inputEmb, i): Example => ({ inputEmb, outputEmb: outputs[i]! })));
  return fc.record({
    tasks: fc.array(fc.record({ adapters, examples }), { minLength: 2, maxLength: 2 }),
    moved: adapters,
  });
});

function outputOf({ loraA, loraB, scaling }: Adapter, input: ArrayLike<number>): number[] {
  const hidden = loraB.map((_, k) => loraA.reduce((sum, row, i) => sum + input[i]! * row[k]!, 0));
  return Array.from(loraB[0]!, (_, j) => {
    const delta = loraB.reduce((sum, row, k) => sum + hidden[k]! * row[j]!, 0);
    return (loraA.length === loraB[0]!.length ? input[j]! : 0) + scaling * delta;
  });
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const squaredDistance = (a: readonly number[], b: readonly number[]): number =>
  mean(a.map((value, j) => (value - (b[j] ?? 0)) ** 2));

/** The mean over rows of each row's value for every parameter. */
function meanOf(rows: number[][][]): number[][] {
  return rows[0]!.map((row, i) => row.map((_, k) => mean(rows.map(each => each[i]![k]!))));
}

/** Squared gradients of a function of the weights, by finite differences. */
function squaredGradients(adapter: Plain, value: (adapter: Adapter) => number): { a: number[][]; b: number[][] } {
  const squares = (rows: number[][]): number[][] => rows.map(row => row.map(gradient => gradient ** 2));
  return {
    a: squares(finiteDifferences(loraA => value({ ...adapter, loraA }), adapter.loraA)),
    b: squares(finiteDifferences(loraB => value({ ...adapter, loraB }), adapter.loraB)),
  };
}

describe.each(WAYS)('through: %s', (_, through, ways) => {
  const names = Object.keys(ways);
  const learned = (options: EWCOptions, tasks: readonly { adapters: Adapters; examples: Example[] }[]): EWCManager => {
    const ewc = new EWCManager(options);
    for (const { adapters, examples } of tasks) ewc.computeFisher(adapters, examples, { through });
    return ewc;
  };

  it('the function penalty is λ times the mean squared change of the old outputs, per adapter', () => {
    fc.assert(
      fc.property(history, ({ tasks, moved }) => {
        const ewc = learned({ penalty: 'function', lambda: 3 }, tasks);
        let total = 0;
        for (const name of names) {
          const changes = tasks.map(({ adapters, examples }) => {
            const rows = examples.flatMap(ways[name]!).map(([input]) => input);
            return mean(
              rows.map(row => squaredDistance(outputOf(moved.get(name)!, row), outputOf(adapters.get(name)!, row))),
            );
          });
          const expected = 3 * changes.reduce((sum, change) => sum + change, 0);
          expectClose(ewc.computePenalty(new Map([[name, moved.get(name)!]])), expected, 2e-5, 1e-2);
          total += expected;
        }
        expectClose(ewc.computePenalty(moved), total, 2e-5, 1e-2);
      }),
      { numRuns: 40 },
    );
  });

  it('the exact Fisher is the expectation over the inputs of the adapter', () => {
    fc.assert(
      fc.property(history, ({ tasks: [task] }) => {
        const { adapters, examples } = task!;
        const { fisherInfo } = learned({ fisher: 'exact' }, [task!]);
        expect([...fisherInfo.keys()].sort()).toEqual([...names].sort());
        for (const name of names) {
          // (2/d) Σ_j (∂y_j/∂θ)², because the residual has the variance d/2.
          const adapter = adapters.get(name)!;
          const perRow = examples.flatMap(ways[name]!).map(([input]) => {
            const outputs = outputOf(adapter, input).map((_, j) =>
              squaredGradients(adapter, each => outputOf(each, input)[j]!),
            );
            const sum = (part: 'a' | 'b'): number[][] =>
              meanOf(outputs.map(each => each[part])).map(row => row.map(value => 2 * value));
            return { a: sum('a'), b: sum('b') };
          });
          expectCloseToLargest(fisherInfo.get(name)!.fisherA, meanOf(perRow.map(({ a }) => a)), 1e-4);
          expectCloseToLargest(fisherInfo.get(name)!.fisherB, meanOf(perRow.map(({ b }) => b)), 1e-4);
        }
      }),
      { numRuns: 20 },
    );
  });

  it("the empirical Fisher's target is the other side of the pair", () => {
    fc.assert(
      fc.property(history, ({ tasks: [task] }) => {
        const { adapters, examples } = task!;
        const { fisherInfo } = learned({}, [task!]);
        for (const name of names) {
          const adapter = adapters.get(name)!;
          const perRow = examples
            .flatMap(ways[name]!)
            .map(([input, target]) =>
              squaredGradients(adapter, each => squaredDistance(outputOf(each, input), target)),
            );
          expectCloseToLargest(
            [...fisherInfo.get(name)!.fisherA, [1]],
            [...meanOf(perRow.map(({ a }) => a)), [1]],
            1e-4,
          );
          expectCloseToLargest(
            [...fisherInfo.get(name)!.fisherB, [1]],
            [...meanOf(perRow.map(({ b }) => b)), [1]],
            1e-4,
          );
        }
      }),
      { numRuns: 20 },
    );
  });

  it('an overridden _computeGradients gets the inputs and targets of the adapter', () => {
    class Plainly extends EWCManager {
      override _computeGradients(example: EmbeddedExample, adapter: Adapter): AdapterGradients {
        return super._computeGradients(example, adapter);
      }
    }
    fc.assert(
      fc.property(history, ({ tasks: [task] }) => {
        const plainly = new Plainly();
        plainly.computeFisher(task!.adapters, task!.examples, { through });
        const expected = learned({}, [task!]);
        for (const name of names)
          expectCloseToLargest(
            [...plainly.fisherInfo.get(name)!.fisherA, [1]],
            [...expected.fisherInfo.get(name)!.fisherA, [1]],
          );
      }),
      { numRuns: 10 },
    );
  });

  it.each<EWCOptions>([
    { penalty: 'function' },
    { fisher: 'exact', mode: 'sum' },
    { fisher: 'empirical', mode: 'online' },
  ])('gradient, merge and JSON follow their laws: %o', options => {
    fc.assert(
      fc.property(history, ({ tasks, moved }) => {
        const ewc = learned({ ...options, lambda: 1.5 }, tasks);
        const gradients = ewc.penaltyGradient(moved);
        expect([...gradients.keys()].sort()).toEqual([...names].sort());
        for (const [name, { gradA, gradB }] of gradients) {
          const adapter = moved.get(name)!;
          const penaltyOf = (change: Partial<Plain>): number =>
            ewc.computePenalty(new Map<string, Plain>([...moved, [name, { ...adapter, ...change }]]));
          expectGradient(loraA => penaltyOf({ loraA }), adapter.loraA, gradA);
          expectGradient(loraB => penaltyOf({ loraB }), adapter.loraB, gradB);
        }
        const restored = new EWCManager();
        restored.import(JSON.parse(JSON.stringify(ewc.export())));
        expectClose(restored.computePenalty(moved), ewc.computePenalty(moved), 1e-6, 1e-3);

        const [first, { adapters, examples }] = [tasks[0]!, tasks[1]!];
        const shard = (from: number, to: number): EWCManager =>
          learned({ ...options, lambda: 1.5 }, [first, { adapters, examples: examples.slice(from, to) }]);
        const merged = shard(0, 1);
        merged.merge(shard(1, 4));
        expectClose(merged.computePenalty(moved), ewc.computePenalty(moved), 2e-5, 1e-3);
      }),
      { numRuns: 6 },
    );
  });
});

describe('adapters without a side', () => {
  const random = mulberry32(8);
  const row = (): number[] => [random() - 0.5, random() - 0.5];
  const data = Array.from({ length: 5 }, () => ({ inputEmb: row(), outputEmb: row() }));
  const adapters = new Map(['query', 'answer'].map((name, i) => [name, new LoRAAdapter({ dim: 2, rank: 1, seed: i })]));

  it.each(['diagonal', 'function'] as const)('keep what was remembered about them before: %s', penalty => {
    const ewc = new EWCManager({ penalty, lambda: 1 });
    let covered = 0;
    ewc.on('fisher:complete', event => {
      covered = event.adapters;
    });
    ewc.computeFisher(adapters, data, { through: twoTowers });
    expect(covered).toBe(2);
    const { answer } = ewc.export().optimalParams;
    for (const { loraB } of adapters.values()) loraB[0]!.fill(0.5);
    ewc.computeFisher(adapters, data, { through: { anchors: 'query' } });
    expect(covered).toBe(1);
    expect(ewc.export().optimalParams['answer']).toEqual(answer);
    expect(ewc.export().optimalParams['query']!.loraB).toEqual([[0.5, 0.5]]);
  });

  it('sides may have different widths', () => {
    const wide = data.map(({ inputEmb, outputEmb }) => ({ inputEmb: [...inputEmb, 1], outputEmb }));
    const query = new LoRAAdapter({ dim: 3, outDim: 2, rank: 1, seed: 1 });
    const ewc = new EWCManager({ penalty: 'function' });
    ewc.computeFisher(new Map([...adapters, ['query', query]]), wide, { through: twoTowers });
    expect([ewc.functionInfo.get('query')!.moment.length, ewc.functionInfo.get('answer')!.moment.length]).toEqual([
      3, 2,
    ]);
  });

  it('a sample consists of pairs: both sides come from the same pairs', () => {
    const large = Array.from({ length: 300 }, (_, i) => ({ inputEmb: [i, 0], outputEmb: [0, i] }));
    const ewc = new EWCManager({ fisher: 'exact', sampleSize: 10, seed: 1 });
    const both = new Map([['both', { loraA: [[1], [1]], loraB: [[1, 1]], scaling: 1 }]]);
    ewc.computeFisher(both, large, { through: { anchors: 'both', positives: 'both' } });
    const [[a] = [], [b] = []] = ewc.fisherInfo.get('both')!.fisherA as number[][];
    expect(a).toBeGreaterThan(0);
    expectClose(a!, b!, 1e-12);
  });
});

describe('adapterGradients', () => {
  const random = mulberry32(12);
  const row = (): Float32Array => Float32Array.from({ length: 5 }, () => random() - 0.5);
  const data = Array.from({ length: 6 }, () => ({ inputEmb: row(), outputEmb: row() }));
  const negatives = [row(), row(), row()];
  const towers = (): { query: LoRAAdapter; answer: LoRAAdapter; adapters: Map<string, LoRAAdapter> } => {
    const [query, answer] = [1, 2].map(seed => {
      const adapter = new LoRAAdapter({ dim: 5, rank: 2, seed });
      for (const each of adapter.loraB) each.set(row());
      return adapter;
    }) as [LoRAAdapter, LoRAAdapter];
    return {
      query,
      answer,
      adapters: new Map([
        ['query', query],
        ['answer', answer],
      ]),
    };
  };
  const lossOf = (query: Adapter, answer: Adapter, { inputEmb, outputEmb }: EmbeddedExample): number =>
    LossComputer.contrastive(
      [outputOf(query, inputEmb)],
      [outputOf(answer, outputEmb)],
      negatives.map(negative => outputOf(answer, negative)),
      { temperature: 0.5 },
    ).loss;

  it('give the Fisher of a two-tower InfoNCE by one call per example', () => {
    const { query, answer, adapters } = towers();
    const seen: EmbeddedExample[] = [];
    const ewc = new EWCManager();
    ewc.computeFisher(adapters, data, {
      adapterGradients: (example, given) => {
        expect(given).toBe(adapters);
        seen.push(example);
        const answers = answer.forward([example.outputEmb, ...negatives]);
        const { gradients, targetGradients, negativeGradients } = LossComputer.contrastive(
          query.forward([example.inputEmb]),
          answers.slice(0, 1),
          answers.slice(1),
          { temperature: 0.5, gradients: true },
        );
        return new Map([
          ['query', query.backward(gradients)],
          ['answer', answer.backward([...targetGradients, ...negativeGradients!])],
        ]);
      },
    });
    expect(seen).toEqual(data);
    expect(ewc.config.lambda).toBe(
      [query, answer].reduce((sum, each) => sum + each.rank * (each.dim + each.outDim), 0) / 128,
    );
    const plain = (adapter: LoRAAdapter): Plain => adapter.toJSON();
    for (const [name, adapter, loss] of [
      ['query', plain(query), (each: Adapter, example: EmbeddedExample) => lossOf(each, answer, example)],
      ['answer', plain(answer), (each: Adapter, example: EmbeddedExample) => lossOf(query, each, example)],
    ] as const) {
      const perExample = data.map(example => squaredGradients(adapter, each => loss(each, example)));
      expectCloseToLargest(ewc.fisherInfo.get(name)!.fisherA, meanOf(perExample.map(({ a }) => a)), 5e-3);
      expectCloseToLargest(ewc.fisherInfo.get(name)!.fisherB, meanOf(perExample.map(({ b }) => b)), 5e-3);
    }
  });

  it('equal `gradients`, adapter by adapter', () => {
    const { adapters } = towers();
    const of = (example: EmbeddedExample, adapter: LoRAAdapter): AdapterGradients => {
      const outputs = adapter.forward([example.inputEmb]);
      return adapter.backward(LossComputer.mse(outputs, [example.outputEmb], { gradients: true }).gradients);
    };
    const [one, all] = [new EWCManager({ sampleSize: 4, seed: 1 }), new EWCManager({ sampleSize: 4, seed: 1 })];
    one.computeFisher(adapters, data, { gradients: (example, _, name) => of(example, adapters.get(name)!) });
    all.computeFisher(adapters, data, {
      adapterGradients: example =>
        new Map(Array.from(adapters, ([name, adapter]) => [name, of(example, adapter)] as const)),
    });
    const { sides, ...byAll } = all.export();
    expect(byAll).toEqual({ ...one.export(), sides: undefined });
    expect(sides).toEqual({ query: [], answer: [] });
  });

  it('are 0 for an example whose loss does not depend on an adapter; without any gradients, nothing is remembered', () => {
    const adapters = new Map(['a', 'b', 'c'].map(name => [name, { loraA: [[1]], loraB: [[1]], scaling: 1 }]));
    const ewc = new EWCManager();
    let covered = 0;
    ewc.on('fisher:complete', event => {
      covered = event.adapters;
    });
    ewc.computeFisher(adapters, data.slice(0, 2), {
      adapterGradients: example => {
        const gradient = { gradA: [[2]], gradB: [[4]] };
        return new Map(
          example === data[0]
            ? [
                ['a', gradient],
                ['b', gradient],
              ]
            : [['a', gradient]],
        );
      },
    });
    const values = (name: string): number[] => [
      ewc.fisherInfo.get(name)!.fisherA[0]![0]!,
      ewc.fisherInfo.get(name)!.fisherB[0]![0]!,
    ];
    expect([values('a'), values('b')]).toEqual([
      [4, 16],
      [2, 8],
    ]);
    expect([ewc.fisherInfo.has('c'), covered]).toEqual([false, 2]);
  });
});

describe('computeFisher refuses', () => {
  const adapters = new Map(['query', 'answer'].map(name => [name, { loraA: [[1], [2]], loraB: [[3, 4]], scaling: 1 }]));
  const data = [{ inputEmb: [1, 2], outputEmb: [3, 4] }];
  const gradients = (): AdapterGradients => ({ gradA: [[1], [1]], gradB: [[1, 1]] });
  const adapterGradients = (): Map<string, AdapterGradients> => new Map([['query', gradients()]]);
  const untyped = (value: unknown): never => value as never;

  it.each<[string, new () => Error, object, (object | undefined)?, EmbeddedExample[]?]>([
    ['through must be an object, got "query"', TypeError, { through: 'query' }],
    ['through.anchors must be the name of an adapter, got 1', TypeError, { through: { anchors: 1 } }],
    ["through has \"answer\", expected 'anchors' | 'positives'", RangeError, { through: { answer: 'query' } }],
    ['through names no adapter', RangeError, { through: {} }],
    ['through names no adapter', RangeError, { through: { anchors: undefined } }],
    ['through.anchors is "q", which is no adapter', RangeError, { through: { anchors: 'q' } }],
    ['through.positives is "a", which is no adapter', RangeError, { through: { anchors: 'query', positives: 'a' } }],
    ['gradients and through exclude each other', RangeError, { gradients, through: twoTowers }],
    ['adapterGradients and through exclude each other', RangeError, { adapterGradients, through: twoTowers }],
    ['gradients and adapterGradients exclude each other', RangeError, { gradients, adapterGradients }],
    ['adapterGradients must be a function, got a Map', TypeError, { adapterGradients: adapterGradients() }],
    [
      "adapterGradients are not read with penalty 'function'",
      RangeError,
      { adapterGradients },
      { penalty: 'function' },
    ],
    ["adapterGradients are not read with fisher 'exact'", RangeError, { adapterGradients }, { fisher: 'exact' }],
    [
      'adapterGradients of data[0] must be a Map by adapter name, got an object',
      TypeError,
      { adapterGradients: () => ({ query: gradients() }) },
    ],
    [
      'adapterGradients of data[0] has "q", which is no adapter',
      RangeError,
      { adapterGradients: () => new Map([['q', gradients()]]) },
    ],
    [
      'adapterGradients of data[0].get("query").gradA has 1 row, the adapter has 2',
      RangeError,
      { adapterGradients: () => new Map([['query', { ...gradients(), gradA: [[1]] }]]) },
    ],
    [
      'adapterGradients of data[0] for "query": gradB[0][1] must be finite, got NaN',
      RangeError,
      { adapterGradients: () => new Map([['query', { ...gradients(), gradB: [[1, Number.NaN]] }]]) },
    ],
    ["adapterGradients gave no adapter's gradients", RangeError, { adapterGradients: () => new Map() }],
    [
      'data[0].outputEmb has 1 entry, adapters.get("answer").loraA has 2 rows',
      RangeError,
      { through: twoTowers },
      { penalty: 'function' },
      [{ inputEmb: [1, 2], outputEmb: [3] }],
    ],
    [
      'data[0].outputEmb must be a Float32Array, Float64Array or number[], got undefined',
      TypeError,
      { through: twoTowers },
      { fisher: 'exact' },
      [untyped({ inputEmb: [1, 2] })],
    ],
    [
      'data[0].outputEmb[1] must be finite, got NaN',
      RangeError,
      { through: twoTowers },
      { penalty: 'function' },
      [{ inputEmb: [1, 2], outputEmb: [3, Number.NaN] }],
    ],
    [
      'data[0].outputEmb[0] must be finite, got Infinity',
      RangeError,
      { through: twoTowers },
      { fisher: 'exact' },
      [{ inputEmb: [1, 2], outputEmb: [Infinity, 1] }],
    ],
  ])('%s', (message, type, options, config = {}, examples = data) => {
    const ewc = new EWCManager(config);
    const before = ewc.export();
    const call = (): void => ewc.computeFisher(adapters, examples, options);
    expect(call).toThrow(type);
    expect(call).toThrow(`computeFisher: ${message}`);
    expect(ewc.export()).toEqual(before);
  });
});

describe('merge', () => {
  const adapters = new Map<string, Plain>(
    ['query', 'answer'].map((name, i) => [name, { loraA: [[i], [1]], loraB: [[2, 1]], scaling: 1 }]),
  );
  const data: Example[] = [{ inputEmb: [1, 2], outputEmb: [3, 4] }];
  const seen = (through: Through | undefined, options: EWCOptions = {}, earlier = false): EWCManager => {
    const ewc = new EWCManager(options);
    if (earlier) ewc.computeFisher(adapters, data, { through: twoTowers });
    ewc.computeFisher(adapters, data, { ...(through && { through }) });
    return ewc;
  };
  const turnedRound: Through = { anchors: 'answer', positives: 'query' };
  const both: Through = { anchors: 'query', positives: 'query' };

  it.each<[message: string, mine: () => EWCManager, theirs: () => EWCManager]>([
    ['"query" of the other manager was given outputEmb, here inputEmb', () => seen(twoTowers), () => seen(turnedRound)],
    ['"answer" of the other manager was given inputEmb, here outputEmb', () => seen(twoTowers), () => seen(undefined)],
    [
      '"query" of the other manager was given inputEmb and outputEmb, here inputEmb',
      () => seen({ anchors: 'query' }, { penalty: 'function' }),
      () => seen(both, { penalty: 'function' }),
    ],
    [
      '"answer" of the other manager was given outputEmb, here nothing',
      () => seen({ anchors: 'query' }, { mode: 'sum' }, true),
      () => seen(twoTowers, { mode: 'sum' }, true),
    ],
  ])('refuses shards that saw other sides: %s', (message, make, makeOther) => {
    for (const through of [(ewc: EWCManager) => ewc, throughJson]) {
      const [ewc, other] = [make(), through(makeOther())];
      const before = ewc.export();
      expect(() => ewc.merge(other)).toThrow(`merge: ${message}`);
      expect(ewc.export()).toEqual(before);
    }
  });

  it('accepts shards whose state does not say what they saw', () => {
    const { sides: _, ...old } = seen(turnedRound).export();
    const other = new EWCManager();
    other.import(old);
    const ewc = seen(twoTowers);
    ewc.merge(other);
    expect(ewc.export().examples).toBe(2);
  });

  function throughJson(ewc: EWCManager): EWCManager {
    const copy = new EWCManager();
    copy.import(JSON.parse(JSON.stringify(ewc.export())));
    return copy;
  }
});

describe('nothing is half changed or kept in error', () => {
  const make = (): Adapters =>
    new Map(['a', 'b'].map((name, i) => [name, { loraA: [[i], [1]], loraB: [[2, 1]], scaling: 1 }]));
  const data: Example[] = [{ inputEmb: [1, 2], outputEmb: [3, 4] }];
  const moved = (): Adapters => {
    const adapters = make();
    for (const { loraA } of adapters.values()) loraA[1]![0] = 3;
    return adapters;
  };
  const grads = (): Map<string, { gradA: number[][]; gradB: number[][] }> =>
    new Map(['a', 'b'].map(name => [name, { gradA: [[1], [1]], gradB: [[1, 1]] }]));
  const learned = (penalty: 'diagonal' | 'function'): EWCManager => {
    const ewc = new EWCManager({ penalty });
    ewc.computeFisher(make(), data);
    return ewc;
  };

  it.each<[string, (gradients: ReturnType<typeof grads>) => void]>([
    ['grads.get("b").gradB[0] is frozen', gradients => Object.freeze(gradients.get('b')!.gradB[0])],
    [
      'grads.get("b").gradA[1] must be a Float32Array, Float64Array or number[], got an Int8Array',
      gradients => {
        (gradients.get('b')!.gradA as unknown[])[1] = new Int8Array(1);
      },
    ],
    [
      'grads.get("a").gradA and grads.get("b").gradA are one matrix, which would be changed twice',
      gradients => {
        gradients.get('b')!.gradA = gradients.get('a')!.gradA;
      },
    ],
  ])('addPenaltyGradient changes nothing: %s', (message, change) => {
    for (const penalty of ['diagonal', 'function'] as const) {
      const gradients = grads();
      change(gradients);
      const before = structuredClone(gradients);
      expect(() => learned(penalty).addPenaltyGradient(moved(), gradients)).toThrow(`addPenaltyGradient: ${message}`);
      expect(gradients).toEqual(before);
    }
  });

  it.each<[string, (adapters: Adapters) => void]>([
    ['adapters.get("b").loraB[0] is frozen', adapters => Object.freeze(adapters.get('b')!.loraB[0])],
    [
      'adapters.get("b").loraA[0] must be a Float32Array, Float64Array or number[], got an Int16Array',
      adapters => {
        (adapters.get('b')!.loraA as unknown[])[0] = new Int16Array(1);
      },
    ],
    [
      'adapters.get("a") and adapters.get("b") are one adapter, which would be changed twice',
      adapters => adapters.set('b', adapters.get('a')!),
    ],
  ])('applyGradient changes nothing: %s', (message, change) => {
    for (const penalty of ['diagonal', 'function'] as const) {
      const adapters = moved();
      change(adapters);
      const before = structuredClone(adapters);
      expect(() => learned(penalty).applyGradient(adapters, 0.1)).toThrow(`applyGradient: ${message}`);
      expect(adapters).toEqual(before);
    }
  });

  const spoil = (adapters: ReadonlyMap<string, Adapter>): void => {
    (adapters.get('b')!.loraA[1] as number[])[0] = Number.NaN;
  };
  const gradients = (adapters: ReadonlyMap<string, Adapter>) => (): AdapterGradients => {
    spoil(adapters);
    return { gradA: [[1], [1]], gradB: [[1, 1]] };
  };

  it.each<[string, (ewc: EWCManager, adapters: Adapters) => void]>([
    [
      'adapterGradients',
      (ewc, adapters) => {
        const adapterGradients = (): Map<string, AdapterGradients> => {
          spoil(adapters);
          return grads();
        };
        ewc.computeFisher(adapters, data, { adapterGradients });
      },
    ],
    ['gradients', (ewc, adapters) => ewc.computeFisher(adapters, data, { gradients: gradients(adapters) })],
    [
      '_computeGradients',
      (ewc, adapters) => {
        ewc._computeGradients = gradients(adapters);
        ewc.computeFisher(adapters, data);
      },
    ],
    [
      'a listener',
      (ewc, adapters) => {
        ewc.config.penalty = 'function';
        ewc.on('fisher:start', () => spoil(adapters));
        ewc.computeFisher(adapters, data);
      },
    ],
  ])('computeFisher remembers nothing where %s made weights NaN', (_, compute) => {
    const ewc = new EWCManager();
    expect(() => compute(ewc, make())).toThrow('computeFisher: adapters.get("b").loraA[1][0] must be finite, got NaN');
    expect([ewc.optimalParams.size, ewc.fisherInfo.size, ewc.functionInfo.size]).toEqual([0, 0, 0]);
    expect(ewc.stats.tasksLearned).toBe(0);
  });
});
