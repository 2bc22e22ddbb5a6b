import { describe, expect, it } from 'vitest';
import { AdamW, type AdamWOptions, type Adapter, SGD, type SGDOptions } from '../../../src/index.js';

/** 3 × 2 × 2. */
const make = (): Adapter => ({
  loraA: [
    [1, 2],
    [3, 4],
    [5, 6],
  ],
  loraB: [
    [7, 8],
    [9, 10],
  ],
  scaling: 1,
});
const zeros = { gradA: make().loraA.map(() => [0, 0]), gradB: make().loraB.map(() => [0, 0]) };
/** Gradients with one entry that is not 0, so that it is the norm. */
const ofNorm = (norm: number): Map<string, typeof zeros> => {
  const gradients = structuredClone(zeros);
  gradients.gradB[1]![0] = norm;
  return new Map([['a', gradients]]);
};

describe.each([AdamW, SGD])('%o', Optimizer => {
  const message = (call: () => unknown): unknown => {
    try {
      call();
    } catch (error) {
      return (error as Error).message;
    }
    return undefined;
  };
  const stepOf = (adapter: Adapter, change: (adapter: Adapter) => void): (() => void) => {
    const adapters = new Map([['a', adapter]]);
    const optimizer = new Optimizer(adapters, { lr: 0.5 });
    change(adapters.get('a')!);
    return () => optimizer.step(ofNorm(1));
  };

  it.each([-1, Number.NaN, '1' as never])('refuses the weight decay %o', weightDecay => {
    expect(() => new Optimizer(new Map([['a', make()]]), { weightDecay })).toThrow(
      `${Optimizer.name}: weightDecay must be a finite number of at least 0`,
    );
  });

  it('names gradients that are no Map', () => {
    const optimizer = new Optimizer(new Map([['a', make()]]));
    expect(() => optimizer.step(zeros as never)).toThrow(
      `${Optimizer.name}.step: grads must be a Map by adapter name, got an object`,
    );
  });

  it('does not change gradients whose norm is at most maxGradNorm', () => {
    for (const maxGradNorm of [3, 4, 1e9]) {
      const [limited, plain] = [make(), make()];
      new Optimizer(new Map([['a', limited]]), { maxGradNorm }).step(ofNorm(3));
      new Optimizer(new Map([['a', plain]])).step(ofNorm(3));
      expect(limited).toEqual(plain);
    }
  });

  it('takes gradients of any norm with maxGradNorm', () => {
    const [huge, unit] = [make(), make()];
    new Optimizer(new Map([['a', huge]]), { maxGradNorm: 1 }).step(ofNorm(1e60));
    new Optimizer(new Map([['a', unit]])).step(ofNorm(1));
    expect(huge).toEqual(unit);
  });

  it('refuses an adapter whose second matrix was replaced', () => {
    const step = stepOf(make(), adapter => {
      (adapter as { loraB: unknown }).loraB = structuredClone(adapter.loraB);
    });
    expect(step).toThrow(`${Optimizer.name}.step: adapter "a" was added or replaced after the optimizer was made`);
  });

  it('refuses an adapter where every row was frozen', () => {
    const step = stepOf(make(), ({ loraA, loraB }) => [...loraA, ...loraB].forEach(Object.freeze));
    expect(message(step)).toContain(`${Optimizer.name}.step: adapters.get("a").loraA[0] is frozen`);
  });

  it('refuses an adapter where every row has another length', () => {
    const step = stepOf(make(), ({ loraA, loraB }) => {
      for (const row of [...loraA, ...loraB]) (row as number[]).push(0);
    });
    expect(message(step)).toContain(
      `${Optimizer.name}.step: adapters.get("a").loraA[0] has 3 entries, loraB has 2 rows`,
    );
  });

  it('names a matrix that is null in a state', () => {
    const optimizer = new Optimizer(new Map([['a', make()]]));
    const state = optimizer.stateDict();
    for (const matrix of ['loraA', 'loraB'] as const) {
      const adapters = { a: { ...state.adapters['a'], [matrix]: null } };
      expect(() => optimizer.loadStateDict({ ...state, adapters } as never)).toThrow(
        `${Optimizer.name}.loadStateDict: state.adapters["a"].${matrix} must be an object, got null`,
      );
    }
  });
});

describe('gradients that float32 cannot hold', () => {
  const stepOf =
    (optimizer: AdamW | SGD, norm: number): (() => void) =>
    () =>
      optimizer.step(ofNorm(norm));
  const adamW = (options: AdamWOptions): AdamW => new AdamW(new Map([['a', make()]]), options);
  const sgd = (options: SGDOptions): SGD => new SGD(new Map([['a', make()]]), options);

  it('AdamW takes the norm 1e19, whose square is the second moment, and refuses a greater one', () => {
    const optimizer = adamW({ lr: 0.01 });
    expect(stepOf(optimizer, 1e19)).not.toThrow();
    expect(optimizer.stateDict().adapters['a']!.loraB.second[1]![0]! * 1000).toBeCloseTo(1e38, -32);
    expect(stepOf(optimizer, 2e19)).toThrow('AdamW.step: grads have norm 20000000000000000000,');
  });

  it.each([
    [0.01, 1e38],
    [1, 1e38],
    [100, 1e36],
  ])('SGD with the rate %d takes the norm %d, and refuses twice as much', (lr, norm) => {
    expect(stepOf(sgd({ lr }), norm)).not.toThrow();
    expect(stepOf(sgd({ lr }), 2 * norm)).toThrow(`SGD.step: grads have norm ${2 * norm}`);
  });
});

it.each([0, 1])('AdamW names betas[%i] outside of its range', at => {
  for (const value of [-0.1, 1, Number.NaN]) {
    const betas: [number, number] = [0.5, 0.5];
    betas[at] = value;
    expect(() => new AdamW(new Map([['a', make()]]), { betas })).toThrow(
      `AdamW: betas[${at}] must be a finite number of at least 0 and below 1, got ${value}`,
    );
  }
});
