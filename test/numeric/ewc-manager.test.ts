import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EWCOptions, EWCState } from '../../src/index.js';
import {
  type Adapter,
  type AdapterGradients,
  type EmbeddedExample,
  EWCManager,
  LoRAAdapter,
  LossComputer,
} from '../../src/index.js';
import { arbitraryRows, expectGradient } from '../laws/gradients.js';
import { expectClose, expectCloseToLargest } from '../support/close.js';
import { float32, readGolden, withMathRandom } from '../support/golden.js';

interface PlainAdapter {
  loraA: number[][];
  loraB: number[][];
  scaling: number;
}

interface OriginalCase {
  config: EWCOptions;
  seed: number;
  adapters: Record<string, PlainAdapter>;
  moved: Record<string, PlainAdapter>;
  tasks: { inputEmb: number[]; outputEmb: number[] }[][];
  before: number;
  events: [string, object][];
  exported1: EWCState;
  penaltyAtOptimum: number;
  penaltyMoved: number;
  exported2: EWCState;
  penaltyBack: number;
  afterApplyGradient: Record<string, PlainAdapter>;
  stats: object;
  singleGradients: AdapterGradients;
}

describe('the original’s answers', () => {
  const { cases } = readGolden<{ cases: OriginalCase[] }>('ewc-manager');

  it.each(cases)('config $config', async golden => {
    const adapters = mapOf(golden.adapters);
    const moved = mapOf(golden.moved);
    const tasks = golden.tasks.map(task =>
      task.map(({ inputEmb, outputEmb }) => ({
        inputEmb: Float32Array.from(inputEmb),
        outputEmb: Float32Array.from(outputEmb),
      })),
    );
    await withMathRandom(golden.seed, () => {
      const ewc = new EWCManager(golden.config);
      const events: [string, object][] = [];
      ewc.on('fisher:start', event => events.push(['fisher:start', event]));
      ewc.on('fisher:complete', event => events.push(['fisher:complete', event]));
      expect(ewc.computePenalty(adapters)).toBe(golden.before);
      ewc.computeFisher(adapters, tasks[0]!);
      expectState(ewc.export(), golden.exported1);
      const imported = new EWCManager();
      imported.import(JSON.parse(JSON.stringify(golden.exported1)));
      expectClose(imported.computePenalty(moved), golden.penaltyMoved);
      expect(ewc.computePenalty(adapters)).toBe(golden.penaltyAtOptimum);
      expectClose(ewc.computePenalty(moved), golden.penaltyMoved);
      ewc.computeFisher(moved, tasks[1]!);
      expectState(ewc.export(), golden.exported2);
      expectClose(ewc.computePenalty(adapters), golden.penaltyBack);
      ewc.applyGradient(adapters, 0.001);
      for (const [name, { loraA, loraB }] of adapters) {
        expectClose(loraA, golden.afterApplyGradient[name]!.loraA);
        expectClose(loraB, golden.afterApplyGradient[name]!.loraB);
      }
      expect(ewc.stats).toEqual(golden.stats);
      expect(events).toEqual(golden.events);
      const single = ewc._computeGradients(tasks[0]![0]!, mapOf(golden.adapters).get('query')!);
      expectClose(single.gradA, golden.singleGradients.gradA);
      expectClose(single.gradB, golden.singleGradients.gradB);
    });
  });
});

describe('the Fisher', () => {
  const problem = fc
    .record({
      n: fc.integer({ min: 1, max: 5 }),
      dim: fc.integer({ min: 1, max: 9 }),
      outDim: fc.integer({ min: 1, max: 9 }),
      isSquare: fc.boolean(),
      rank: fc.integer({ min: 1, max: 4 }),
    })
    .chain(({ n, dim, outDim, isSquare, rank }) =>
      fc.record({
        loraA: arbitraryRows(dim, rank),
        loraB: arbitraryRows(rank, isSquare ? dim : outDim),
        inputs: arbitraryRows(n, dim + 1),
        outputs: arbitraryRows(n, isSquare ? dim : outDim),
      }),
    );
  const examplesOf = ({ inputs, outputs }: { inputs: number[][]; outputs: number[][] }): EmbeddedExample[] =>
    inputs.map((inputEmb, i) => ({ inputEmb, outputEmb: outputs[i]! }));

  it('is the mean of the squared gradients of single examples', () => {
    fc.assert(
      fc.property(problem, each => {
        const adapter = { loraA: each.loraA, loraB: each.loraB, scaling: 0.7 };
        const adapters = new Map([['a', adapter]]);
        const examples = examplesOf(each);
        const fast = new EWCManager();
        fast.computeFisher(adapters, examples);
        const byHand = new EWCManager();
        byHand.computeFisher(adapters, examples, { gradients: (example, of) => byHand._computeGradients(example, of) });
        expectCloseToLargest(fast.fisherInfo.get('a')!.fisherA, byHand.fisherInfo.get('a')!.fisherA, 1e-5);
        expectCloseToLargest(fast.fisherInfo.get('a')!.fisherB, byHand.fisherInfo.get('a')!.fisherB, 1e-5);
      }),
      { numRuns: 50 },
    );
  });

  it('uses gradients that equal finite differences', () => {
    fc.assert(
      fc.property(problem, ({ loraA, loraB, inputs, outputs }) => {
        const example = { inputEmb: inputs[0]!.slice(0, loraA.length), outputEmb: outputs[0]! };
        const loss = (a: number[][], b: number[][]): number => {
          const adapted = new LoRAAdapter({
            dim: a.length,
            outDim: b[0]!.length,
            rank: b.length,
            alpha: 0.7 * b.length,
            seed: 0,
          });
          return plainMse({ loraA: a, loraB: b, scaling: adapted.scaling }, example);
        };
        const { gradA, gradB } = new EWCManager()._computeGradients(example, { loraA, loraB, scaling: 0.7 });
        expectGradient(rows => loss(rows, loraB), loraA, gradA);
        expectGradient(rows => loss(loraA, rows), loraB, gradB);
      }),
      { numRuns: 20 },
    );
  });

  it('is scaled to a maximum of 1 only when normalize is passed', () => {
    const adapters = mapOf({ a: { loraA: [[1], [2]], loraB: [[3, 4]], scaling: 1 } });
    const data = [{ inputEmb: [1, 2], outputEmb: [0, 0] }];
    const plain = new EWCManager();
    plain.computeFisher(adapters, data);
    const normalized = new EWCManager({ normalize: true });
    normalized.computeFisher(adapters, data);
    const largest = Math.max(...flatFisher(plain));
    expect(largest).toBeGreaterThan(1);
    expectClose(
      flatFisher(normalized),
      flatFisher(plain).map(value => value / largest),
    );
    const zero = new EWCManager({ normalize: true });
    zero.computeFisher(mapOf({ a: { loraA: [[0], [0]], loraB: [[0, 0]], scaling: 1 } }), data);
    expect(flatFisher(zero)).toEqual([0, 0, 0, 0]);
  });

  it('takes the caller’s own gradients, and passes adapter and name to the callback', () => {
    const adapter = new LoRAAdapter({ dim: 2, rank: 1, seed: 1 });
    const seen: unknown[] = [];
    const ewc = new EWCManager();
    ewc.computeFisher(new Map([['query', adapter]]), [{ inputEmb: [1, 0], outputEmb: [0, 1], k: 3 }], {
      gradients: ({ k }, of, name) => {
        seen.push(of, name);
        return { gradA: [[k], [0]], gradB: [Float32Array.of(1, 2)] };
      },
    });
    expect(seen).toEqual([adapter, 'query']);
    expect(flatFisher(ewc, 'query')).toEqual([9, 0, 1, 4]);
  });

  it('uses an overridden _computeGradients and _sampleData', () => {
    class Mine extends EWCManager {
      override _computeGradients(): AdapterGradients {
        return { gradA: [[2]], gradB: [[3]] };
      }
      override _sampleData<E>(data: readonly E[]): E[] {
        return data.slice(0, 1);
      }
    }
    const ewc = new Mine({ sampleSize: 1 });
    ewc.computeFisher(mapOf({ a: { loraA: [[1]], loraB: [[1]], scaling: 1 } }), [
      { inputEmb: [1], outputEmb: [1] },
      { inputEmb: [5], outputEmb: [5] },
    ]);
    expect(flatFisher(ewc)).toEqual([4, 9]);
  });

  it('draws sampleSize examples with replacement, and draws nothing for fewer examples', async () => {
    const adapters = mapOf({ a: { loraA: [[1]], loraB: [[1]], scaling: 1 } });
    const data = Array.from({ length: 10 }, (_, i) => ({ inputEmb: [i], outputEmb: [1] }));
    await withMathRandom(1, draws => {
      new EWCManager({ sampleSize: 10 }).computeFisher(adapters, data);
      new EWCManager({ sampleSize: Infinity }).computeFisher(adapters, data);
      expect(draws()).toBe(0);
      new EWCManager({ sampleSize: 4 }).computeFisher(adapters, data);
      expect(draws()).toBe(4);
      const seeded = (): EWCManager => {
        const ewc = new EWCManager({ sampleSize: 4, seed: 3, mode: 'sum' });
        for (let task = 0; task < 2; task++) ewc.computeFisher(adapters, data);
        return ewc;
      };
      expect(seeded().export()).toEqual(seeded().export());
      expect(draws()).toBe(4);
      const drawn = new EWCManager({ seed: 3 })._sampleData(data, 50);
      expect(new Set(drawn).size).toBeGreaterThan(5);
    });
  });
});

describe('the penalty', () => {
  const state = fc
    .record({ dim: fc.integer({ min: 1, max: 6 }), rank: fc.integer({ min: 1, max: 3 }) })
    .chain(({ dim, rank }) =>
      fc.record({
        optimum: fc.record({ loraA: arbitraryRows(dim, rank), loraB: arbitraryRows(rank, dim) }),
        moved: fc.record({ loraA: arbitraryRows(dim, rank), loraB: arbitraryRows(rank, dim) }),
        data: fc.tuple(arbitraryRows(2, dim), arbitraryRows(2, dim)),
        online: fc.boolean(),
      }),
    );
  const withTask = ({
    optimum,
    data: [inputs, outputs],
    online,
  }: {
    optimum: { loraA: number[][]; loraB: number[][] };
    data: [number[][], number[][]];
    online: boolean;
  }): EWCManager => {
    const ewc = new EWCManager({ lambda: 3, online });
    const examples = inputs.map((inputEmb, i) => ({ inputEmb, outputEmb: outputs[i]! }));
    for (let task = 0; task < 2; task++) ewc.computeFisher(new Map([['a', { ...optimum, scaling: 1 }]]), examples);
    return ewc;
  };

  it('has the gradient of finite differences, in both modes', () => {
    fc.assert(
      fc.property(state, each => {
        const ewc = withTask(each);
        const penaltyOf = (loraA: number[][], loraB: number[][]): number =>
          ewc.computePenalty(new Map([['a', { loraA, loraB, scaling: 1 }]]));
        const { loraA, loraB } = each.moved;
        const { gradA, gradB } = ewc.penaltyGradient(new Map([['a', { loraA, loraB, scaling: 1 }]])).get('a')!;
        expectGradient(rows => penaltyOf(rows, loraB), loraA, gradA);
        expectGradient(rows => penaltyOf(loraA, rows), loraB, gradB);
      }),
      { numRuns: 30 },
    );
  });

  it('is added in place to the gradients of the given adapters', () => {
    fc.assert(
      fc.property(state, each => {
        const ewc = withTask(each);
        const adapters = new Map([
          ['a', { ...each.moved, scaling: 1 }],
          ['new', { ...each.moved, scaling: 1 }],
        ]);
        const { gradA, gradB } = ewc.penaltyGradient(adapters).get('a')!;
        const grads = { gradA: float32(each.moved.loraA), gradB: each.moved.loraB.map(row => [...row]) };
        ewc.addPenaltyGradient(adapters, new Map([['a', grads]]));
        expectClose(
          grads.gradA,
          each.moved.loraA.map((row, i) => row.map((value, j) => value + gradA[i]![j]!)),
          1e-5,
          1,
        );
        expectClose(
          grads.gradB,
          each.moved.loraB.map((row, i) => row.map((value, j) => value + gradB[i]![j]!)),
          1e-5,
          1,
        );
        ewc.addPenaltyGradient(adapters, new Map());
      }),
      { numRuns: 20 },
    );
  });

  it('is exactly 0 right after computeFisher, for rows of every type', () => {
    const data = [{ inputEmb: [0.1, 0.2], outputEmb: [0.3, 0.4] }];
    const numbers = { loraA: [[0.1], [1 / 3]], loraB: [[0.7, 1e-9]], scaling: 2 };
    for (const adapter of [
      numbers,
      LoRAAdapter.from(numbers),
      { ...numbers, loraA: [Float64Array.of(0.1), Float32Array.of(1 / 3)] },
    ]) {
      const ewc = new EWCManager();
      ewc.computeFisher(new Map([['query', adapter]]), data);
      expect(ewc.computePenalty(new Map([['query', adapter]]))).toBe(0);
      expect(ewc.fisherInfo.get('query')!.fisherA[1]![0]).toBeGreaterThan(0);
    }
  });

  it('pulls towards the optimum and never beyond it, at any rate', () => {
    for (const lambda of [0, 1, 1e6, 1e300]) {
      const adapters = mapOf({ a: { loraA: [[1], [2]], loraB: [[3, 4]], scaling: 1 } });
      const ewc = new EWCManager({ lambda });
      ewc.computeFisher(adapters, [{ inputEmb: [1, 2], outputEmb: [0, 0] }]);
      const moved = mapOf({ a: { loraA: [[5], [-6]], loraB: [[7, 8]], scaling: 1 } });
      let before = Infinity;
      for (let step = 0; step < 5; step++) {
        ewc.applyGradient(moved, 0.1);
        const distance = Math.hypot(...flatAdapter(moved).map((value, i) => value - flatAdapter(adapters)[i]!));
        expect(distance).toBeLessThanOrEqual(before);
        before = distance;
      }
      if (lambda >= 1e6) expect(flatAdapter(moved)).toEqual(flatAdapter(adapters));
    }
  });

  it('skips adapters that were not remembered, and needs no scaling', () => {
    const ewc = new EWCManager();
    const adapters = mapOf({ a: { loraA: [[1]], loraB: [[1]], scaling: 1 } });
    ewc.computeFisher(adapters, [{ inputEmb: [1], outputEmb: [5] }]);
    expect(ewc.computePenalty(mapOf({ b: { loraA: [[9]], loraB: [[9]], scaling: 1 } }))).toBe(0);
    const { scaling: _, ...rest } = adapters.get('a')!;
    expect(ewc.computePenalty(new Map([['a', rest as Adapter]]))).toBe(0);
    ewc.reset();
    expect(ewc.computePenalty(adapters)).toBe(0);
    expect(ewc.stats.tasksLearned).toBe(0);
  });
});

describe('export and import', () => {
  const trained = (): { ewc: EWCManager; moved: Map<string, Adapter> } => {
    const ewc = new EWCManager({ lambda: 7, sampleSize: Infinity });
    const plain = { loraA: [[0.1], [0.2]], loraB: [[0.3, 0.4]], scaling: 2 };
    ewc.computeFisher(mapOf({ query: plain }), [{ inputEmb: [1, 2], outputEmb: [3, 4] }]);
    return { ewc, moved: mapOf({ query: { ...plain, loraA: [[1], [1]] } }) };
  };

  it('round-trips through JSON', () => {
    const { ewc, moved } = trained();
    const restored = new EWCManager();
    restored.import(JSON.parse(JSON.stringify(ewc.export())));
    expect(restored.computePenalty(moved)).toBe(ewc.computePenalty(moved));
    expect(restored.export()).toEqual(ewc.export());
    expect(restored.config.sampleSize).toBe(Infinity);
  });

  it('exports a deep copy', () => {
    const { ewc, moved } = trained();
    const before = ewc.computePenalty(moved);
    const state = ewc.export();
    state.fisherInfo['query']!.fisherA[0]![0] = 99;
    state.config.lambda = 0;
    state.stats.tasksLearned = 99;
    expect(ewc.computePenalty(moved)).toBe(before);
    expect(ewc.stats.tasksLearned).toBe(1);
  });

  it('accepts an empty state, and keeps the configuration that the state does not have', () => {
    const { ewc } = trained();
    ewc.import({});
    expect(ewc.fisherInfo.size).toBe(0);
    expect(ewc.config.lambda).toBe(7);
    ewc.import({ config: { online: true, normalize: false, stranger: 1 } });
    expect(ewc.config).toEqual({ lambda: 7, sampleSize: Infinity, normalize: false, online: true });
  });

  it('never touches a prototype', () => {
    const { ewc } = trained();
    const state = JSON.stringify(ewc.export())
      .replaceAll('"query"', '"__proto__"')
      .replace('"config":{', '"config":{"__proto__":{"polluted":1},');
    const restored = new EWCManager();
    restored.import(JSON.parse(state));
    expect([...restored.fisherInfo.keys()]).toEqual(['__proto__']);
    expect(Object.keys(restored.export().fisherInfo)).toEqual(['__proto__']);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    expect((restored.config as { polluted?: unknown }).polluted).toBeUndefined();
  });
});

function mapOf(adapters: Record<string, PlainAdapter>): Map<string, Adapter> {
  return new Map(Object.entries(structuredClone(adapters)));
}

function flatFisher(ewc: EWCManager, name = 'a'): number[] {
  const { fisherA, fisherB } = ewc.fisherInfo.get(name)!;
  return [...fisherA, ...fisherB].flatMap(row => Array.from(row));
}

function flatAdapter(adapters: Map<string, Adapter>): number[] {
  return [...adapters.values()].flatMap(({ loraA, loraB }) => [...loraA, ...loraB].flatMap(row => Array.from(row)));
}

function expectState(actual: EWCState, expected: EWCState): void {
  expect(Object.keys(actual)).toEqual([
    ...Object.keys(expected),
    'version',
    'examples',
    'isDefaultLambda',
    'isNormalized',
    'constants',
    'sides',
    'provenance',
    'functionInfo',
  ]);
  expect(actual.config).toEqual(expected.config);
  expect(actual.stats).toEqual(expected.stats);
  for (const [name, { fisherA, fisherB }] of Object.entries(expected.fisherInfo)) {
    expectClose(actual.fisherInfo[name]!.fisherA, fisherA);
    expectClose(actual.fisherInfo[name]!.fisherB, fisherB);
    expect(actual.optimalParams[name]).toEqual(expected.optimalParams[name]);
  }
}

/** The MSE of one example, as a script would write it. */
function plainMse({ loraA, loraB, scaling }: PlainAdapter, { inputEmb, outputEmb }: EmbeddedExample): number {
  const outDim = loraB[0]!.length;
  const output = Array.from({ length: outDim }, (_, j) => {
    const delta = loraB.reduce(
      (sum, row, k) => sum + loraA.reduce((h, a, i) => h + inputEmb[i]! * a[k]!, 0) * row[j]!,
      0,
    );
    return (loraA.length === outDim ? inputEmb[j]! : 0) + scaling * delta;
  });
  return LossComputer.mse([output], [outputEmb]).loss;
}
