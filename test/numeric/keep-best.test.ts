import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  AdamW,
  type Adapter,
  KeepBest,
  type KeepBestOptions,
  type KeepBestState,
  LoRAAdapter,
  LossComputer,
} from '../../src/index.js';
import { mulberry32 } from '../support/golden.js';

type Plain = { loraA: number[][]; loraB: number[][]; scaling: number };

const plainAdapter = (): Plain => ({ loraA: [[1], [2]], loraB: [[3, 4]], scaling: 1 });
const adaptersOf = (): Map<string, Adapter> =>
  new Map<string, Adapter>([
    ['query', new LoRAAdapter({ dim: 3, rank: 2, seed: 1 })],
    ['answer', plainAdapter()],
  ]);
const weightsOf = (adapters: ReadonlyMap<string, Adapter>): number[][] =>
  [...adapters.values()].flatMap(({ loraA, loraB }) => [...loraA, ...loraB].map(row => Array.from(row)));

/** Changes the weights, as an epoch of training would. */
function move(adapters: ReadonlyMap<string, Adapter>, by: number): void {
  for (const { loraA, loraB } of adapters.values())
    for (const row of [...loraA, ...loraB]) for (let k = 0; k < row.length; k++) row[k]! += by + k;
}

/** Metrics of few values, so many are equal. */
const metrics = fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 1, maxLength: 20 });
const options: fc.Arbitrary<KeepBestOptions> = fc.record(
  { mode: fc.constantFrom('max', 'min'), patience: fc.constantFrom(0, 1, 3, Infinity) },
  { requiredKeys: [] },
);

/** Position of the first best metric. */
function firstBest(values: readonly number[], mode: 'max' | 'min' = 'max'): number {
  return values.indexOf(mode === 'max' ? Math.max(...values) : Math.min(...values));
}

describe('KeepBest', () => {
  it('restores the weights of the first best metric in place, and says when to end', () => {
    fc.assert(
      fc.property(options, metrics, (opts, values) => {
        const adapters = adaptersOf();
        const matrices = [...adapters.values()].flatMap(({ loraA, loraB }) => [loraA, loraB, loraA[0], loraB[0]]);
        const keep = new KeepBest(adapters, opts);
        const history: number[][][] = [];
        values.forEach((metric, i) => {
          history.push(weightsOf(adapters));
          const goOn = keep.step(metric);
          const best = firstBest(values.slice(0, i + 1), opts.mode);
          expect([keep.best, keep.bestStep, keep.steps]).toEqual([values[best], best, i + 1]);
          expect(goOn).toBe(i - best <= (opts.patience ?? Infinity));
          move(adapters, 0.125);
        });
        keep.restore();
        expect(weightsOf(adapters)).toEqual(history[firstBest(values, opts.mode)]);
        expect([...adapters.values()].flatMap(({ loraA, loraB }) => [loraA, loraB, loraA[0], loraB[0]])).toEqual(
          matrices,
        );
        for (const [i, { loraA }] of [...adapters.values()].entries()) expect(loraA).toBe(matrices[4 * i]);
      }),
    );
  });

  it('keeps its own copy: neither training nor restoring changes it', () => {
    const adapters = adaptersOf();
    const keep = new KeepBest(adapters);
    const start = weightsOf(adapters);
    keep.step(1);
    for (let round = 0; round < 2; round++) {
      move(adapters, 1);
      expect(weightsOf(adapters)).not.toEqual(start);
      keep.restore();
      expect(weightsOf(adapters)).toEqual(start);
    }
  });

  it('continues from a state that went through JSON as if never interrupted', () => {
    fc.assert(
      fc.property(options, metrics, metrics, (opts, before, after) => {
        const adapters = adaptersOf();
        const keep = new KeepBest(adapters, opts);
        for (const metric of before) {
          keep.step(metric);
          move(adapters, 0.1);
        }
        const resumedAdapters = adaptersOf();
        const resumed = new KeepBest(resumedAdapters, opts);
        resumed.loadStateDict(JSON.parse(JSON.stringify(keep.stateDict())));
        expect(resumed.stateDict()).toEqual(keep.stateDict());
        // The adapters have their own states.
        for (const [name, { loraA, loraB }] of resumedAdapters) {
          const from = adapters.get(name)!;
          loraA.forEach((row, i) => {
            for (let k = 0; k < row.length; k++) row[k] = from.loraA[i]![k]!;
          });
          loraB.forEach((row, i) => {
            for (let k = 0; k < row.length; k++) row[k] = from.loraB[i]![k]!;
          });
        }
        for (const metric of after) {
          expect(resumed.step(metric)).toBe(keep.step(metric));
          for (const each of [adapters, resumedAdapters]) move(each, 0.1);
        }
        keep.restore();
        resumed.restore();
        expect(weightsOf(resumedAdapters)).toEqual(weightsOf(adapters));
      }),
    );
  });

  it('has a state before the first step, and loading it forgets the best weights', () => {
    const fresh = new KeepBest(adaptersOf()).stateDict();
    expect(fresh).toEqual({ mode: 'max', steps: 0, best: null, bestStep: null, adapters: null });
    const keep = new KeepBest(adaptersOf());
    keep.step(1);
    keep.loadStateDict(JSON.parse(JSON.stringify(fresh)));
    expect([keep.best, keep.bestStep, keep.steps]).toEqual([null, null, 0]);
    expect(() => keep.restore()).toThrow('KeepBest.restore: call step first');
  });

  it('restores the start where training only makes validation worse', () => {
    const random = mulberry32(7);
    const rows = (): number[][] => Array.from({ length: 12 }, () => Array.from({ length: 6 }, () => random() - 0.5));
    const [inputs, noise, held] = [rows(), rows(), rows()];
    const adapter = new LoRAAdapter({ dim: 6, rank: 3, seed: 1 });
    const adapters = new Map([['query', adapter]]);
    const optimizer = new AdamW(adapters, { lr: 0.05 });
    // Held-out rows should stay unchanged, which the training data does not show.
    const evaluate = (): number => LossComputer.mse(adapter.forward(held), held).loss;
    const keep = new KeepBest(adapters, { mode: 'min', patience: 3 });
    const start = evaluate();
    keep.step(start);
    let epochs = 0;
    do {
      const { gradients } = LossComputer.mse(adapter.forward(inputs), noise, { gradients: true });
      optimizer.step(new Map([['query', adapter.backward(gradients)]]));
      epochs++;
    } while (keep.step(evaluate()) && epochs < 50);
    expect(epochs).toBe(4);
    expect(evaluate()).toBeGreaterThan(start);
    keep.restore();
    expect(evaluate()).toBe(start);
    // The optimizer continues with its matrices.
    const { gradients } = LossComputer.mse(adapter.forward(inputs), noise, { gradients: true });
    optimizer.step(new Map([['query', adapter.backward(gradients)]]));
    expect(evaluate()).not.toBe(start);
  });
});

describe('KeepBest refuses', () => {
  const untyped = (value: unknown): never => value as never;
  const stepped = (): KeepBest => {
    const keep = new KeepBest(adaptersOf());
    keep.step(1);
    return keep;
  };

  it.each<[string, new () => Error, () => unknown]>([
    [
      'KeepBest: adapters must be a Map by adapter name, got an object',
      TypeError,
      () => new KeepBest(untyped({ query: plainAdapter() })),
    ],
    ['KeepBest: adapters is empty', RangeError, () => new KeepBest(new Map())],
    [
      'KeepBest: adapters.get("a").loraA[0][0] must be finite, got NaN',
      RangeError,
      () => new KeepBest(new Map([['a', { ...plainAdapter(), loraA: [[Number.NaN], [1]] }]])),
    ],
    [
      'KeepBest: adapters.get("a").loraB[0] is frozen',
      TypeError,
      () => new KeepBest(new Map([['a', { ...plainAdapter(), loraB: [untyped(Object.freeze([1, 2]))] }]])),
    ],
    [
      "KeepBest: mode must be 'max' | 'min', got \"best\"",
      RangeError,
      () => new KeepBest(adaptersOf(), { mode: untyped('best') }),
    ],
    [
      'KeepBest: patience must be an integer of at least 0 or Infinity, got -1',
      RangeError,
      () => new KeepBest(adaptersOf(), { patience: -1 }),
    ],
  ])('%s', (message, type, call) => {
    expect(call).toThrow(type);
    expect(call).toThrow(message);
  });

  it.each<[string, new () => Error, unknown]>([
    ['KeepBest.step: metric must be a finite number, got NaN', RangeError, Number.NaN],
    ['KeepBest.step: metric must be a finite number, got Infinity', RangeError, Infinity],
    ['KeepBest.step: metric must be a finite number, got an object', TypeError, { mrr: 1 }],
  ])('%s, and does not change', (message, type, metric) => {
    const keep = stepped();
    const before = keep.stateDict();
    expect(() => keep.step(untyped(metric))).toThrow(type);
    expect(() => keep.step(untyped(metric))).toThrow(message);
    expect(keep.stateDict()).toEqual(before);
  });

  it('weights that are not finite when it would keep them', () => {
    const adapters = new Map([['a', plainAdapter()]]);
    const keep = new KeepBest(adapters);
    keep.step(1);
    const before = keep.stateDict();
    adapters.get('a')!.loraA[1]![0] = Number.NaN;
    expect(() => keep.step(2)).toThrow('KeepBest.step: adapters.get("a").loraA[1][0] must be finite, got NaN');
    expect(keep.stateDict()).toEqual(before);
    keep.restore();
    expect(adapters.get('a')!.loraA[1]![0]).toBe(2);
  });

  it.each<[string, (adapters: Map<string, Adapter>) => void]>([
    ['a replaced', adapters => adapters.set('query', plainAdapter())],
    ['an added', adapters => adapters.set('other', plainAdapter())],
    ['a removed', adapters => adapters.delete('query')],
  ])('%s adapter', (_, change) => {
    const adapters = adaptersOf();
    const keep = new KeepBest(adapters);
    keep.step(1);
    change(adapters);
    const name = adapters.has('other') ? 'other' : 'query';
    const reason = `adapter "${name}" was added, removed or replaced after KeepBest was made`;
    expect(() => keep.step(2)).toThrow(`KeepBest.step: ${reason}`);
    expect(() => keep.restore()).toThrow(`KeepBest.restore: ${reason}`);
    expect(keep.steps).toBe(1);
  });

  it.each<[string, (adapter: { loraA: number[][]; loraB: number[][] }) => unknown, string]>([
    ['a longer row', ({ loraA }) => loraA[0]!.push(7), 'adapters.get("a").loraA[0] has 2 entries'],
    ['another row', ({ loraA }) => loraA.push([3]), 'adapter "a" is 3 × 1 × 2, was 2 × 1 × 2 when KeepBest was made'],
    ['a row less', ({ loraA }) => loraA.pop(), 'adapter "a" is 1 × 1 × 2, was 2 × 1 × 2 when KeepBest was made'],
    ['a frozen row', ({ loraB }) => Object.freeze(loraB[0]), 'adapters.get("a").loraB[0] is frozen'],
  ])('restores nothing into an adapter with %s', (_, change, message) => {
    const adapter = { loraA: [[1], [2]], loraB: [[3, 4]], scaling: 1 };
    const keep = new KeepBest(new Map([['a', adapter]]));
    keep.step(1);
    adapter.loraA[0]![0] = 5;
    change(adapter);
    const before = structuredClone(adapter);
    expect(() => keep.restore()).toThrow(`KeepBest.restore: ${message}`);
    expect(adapter).toEqual(before);
  });

  it('a state of another scaling', () => {
    const keepOf = (scaling: number): KeepBest =>
      new KeepBest(new Map([['a', { loraA: [[1]], loraB: [[1]], scaling }]]));
    const saved = keepOf(2);
    saved.step(1);
    expect(() => keepOf(3).loadStateDict(saved.stateDict())).toThrow(
      'KeepBest.loadStateDict: state.adapters["a"].scaling is 2, the adapter\'s is 3',
    );
  });

  it('names that JSON does not keep', () => {
    const adapters = new Map([[1, { loraA: [[1]], loraB: [[1]], scaling: 1 }]]) as unknown as Map<string, Adapter>;
    expect(() => new KeepBest(adapters)).toThrow('KeepBest: the name of an adapter must be a string, got 1');
  });

  it.each<[string, new () => Error, (state: KeepBestState) => unknown]>([
    ['state must be an object, got null', TypeError, () => null],
    ['state.mode must be \'max\', got "min"', RangeError, state => ({ ...state, mode: 'min' })],
    ['state.steps must be an integer of at least 0, got -1', RangeError, state => ({ ...state, steps: -1 })],
    ['state.best must be null before the first step', RangeError, state => ({ ...state, steps: 0 })],
    ['state.best must be a finite number, got null', TypeError, state => ({ ...state, best: null })],
    ['state.bestStep must be an integer from 0 to 0, got 1', RangeError, state => ({ ...state, bestStep: 1 })],
    ['state.adapters must be an object, got null', TypeError, state => ({ ...state, adapters: null })],
    [
      'state.adapters has "b", which is no adapter',
      RangeError,
      state => ({ ...state, adapters: { ...state.adapters, b: {} } }),
    ],
    [
      'state.adapters["answer"] must be an object, got undefined',
      TypeError,
      ({ adapters, ...state }) => ({
        ...state,
        adapters: { query: adapters!['query'] },
      }),
    ],
    [
      'state.adapters["query"] is of rank 1, the adapter of rank 2',
      RangeError,
      state => ({ ...state, adapters: { ...state.adapters, query: state.adapters!['answer'] } }),
    ],
  ])('KeepBest.loadStateDict: %s', (message, type, damage) => {
    const keep = stepped();
    const before = keep.stateDict();
    const state = untyped(damage(keep.stateDict()));
    expect(() => keep.loadStateDict(state)).toThrow(type);
    expect(() => keep.loadStateDict(state)).toThrow(`KeepBest.loadStateDict: ${message}`);
    expect(keep.stateDict()).toEqual(before);
  });
});
