import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type ChainOptions,
  type ChainStats,
  type ChainStep,
  GradientCheckpointer,
  LoRAAdapter,
} from '../../../src/index.js';
import { expectGradient } from '../../laws/gradients.js';
import { leastPersistentCost, leastTotalCost } from '../../laws/schedules.js';
import { readGolden } from '../../support/golden.js';

const STRATEGIES: ChainOptions[] = [
  { strategy: 'store-all' },
  { strategy: 'segments', checkpointSegments: 1 },
  { strategy: 'segments', checkpointSegments: 3 },
  { strategy: 'segments', checkpointSegments: 1000 },
  { strategy: 'binomial', slots: 1 },
  { strategy: 'binomial', slots: 3 },
  { strategy: 'binomial', slots: 1000 },
];

/** Steps that add 1, and check that each step gets its own state. */
function countingSteps(n: number): ChainStep<number, number>[] {
  return Array.from({ length: n }, (_, i) => ({
    forward: (x: number): number => {
      if (x !== i) throw new Error(`step ${i} runs forward from state ${x}`);
      return x + 1;
    },
    backward: (x: number, gradY: number) => {
      if (x !== i || gradY !== n - 1 - i) throw new Error(`step ${i} runs backward from state ${x}, gradient ${gradY}`);
      return { gradInputs: gradY + 1, gradParams: i };
    },
  }));
}

function statsOf(n: number, options: ChainOptions): ChainStats {
  const { output, backward } = new GradientCheckpointer(options).chain(countingSteps(n), 0);
  expect(output).toBe(n);
  const { gradInputs, gradParams, stats } = backward(0);
  expect(gradInputs).toBe(n);
  expect(gradParams).toEqual(Array.from({ length: n }, (_, i) => i));
  return stats;
}

describe('binomial', () => {
  const cases = Object.entries(readGolden<{ R: Record<string, number> }>('revolve').R).map(([key, extra]) => {
    const [n, slots] = key.split(',').map(Number);
    return { n: n!, slots: slots!, extra };
  });

  it('takes n + R(n, s) forwards and at most s + 1 states in every case', () => {
    expect(cases.length).toBe(300);
    for (const { n, slots, extra } of cases) {
      const { forwardCalls, recomputations, peakLiveStates, peakBytes } = statsOf(n, { strategy: 'binomial', slots });
      expect([n, slots, forwardCalls, recomputations]).toEqual([n, slots, n + extra, extra]);
      expect(peakLiveStates).toBe(Math.min(n, slots + 1));
      expect(peakBytes).toBe(8 * peakLiveStates);
    }
  });
});

describe('segments', () => {
  it('differ in size by at most one, and each is recomputed once', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 70 }), (n, segments) => {
        const count = Math.min(n, segments);
        const sizes = Array.from(
          { length: count },
          (_, k) => Math.floor(((k + 1) * n) / count) - Math.floor((k * n) / count),
        );
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
        const again = sizes.slice(0, -1).reduce((sum, size) => sum + size - 1, 0);
        const stats = statsOf(n, { strategy: 'segments', checkpointSegments: segments });
        expect(stats.recomputations).toBe(again);
        expect(stats.forwardCalls).toBe(n + again);
        expect(stats.peakLiveStates).toBe(Math.max(...sizes.map((size, k) => k + size)));
      }),
    );
  });

  it('of ten steps in four are 2, 3, 2 and 3 long', () => {
    expect(statsOf(10, {})).toEqual({ forwardCalls: 14, recomputations: 4, peakLiveStates: 6, peakBytes: 48 });
  });
});

describe('store-all', () => {
  it('recomputes nothing, also where checkpoints are disabled', () => {
    for (const options of [
      { strategy: 'store-all' } as const,
      { enabled: false, strategy: 'binomial', slots: 2 } as const,
    ]) {
      expect(statsOf(7, options)).toEqual({ forwardCalls: 7, recomputations: 0, peakLiveStates: 7, peakBytes: 56 });
    }
  });
});

describe('budget', () => {
  const sized = (
    costs: number[],
    sizes: number[],
  ): { steps: ChainStep<Uint8Array>[]; input: Uint8Array; cost(): number } => {
    let total = 0;
    const steps = costs.map((cost, i) => ({
      cost,
      bytes: sizes[i + 1] ?? 1,
      forward: (x: Uint8Array): Uint8Array => {
        expect([x[0], x.length]).toEqual([i, sizes[i]]);
        total += cost;
        return new Uint8Array(sizes[i + 1] ?? 1).fill(i + 1);
      },
      backward: (x: Uint8Array, gradY: Uint8Array): Uint8Array => {
        expect([x[0], x.length]).toEqual([i, sizes[i]]);
        return gradY;
      },
    }));
    return { steps, input: new Uint8Array(sizes[0]!), cost: () => total };
  };
  const problem = (most: number): fc.Arbitrary<{ costs: number[]; sizes: number[]; spare: number }> =>
    fc.integer({ min: 1, max: most }).chain(n =>
      fc.record({
        costs: fc.array(fc.integer({ min: 0, max: 9 }), { minLength: n, maxLength: n }),
        sizes: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: n, maxLength: n }),
        spare: fc.integer({ min: 0, max: 20 }),
      }),
    );
  const least = (sizes: number[]): number => sizes[0]! + Math.max(0, ...sizes.slice(1));

  it('costs as much as the cheapest of all schedules within the budget', () => {
    fc.assert(
      fc.property(problem(8), ({ costs, sizes, spare }) => {
        const memoryBudget = least(sizes) + spare;
        const { steps, input, cost } = sized(costs, sizes);
        const { stats } = new GradientCheckpointer({ strategy: 'budget', memoryBudget })
          .chain(steps, input)
          .backward(input);
        expect(cost()).toBe(leastTotalCost(costs, sizes, memoryBudget));
        expect(stats.peakBytes).toBeLessThanOrEqual(memoryBudget);
      }),
      { numRuns: 300 },
    );
  });

  it('needs at least the input and the largest other state, and says so', () => {
    fc.assert(
      fc.property(problem(6), ({ costs, sizes }) => {
        const { steps, input } = sized(costs, sizes);
        const checkpointer = new GradientCheckpointer({ strategy: 'budget' });
        expect(leastTotalCost(costs, sizes, least(sizes))).toBeLessThan(Infinity);
        expect(leastTotalCost(costs, sizes, least(sizes) - 1)).toBe(Infinity);
        expect(() => checkpointer.chain(steps, input, { memoryBudget: least(sizes) - 1 })).toThrow(
          `GradientCheckpointer.chain: memoryBudget must be at least ${least(sizes)} bytes for these steps, got ${least(sizes) - 1}`,
        );
        checkpointer.chain(steps, input, { memoryBudget: least(sizes) }).backward(input);
      }),
    );
  });

  it('finds the binomial schedules where all steps are equal except the last, which is never repeated', () => {
    for (const [n, slots] of [
      [10, 3],
      [16, 2],
      [20, 4],
      [32, 5],
      [64, 3],
      [100, 5],
    ] as const) {
      const steps = countingSteps(n);
      steps.at(-1)!.cost = 2;
      const checkpointer = new GradientCheckpointer({ strategy: 'budget', memoryBudget: 8 * (slots + 1) });
      expect(checkpointer.chain(steps, 0).backward(0).stats).toEqual(statsOf(n, { strategy: 'binomial', slots }));
    }
  });

  it('drops a state before its own step runs backward, where that is cheaper', () => {
    const [costs, sizes] = [
      [4, 5, 8, 3, 2],
      [7, 3, 17, 14, 19],
    ];
    const { steps, input, cost } = sized(costs, sizes);
    new GradientCheckpointer({ strategy: 'budget', memoryBudget: 39 }).chain(steps, input).backward(input);
    expect([cost(), leastTotalCost(costs, sizes, 39), leastPersistentCost(costs, sizes, 39)]).toEqual([39, 39, 40]);
  });

  it('of more than 24 steps costs as much as the cheapest schedule that keeps a state until its step runs backward', () => {
    const size = fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 10, max: 20 }));
    const long = fc.record({
      costs: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 30, maxLength: 30 }),
      sizes: fc.array(size, { minLength: 25, maxLength: 30 }),
      spare: fc.integer({ min: 0, max: 30 }),
    });
    fc.assert(
      fc.property(long, ({ costs: all, sizes, spare }) => {
        const costs = all.slice(0, sizes.length);
        const memoryBudget = least(sizes) + spare;
        const { steps, input, cost } = sized(costs, sizes);
        const { stats } = new GradientCheckpointer({ strategy: 'budget', memoryBudget })
          .chain(steps, input)
          .backward(input);
        expect(cost()).toBe(leastPersistentCost(costs, sizes, memoryBudget));
        expect(stats.peakBytes).toBeLessThanOrEqual(memoryBudget);
      }),
      { numRuns: 20 },
    );
  });

  it('of equal steps is binomial', () => {
    for (const [n, live] of [
      [10, 4],
      [100, 6],
      [1, 1],
      [2, 2],
    ] as const) {
      const budget = statsOf(n, { strategy: 'budget', memoryBudget: 8 * live + 7 });
      expect(budget).toEqual(statsOf(n, { strategy: 'binomial', slots: Math.max(1, live - 1) }));
    }
    expect(statsOf(50, { strategy: 'budget', memoryBudget: Infinity }).recomputations).toBe(0);
  });

  it('refuses a state that is larger than the bytes of its step', () => {
    const { steps, input } = sized([1, 1, 1], [1, 1, 9]);
    steps[1]!.bytes = 8;
    expect(() => new GradientCheckpointer({ strategy: 'budget', memoryBudget: 20 }).chain(steps, input)).toThrow(
      'GradientCheckpointer.chain: forward of step 1 returned 9 bytes, memoryBudget was planned for 8',
    );
  });
});

describe('gradients', () => {
  /** Steps on `{ x }` with y = tanh(w ∘ x + 0.1 Σ x). */
  const tanhSteps = (weights: readonly number[][]): ChainStep<{ x: number[] }, number[]>[] =>
    weights.map(w => {
      const outputOf = (x: number[]): number[] => {
        const sum = x.reduce((a, b) => a + b, 0);
        return x.map((value, i) => Math.tanh(w[i]! * value + 0.1 * sum));
      };
      return {
        forward: ({ x }) => ({ x: outputOf(x) }),
        backward: ({ x }, gradY) => {
          const inner = outputOf(x).map((y, i) => (1 - y * y) * gradY.x[i]!);
          const sum = inner.reduce((a, b) => a + b, 0);
          return {
            gradInputs: { x: inner.map((g, i) => g * w[i]! + 0.1 * sum) },
            gradParams: inner.map((g, i) => g * x[i]!),
          };
        },
      };
    });
  const problem = fc.integer({ min: 1, max: 12 }).chain(n =>
    fc.record({
      weights: fc.array(fc.array(fc.double({ min: 0.2, max: 1, noNaN: true }), { minLength: 3, maxLength: 3 }), {
        minLength: n,
        maxLength: n,
      }),
      x: fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 3, maxLength: 3 }),
    }),
  );

  it('are the same to the bit with every strategy', () => {
    fc.assert(
      fc.property(problem, fc.integer({ min: 0, max: 10 }), ({ weights, x }, spare) => {
        const gradientsOf = (options: ChainOptions): object => {
          const { output, backward } = new GradientCheckpointer(options).chain(tanhSteps(weights), { x });
          const { gradInputs, gradParams } = backward({ x: [1, 2, 3] });
          return { output, gradInputs, gradParams };
        };
        const expected = gradientsOf({ strategy: 'store-all' });
        const budget: ChainOptions = { strategy: 'budget', memoryBudget: 48 + 12 * spare };
        for (const options of [...STRATEGIES, budget]) expect(gradientsOf(options)).toStrictEqual(expected);
      }),
      { numRuns: 40 },
    );
  });

  it('equal finite differences', () => {
    fc.assert(
      fc.property(problem, ({ weights, x }) => {
        const weighted = (w: number[][], input: number[]): number => {
          const { output } = new GradientCheckpointer().chain(tanhSteps(w), { x: input });
          return output.x.reduce((sum, value, i) => sum + (i + 1) * value, 0);
        };
        const { backward } = new GradientCheckpointer({ strategy: 'binomial', slots: 2 }).chain(tanhSteps(weights), {
          x,
        });
        const { gradInputs, gradParams } = backward({ x: [1, 2, 3] });
        expectGradient(([moved]) => weighted(weights, moved!), [x], [gradInputs.x]);
        expectGradient(moved => weighted(moved, x), weights, gradParams as number[][]);
      }),
      { numRuns: 20 },
    );
  });

  it('of adapters equal those of plain layers, and no adapter remembers rows', () => {
    const adapters = [0, 1, 2, 3].map(seed => {
      const adapter = new LoRAAdapter({ dim: 6, rank: 2, seed });
      for (const row of adapter.loraB) for (let j = 0; j < 6; j++) row[j] = Math.sin(j + seed);
      return adapter;
    });
    const rows = [Float32Array.of(1, 2, 3, 4, 5, 6), Float32Array.of(-1, 0, 1, 0, 2, 0)];
    const outputs = [rows];
    for (const adapter of adapters) outputs.push(adapter.forward(outputs.at(-1)!));
    const expected = [];
    let gradRows = rows;
    for (const adapter of [...adapters].reverse()) {
      const { gradInputs, ...gradParams } = adapter.backward(gradRows);
      expected.unshift(gradParams);
      gradRows = gradInputs as Float32Array<ArrayBuffer>[];
    }
    const fresh = adapters.map(adapter => LoRAAdapter.from(adapter));
    const { output, backward } = new GradientCheckpointer({ strategy: 'binomial', slots: 1 }).chain(
      fresh.map(adapter => adapter.asStep()),
      rows,
    );
    expect(output).toEqual(outputs.at(-1));
    const { gradInputs, gradParams, stats } = backward(rows);
    expect(gradInputs).toEqual(gradRows);
    expect(gradParams).toEqual(expected);
    expect(stats).toEqual({ forwardCalls: 7, recomputations: 3, peakLiveStates: 2, peakBytes: 96 });
    for (const adapter of fresh) expect(() => adapter.backward(rows)).toThrow('backward: call forward first');
  });
});

describe('states', () => {
  it.each([
    [Float32Array.of(1, 2), 8],
    [new Uint8Array(3), 3],
    [[1, 2, 3], 24],
    [[Float64Array.of(1), [Float32Array.of(1), 5]], 20],
    [{ x: Float32Array.of(1), y: { z: [1] } }, 12],
    [Object.assign(Object.create(null), { x: 1 }), 8],
    [7, 8],
    [[], 0],
  ] as [unknown, number][])('%o has %i bytes', (state, bytes) => {
    const same = { forward: (x: unknown) => x, backward: (_: unknown, gradY: unknown) => gradY };
    const { backward } = new GradientCheckpointer().chain([same], state);
    expect(backward(1).stats.peakBytes).toBe(bytes);
  });
});

describe('determinism', () => {
  /** Steps that double. The step `odd` returns something else from its second call on. */
  const drifting = (odd: number, second: (x: Float32Array) => Float32Array): ChainStep<Float32Array>[] => {
    let calls = 0;
    return Array.from({ length: 6 }, (_, i) => ({
      forward: x => (i === odd && ++calls > 1 ? second(x) : x.map(value => 2 * value)),
      backward: (_x, gradY) => gradY.map(value => 2 * value),
    }));
  };
  const backwardOf = (steps: ChainStep<Float32Array>[], options: ChainOptions): (() => unknown) => {
    const input = Float32Array.of(1, 2);
    const { backward } = new GradientCheckpointer({ strategy: 'binomial', slots: 1, ...options }).chain(steps, input);
    return () => backward(input);
  };
  const wrong = (x: Float32Array): Float32Array => x.map(value => 2.0000005 * value);
  const long = (x: Float32Array): Float32Array => Float32Array.of(...x.map(value => 2 * value), 0);
  const other = (x: Float32Array): Float32Array => Float64Array.from(x, value => 2 * value) as unknown as Float32Array;

  it('names the step whose result has other numbers', () => {
    const message = 'GradientCheckpointer.chain: forward of step 3 returned another value when it was run again';
    for (const second of [wrong, long, other]) {
      expect(backwardOf(drifting(3, second), { determinism: 'value' })).toThrow(message);
    }
    expect(backwardOf(drifting(3, wrong), { determinism: 'shape' })).not.toThrow();
    expect(backwardOf(drifting(3, wrong), {})).not.toThrow();
  });

  it('names the step whose result has another shape', () => {
    const message = 'GradientCheckpointer.chain: forward of step 2 returned another shape when it was run again';
    for (const second of [long, other])
      expect(backwardOf(drifting(2, second), { determinism: 'shape' })).toThrow(message);
  });

  it('accepts steps that return the same, for every kind of state', () => {
    const state = { a: [1, 2], b: [Uint8Array.of(1, 2, 3), new Float32Array(9).subarray(1)], c: -0 };
    const copy = {
      forward: (x: typeof state) => structuredClone(x),
      backward: (_: typeof state, g: typeof state) => g,
    };
    for (const determinism of ['shape', 'value'] as const) {
      for (const options of STRATEGIES) {
        const chain = new GradientCheckpointer({ ...options, determinism }).chain(new Array(9).fill(copy), state);
        expect(chain.backward(state).gradInputs).toBe(state);
      }
    }
  });

  it('finds a changed entry of a held state, an added entry, and another key', () => {
    const changes: ((state: { a: number[]; b: Uint8Array; c?: number }) => void)[] = [
      ({ a }) => {
        a[1] = 3;
      },
      ({ b }) => {
        b[2] = 0;
      },
      ({ a }) => {
        a.push(0);
      },
      state => {
        state.c = 1;
      },
    ];
    for (const change of changes) {
      const state = { a: [1, 2], b: Uint8Array.of(1, 2, 3) };
      const copy = {
        forward: (x: typeof state) => structuredClone(x),
        backward: (_: typeof state, g: typeof state) => g,
      };
      const { backward } = new GradientCheckpointer({ determinism: 'value' }).chain([copy, copy, copy], state);
      change(state);
      expect(() => backward(state)).toThrow(
        'GradientCheckpointer.chain: the input of step 0 was changed after the first pass',
      );
    }
  });

  it('names the step that writes to its input', () => {
    const careless: ChainStep<number[]> = {
      forward: x => x.map((value, i) => (x[i] = value + 1)),
      backward: (_, gradY) => gradY,
    };
    const { backward } = new GradientCheckpointer({ determinism: 'value' }).chain([careless, careless], [1]);
    expect(() => backward([1])).toThrow(
      'GradientCheckpointer.chain: the input of step 1 was changed after the first pass',
    );
  });
});

describe('misuse', () => {
  const double: ChainStep<number[]> = {
    forward: x => x.map(value => 2 * value),
    backward: (_, gradY) => gradY.map(value => 2 * value),
  };
  const AGAIN = 'Chain.backward: this chain has run backward before, which released its states';

  it('a second backward', () => {
    const { backward } = new GradientCheckpointer().chain([double, double], [1]);
    expect(backward([1]).gradInputs).toEqual([4]);
    expect(() => backward([1])).toThrow(AGAIN);
  });

  it.each(['none', 'shape', 'value'] as const)('an input that was written to between the passes: %s', determinism => {
    for (const strategy of ['store-all', 'segments'] as const) {
      const input = [1, 2];
      const { backward } = new GradientCheckpointer({ determinism, strategy }).chain([double, double, double], input);
      input[1] = 5;
      expect(() => backward([1, 1])).toThrow(
        'GradientCheckpointer.chain: the input of step 0 was changed after the first pass',
      );
    }
  });

  it('an invalid gradOutput leaves the chain unchanged', () => {
    const { backward } = new GradientCheckpointer().chain([double], [1]);
    expect(() => backward(undefined as unknown as number[])).toThrow(
      new TypeError(
        'Chain.backward: gradOutput must be a typed array, a number, or an array or plain object of these, got undefined',
      ),
    );
    expect(backward([1]).gradInputs).toEqual([2]);
  });

  it('a step that throws in the first pass', () => {
    const boom = new RangeError('boom');
    const broken: ChainStep<number[]> = {
      ...double,
      forward: () => {
        throw boom;
      },
    };
    const checkpointer = new GradientCheckpointer();
    const call = (): unknown => checkpointer.chain([double, broken], [1]);
    expect(call).toThrow('GradientCheckpointer.chain: forward of step 1 threw: boom');
    expect(call).toThrow(expect.objectContaining({ cause: boom }));
    expect(checkpointer.getStats()).toMatchObject({ storedCheckpoints: 0, storedFunctions: 0 });
  });

  it('a step that throws when it runs again or backward, or returns no gradient: the states are released', async () => {
    setFlagsFromString('--expose-gc');
    const collectGarbage = runInNewContext('gc') as () => void;
    const throwing = (): never => {
      throw 'boom';
    };
    let calls = 0;
    const faults: [string, Partial<ChainStep<number[]>>][] = [
      [
        'GradientCheckpointer.chain: forward of step 2 threw: boom',
        { forward: x => (++calls > 1 ? throwing() : double.forward(x)) },
      ],
      ['GradientCheckpointer.chain: backward of step 2 threw: boom', { backward: throwing }],
      [
        'GradientCheckpointer.chain: backward of step 2 must return the gradient of its input, got undefined',
        { backward: () => undefined as unknown as number[] },
      ],
      [
        'GradientCheckpointer.chain: backward of step 2 must return the gradient of its input, got undefined',
        { backward: () => ({ gradParams: 1 }) as unknown as number[] },
      ],
    ];
    for (const [message, fault] of faults) {
      const states: WeakRef<number[]>[] = [];
      const remembering: ChainStep<number[]> = {
        ...double,
        forward: x => {
          const result = double.forward(x);
          states.push(new WeakRef(result));
          return result;
        },
      };
      const steps = [remembering, remembering, { ...double, ...fault }, remembering, double];
      const { backward } = new GradientCheckpointer({ strategy: 'binomial', slots: 1 }).chain(steps, [1]);
      expect(() => backward([1])).toThrow(message);
      expect(() => backward([1])).toThrow(AGAIN);
      await new Promise(resolve => setTimeout(resolve));
      collectGarbage();
      expect(states.length).toBeGreaterThan(2);
      for (const state of states) expect(state.deref()).toBeUndefined();
    }
  });

  it('steps that are changed after the call have no effect', () => {
    const steps = [double, double];
    const { backward } = new GradientCheckpointer().chain(steps, [1]);
    steps.length = 0;
    expect(backward([1]).gradInputs).toEqual([4]);
  });

  it('options of the call take precedence over those of the constructor', () => {
    const checkpointer = new GradientCheckpointer({ strategy: 'binomial', slots: 1 });
    const run = (options?: ChainOptions): number =>
      checkpointer.chain(countingSteps(4), 0, options).backward(0).stats.forwardCalls;
    expect([run(), run({ slots: 2 }), run({ strategy: 'store-all' })]).toEqual([7, 5, 4]);
  });
});
