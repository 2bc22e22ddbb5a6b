import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  AdamW,
  type Adapter,
  type EmbeddedExample,
  EWCManager,
  type EWCOptions,
  kernelBackend,
  LoRAAdapter,
  LossComputer,
  type Rows,
} from '../../../src/index.js';
import { arbitraryRows, expectGradient } from '../../laws/gradients.js';
import { expectClose, expectCloseToLargest } from '../../support/close.js';
import { mulberry32 } from '../../support/golden.js';

type Plain = { loraA: number[][]; loraB: number[][]; scaling: number };

const MODES = ['last', 'average', 'online', 'sum'] as const;
const combinations: EWCOptions[] = MODES.flatMap(mode =>
  (['empirical', 'exact'] as const).flatMap(fisher =>
    (['diagonal', 'function'] as const).map(penalty => ({ mode, fisher, penalty, decay: 0.7, lambda: 1.5 })),
  ),
);

/** Three tasks, each with the adapter after it and its examples, and the adapter that has moved since. */
const history = fc
  .record({
    dim: fc.integer({ min: 1, max: 5 }),
    outDim: fc.integer({ min: 1, max: 5 }),
    rank: fc.integer({ min: 1, max: 3 }),
  })
  .chain(({ dim, outDim, rank }) => {
    const adapter = fc.record({
      loraA: arbitraryRows(dim, rank),
      loraB: arbitraryRows(rank, outDim),
      scaling: fc.constant(0.6),
    });
    const examples = fc
      .tuple(arbitraryRows(4, dim), arbitraryRows(4, outDim))
      .map(([inputs, outputs]) => inputs.map((inputEmb, i) => ({ inputEmb, outputEmb: outputs[i]! })));
    return fc.record({
      tasks: fc.array(fc.record({ adapter, examples }), { minLength: 3, maxLength: 3 }),
      moved: adapter,
    });
  });

const mapOf = (adapter: Adapter): Map<string, Adapter> => new Map([['a', adapter]]);

function trained(options: EWCOptions, tasks: readonly { adapter: Plain; examples: EmbeddedExample[] }[]): EWCManager {
  const ewc = new EWCManager(options);
  for (const { adapter, examples } of tasks) ewc.computeFisher(mapOf(adapter), examples);
  return ewc;
}

function outputOf({ loraA, loraB, scaling }: Adapter, input: ArrayLike<number>): number[] {
  const hidden = loraB.map((_, k) => loraA.reduce((sum, row, i) => sum + input[i]! * row[k]!, 0));
  return Array.from(loraB[0]!, (_, j) => {
    const delta = loraB.reduce((sum, row, k) => sum + hidden[k]! * row[j]!, 0);
    return (loraA.length === loraB[0]!.length ? input[j]! : 0) + scaling * delta;
  });
}

describe.each(combinations)('mode $mode, fisher $fisher, penalty $penalty', options => {
  it('has the gradient of finite differences', () => {
    fc.assert(
      fc.property(history, ({ tasks, moved }) => {
        const ewc = trained(options, tasks);
        const { loraA, loraB, scaling } = moved;
        const penaltyOf = (a: number[][], b: number[][]): number =>
          ewc.computePenalty(mapOf({ loraA: a, loraB: b, scaling }));
        const { gradA, gradB } = ewc.penaltyGradient(mapOf(moved)).get('a')!;
        expectGradient(rows => penaltyOf(rows, loraB), loraA, gradA);
        expectGradient(rows => penaltyOf(loraA, rows), loraB, gradB);
      }),
      { numRuns: 15 },
    );
  });

  it('adds that gradient to others', () => {
    fc.assert(
      fc.property(history, ({ tasks, moved }) => {
        const ewc = trained(options, tasks);
        const grads = {
          gradA: moved.loraA.map(row => [...row]),
          gradB: moved.loraB.map(row => Float32Array.from(row)),
        };
        const { gradA, gradB } = ewc.penaltyGradient(mapOf(moved)).get('a')!;
        ewc.addPenaltyGradient(mapOf(moved), new Map([['a', grads]]));
        for (const [actual, start, added] of [
          [grads.gradA, moved.loraA, gradA],
          [grads.gradB, moved.loraB, gradB],
        ] as const) {
          const sums = start.map((row, i) => Array.from(row, (value, j) => value + added[i]![j]!));
          expectCloseToLargest(actual, sums, 1e-5);
        }
      }),
      { numRuns: 10 },
    );
  });

  it('is the same for merged shards as for the whole, in any grouping', () => {
    fc.assert(
      fc.property(history, ({ tasks, moved }) => {
        const [first, { adapter, examples }] = [tasks.slice(0, 1), tasks[1]!];
        const of = (from: number, to: number): EWCManager =>
          trained(options, [...first, { adapter, examples: examples.slice(from, to) }]);
        const whole = of(0, 4);
        const left = of(0, 1);
        left.merge(of(1, 3));
        left.merge(of(3, 4));
        const right = of(1, 3);
        right.merge(of(3, 4));
        const other = of(0, 1);
        other.merge(right);
        for (const merged of [left, other]) {
          const [penalty, expected] = [merged.computePenalty(mapOf(moved)), whole.computePenalty(mapOf(moved))];
          expect(Math.abs(penalty - expected)).toBeLessThanOrEqual(2e-5 * Math.max(1e-3, expected));
          const [gradient, expectedGradient] = [merged, whole].map(ewc => ewc.penaltyGradient(mapOf(moved)).get('a')!);
          for (const part of ['gradA', 'gradB'] as const)
            expectCloseToLargest([...gradient![part], [1e-3]], [...expectedGradient![part], [1e-3]], 1e-4);
        }
      }),
      { numRuns: 10 },
    );
  });

  it('round-trips through JSON, and continues the same', () => {
    fc.assert(
      fc.property(history, ({ tasks, moved }) => {
        const ewc = trained(options, tasks.slice(0, 2));
        const restored = new EWCManager();
        restored.import(JSON.parse(JSON.stringify(ewc.export())));
        expect(restored.export()).toEqual(ewc.export());
        const { adapter, examples } = tasks[2]!;
        for (const each of [ewc, restored]) each.computeFisher(mapOf(adapter), examples);
        expectClose(restored.computePenalty(mapOf(moved)), ewc.computePenalty(mapOf(moved)), 1e-6, 1e-3);
      }),
      { numRuns: 10 },
    );
  });

  it('does not grow through applyGradient, at any strength', () => {
    const random = mulberry32(3);
    const matrix = (height: number, width: number): number[][] =>
      Array.from({ length: height }, () => Array.from({ length: width }, () => 2 * random() - 1));
    const adapter = (): Plain => ({ loraA: matrix(4, 2), loraB: matrix(2, 4), scaling: 1 });
    const task = (): { adapter: Plain; examples: EmbeddedExample[] } => ({
      adapter: adapter(),
      examples: matrix(5, 4).map(row => ({ inputEmb: row, outputEmb: row })),
    });
    const tasks = [task(), task()];
    for (const lambda of [0, 1e-3, 1, 1e3, 1e9, 1e300]) {
      const ewc = trained({ ...options, lambda }, tasks);
      const measured = trained({ ...options, lambda: 1 }, tasks);
      for (const moving of [mapOf(adapter()), mapOf(LoRAAdapter.from(adapter()))]) {
        let before = measured.computePenalty(moving);
        const start = before;
        for (let step = 0; step < 20; step++) {
          ewc.applyGradient(moving, 0.1);
          const after = measured.computePenalty(moving);
          expect(after).toBeLessThanOrEqual(before * (1 + 1e-5) + 1e-9);
          before = after;
        }
        if (lambda >= 1e3) expect(before).toBeLessThan(0.9 * start);
        if (lambda === 0) expect(before).toBe(start);
      }
    }
  });
});

describe("mode 'sum'", () => {
  it.each(['diagonal', 'function'] as const)('is the sum of the penalties of the single tasks: %s', penalty => {
    fc.assert(
      fc.property(history, ({ tasks, moved }) => {
        const all = trained({ penalty, mode: 'sum', lambda: 2 }, tasks).computePenalty(mapOf(moved));
        const each = tasks.map(task =>
          trained({ penalty, mode: 'last', lambda: 2 }, [task]).computePenalty(mapOf(moved)),
        );
        expectClose(
          all,
          each.reduce((sum, value) => sum + value, 0),
          2e-5,
          1e-2,
        );
      }),
      { numRuns: 30 },
    );
  });

  it('is least where it protects both tasks, and not at the latest task', () => {
    const [first, second] = [1, 3].map(value => ({ loraA: [[value]], loraB: [[1]], scaling: 1 }));
    const data = [{ inputEmb: [1], outputEmb: [0] }];
    const ewc = trained({ mode: 'sum', fisher: 'exact' }, [
      { adapter: first!, examples: data },
      { adapter: second!, examples: data },
    ]);
    // F of loraA is 2 for both tasks, so the minimum is halfway. The other parameter is the same in both.
    expect(Array.from(ewc.optimalParams.get('a')!.loraA[0]!)).toEqual([2]);
    expect(Array.from(ewc.fisherInfo.get('a')!.fisherA[0]!)).toEqual([4]);
  });
});

describe("modes 'average' and 'online'", () => {
  it('weight earlier Fishers by a half, or by decay, and pull towards the latest parameters', () => {
    fc.assert(
      fc.property(history, ({ tasks }) => {
        const single = tasks.map(task => trained({ mode: 'last' }, [task]).fisherInfo.get('a')!.fisherA);
        const expected = (weights: number[]): number[][] =>
          single[0]!.map((row, i) =>
            Array.from(row, (_, j) => weights.reduce((sum, weight, t) => sum + weight * single[t]![i]![j]!, 0)),
          );
        const average = trained({ mode: 'average' }, tasks);
        expectCloseToLargest(average.fisherInfo.get('a')!.fisherA, expected([0.25, 0.25, 0.5]), 1e-5);
        const online = trained({ mode: 'online', decay: 0.5 }, tasks);
        expectCloseToLargest(online.fisherInfo.get('a')!.fisherA, expected([0.25, 0.5, 1]), 1e-5);
        expectCloseToLargest(
          trained({ mode: 'online' }, tasks).fisherInfo.get('a')!.fisherA,
          expected([0.81, 0.9, 1]),
          1e-5,
        );
        for (const ewc of [average, online])
          expect(ewc.optimalParams.get('a')!.loraA.map(row => [...row])).toEqual(tasks[2]!.adapter.loraA);
      }),
      { numRuns: 10 },
    );
  });

  it("'last' and 'average' equal `online` false and true", () => {
    fc.assert(
      fc.property(history, ({ tasks, moved }) => {
        for (const [mode, online] of [
          ['last', false],
          ['average', true],
        ] as const) {
          const [byMode, byFlag] = [trained({ mode }, tasks), trained({ online }, tasks)];
          expect(byMode.computePenalty(mapOf(moved))).toBe(byFlag.computePenalty(mapOf(moved)));
        }
      }),
      { numRuns: 5 },
    );
  });
});

describe('the function penalty', () => {
  const brute = (old: Plain, examples: readonly EmbeddedExample[], now: Adapter): number => {
    const changes = examples.map(({ inputEmb }) => {
      const [before, after] = [outputOf(old, inputEmb), outputOf(now, inputEmb)];
      return before.reduce((sum, value, j) => sum + (after[j]! - value) ** 2, 0) / before.length;
    });
    return changes.reduce((sum, value) => sum + value, 0) / changes.length;
  };

  it('is λ times the mean squared change of the outputs, summed over tasks', () => {
    fc.assert(
      fc.property(history, ({ tasks, moved }) => {
        const expected = tasks.reduce((sum, { adapter, examples }) => sum + brute(adapter, examples, moved), 0);
        const ewc = trained({ penalty: 'function', lambda: 3 }, tasks);
        expectClose(ewc.computePenalty(mapOf(moved)), 3 * expected, 2e-5, 1e-2);
        expect(ewc.config.mode).toBeUndefined();
      }),
      { numRuns: 50 },
    );
  });

  it('does not change where only the weights change and their product does not: A → AR, B → R⁻¹B', () => {
    fc.assert(
      fc.property(
        history,
        fc.constantFrom(0.5, 2, -3),
        fc.constantFrom(-0.5, 0, 1),
        ({ tasks, moved }, stretch, shear) => {
          const ewc = trained({ penalty: 'function', lambda: 1 }, tasks);
          const rank = moved.loraB.length;
          // R stretches the first column and adds a share of it to the last.
          const loraA = moved.loraA.map(row => {
            const changed = row.map((value, k) => (k === 0 ? stretch * value : value));
            if (rank > 1) changed[rank - 1]! += shear * changed[0]!;
            return changed;
          });
          const loraB = moved.loraB.map((row, k) =>
            row.map((value, j) =>
              k === 0 ? (value - (rank > 1 ? stretch * shear * moved.loraB[rank - 1]![j]! : 0)) / stretch : value,
            ),
          );
          expectClose(
            ewc.computePenalty(mapOf({ ...moved, loraA, loraB })),
            ewc.computePenalty(mapOf(moved)),
            1e-4,
            1e-1,
          );
        },
      ),
      { numRuns: 50 },
    );
  });

  it('is never negative, also where the common mean of the inputs is much larger than their changes', () => {
    const random = mulberry32(6);
    const adapter = {
      loraA: Array.from({ length: 32 }, () => [random() - 0.5]),
      loraB: [Array.from({ length: 32 }, () => random() - 0.5)],
      scaling: 1,
    };
    for (const offset of [0, 30, 1000]) {
      const examples = Array.from({ length: 50 }, () => ({
        inputEmb: Array.from({ length: 32 }, () => offset + random() - 0.5),
        outputEmb: [0],
      }));
      const ewc = trained({ penalty: 'function', lambda: 1 }, [{ adapter, examples }]);
      const moved = structuredClone(adapter);
      moved.loraA[0]![0]! += 0.1;
      moved.loraA[1]![0]! -= 0.1;
      const penalty = ewc.computePenalty(mapOf(moved));
      expect(penalty).toBeGreaterThanOrEqual(0);
      if (offset === 0 || kernelBackend() === 'scalar') expectClose(penalty, brute(adapter, examples, moved), 1e-3);
    }
  });

  it('keeps adapters of one width apart, over several tasks', () => {
    fc.assert(
      fc.property(history, ({ tasks, moved }) => {
        const both = new EWCManager({ penalty: 'function', lambda: 1 });
        for (const { adapter, examples } of tasks)
          both.computeFisher(new Map([...mapOf(adapter), ['b', adapter]]), examples);
        const one = trained({ penalty: 'function', lambda: 1 }, tasks).computePenalty(mapOf(moved));
        for (const name of ['a', 'b']) expect(both.computePenalty(new Map([[name, moved]]))).toBe(one);
      }),
      { numRuns: 10 },
    );
  });

  it('is exactly 0 right after computeFisher, and takes the same memory for ten tasks as for two', () => {
    const random = mulberry32(2);
    const adapter = new LoRAAdapter({ dim: 6, rank: 2, seed: 1 });
    const ewc = new EWCManager({ penalty: 'function' });
    const sizes: number[] = [];
    for (let task = 0; task < 10; task++) {
      for (const row of [...adapter.loraA, ...adapter.loraB])
        for (let k = 0; k < row.length; k++) row[k]! += random() - 0.5;
      const data = Array.from({ length: 3000 }, () => ({
        inputEmb: Float32Array.from({ length: 6 }, () => random() - 0.5),
        outputEmb: [0],
      }));
      ewc.computeFisher(mapOf(adapter), data);
      if (task === 0) expect(ewc.computePenalty(mapOf(adapter))).toBe(0);
      const { moment, residual } = ewc.functionInfo.get('a')!;
      sizes.push([...moment, ...(residual ?? [])].reduce((sum, row) => sum + row.length, 0));
    }
    expect(sizes[9]).toBe(sizes[1]);
    // Moments of many inputs, in blocks: the variance of a uniform distribution on the diagonal, ten times.
    ewc.functionInfo.get('a')!.moment.forEach((row, i) => {
      row.forEach((value, j) => {
        expect(Math.abs(value - (i === j ? 10 / 12 : 0))).toBeLessThan(0.05);
      });
    });
  });
});

describe('the exact Fisher', () => {
  it('is the mean squared gradient over targets drawn from the model', () => {
    const random = mulberry32(9);
    const gaussian = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    const [dim, rank] = [4, 2];
    const matrix = (height: number, width: number): number[][] =>
      Array.from({ length: height }, () => Array.from({ length: width }, () => 2 * random() - 1));
    const adapter = { loraA: matrix(dim, rank), loraB: matrix(rank, dim), scaling: 0.8 };
    const inputs = matrix(3, dim);
    const data = inputs.map(inputEmb => ({ inputEmb, outputEmb: outputOf(adapter, inputEmb) }));
    const exact = trained({ fisher: 'exact' }, [{ adapter, examples: data }]).fisherInfo.get('a')!;

    const draws = 20_000;
    const empirical = new EWCManager({ sampleSize: Infinity });
    const drawn = Array.from({ length: draws }, (_, n) => {
      const { inputEmb, outputEmb } = data[n % data.length]!;
      return { inputEmb, outputEmb: outputEmb.map(value => value + Math.sqrt(dim / 2) * gaussian()) };
    });
    empirical.computeFisher(mapOf(adapter), drawn);
    const monteCarlo = empirical.fisherInfo.get('a')!;
    for (const part of ['fisherA', 'fisherB'] as const) {
      exact[part].forEach((row, i) => {
        // A square of a normal number has a standard deviation of √2 of its mean: five of the mean's over all draws.
        // Inputs differ, which widens the spread somewhat.
        row.forEach((value, k) => {
          expect(Math.abs(monteCarlo[part][i]![k]! / value - 1)).toBeLessThan(5 * Math.sqrt(2 / draws) * 2);
        });
      });
    }
  });

  it('needs no targets, and does not vanish at a perfect fit', () => {
    const adapter = { loraA: [[1], [2]], loraB: [[3, 4]], scaling: 1 };
    const data = [{ inputEmb: [1, 1] } as unknown as EmbeddedExample];
    const ewc = new EWCManager({ fisher: 'exact' });
    ewc.computeFisher(mapOf(adapter), data);
    expect(Math.min(...[...ewc.fisherInfo.get('a')!.fisherA].map(row => row[0]!))).toBeGreaterThan(0);
    const fitted = [{ inputEmb: [1, 1], outputEmb: outputOf(adapter, [1, 1]) }];
    const empirical = trained({}, [{ adapter, examples: fitted }]);
    expect(Math.max(...[...empirical.fisherInfo.get('a')!.fisherA].map(row => row[0]!))).toBe(0);
  });
});

describe('the default λ', () => {
  const data = [{ inputEmb: [1, 2], outputEmb: [3, 4] }];
  const adapter = { loraA: [[1], [2]], loraB: [[3, 4]], scaling: 1 };
  const gradients = (): Adapter & { gradA: number[][]; gradB: number[][] } => ({
    ...adapter,
    gradA: [[1], [1]],
    gradB: [[1, 1]],
  });

  /** The number of its parameters, divided by 128. */
  const ofOwnLoss = 4 / 128;

  it('depends on the penalty and its gradients; a given λ stays', () => {
    expect(new EWCManager().config.lambda).toBe(2000);
    for (const [options, expected] of [
      [{}, ofOwnLoss],
      [{ lambda: 7 }, 7],
    ] as const) {
      const ewc = new EWCManager(options);
      ewc.computeFisher(mapOf(adapter), data, { gradients });
      expect(ewc.config.lambda).toBe(expected);
    }
    const reset = new EWCManager();
    reset.computeFisher(mapOf(adapter), data, { gradients });
    reset.reset();
    expect(reset.config.lambda).toBe(2000);
    const unbroken = new EWCManager();
    const resumed = new EWCManager();
    resumed.import(JSON.parse(JSON.stringify(unbroken.export())));
    for (const ewc of [unbroken, resumed]) {
      ewc.computeFisher(mapOf(adapter), data, { gradients });
      expect(ewc.config.lambda).toBe(ofOwnLoss);
    }
    const restored = new EWCManager();
    restored.import(JSON.parse(JSON.stringify(trained({ lambda: 5 }, [{ adapter, examples: data }]).export())));
    restored.computeFisher(mapOf(adapter), data, { gradients });
    expect(restored.config.lambda).toBe(5);
  });

  it('does not replace a λ in the configuration, through tasks, reset, export and import', () => {
    class Strong extends EWCManager {
      constructor(options: EWCOptions = {}) {
        super(options);
        this.config.lambda = 5;
      }
    }
    const patched = (options: EWCOptions): EWCManager => {
      const ewc = new EWCManager(options);
      ewc.config.lambda = 5;
      return ewc;
    };
    const replaced = (options: EWCOptions): EWCManager => {
      const ewc = new EWCManager(options);
      ewc.config = { ...ewc.config, lambda: 5 };
      return ewc;
    };
    const later = (options: EWCOptions): EWCManager => {
      const ewc = new EWCManager(options);
      ewc.computeFisher(mapOf(adapter), data, options.penalty ? {} : { gradients });
      ewc.config.lambda = 5;
      return ewc;
    };
    for (const make of [patched, replaced, later, (options: EWCOptions) => new Strong(options)]) {
      for (const options of [{}, { penalty: 'function' }] as const) {
        const ewc = make(options);
        const restored = new EWCManager();
        restored.import(JSON.parse(JSON.stringify(ewc.export())));
        const merged = make(options);
        if (merged.stats.tasksLearned > 0) merged.merge(ewc);
        for (const each of [ewc, restored, merged]) {
          each.reset();
          expect(each.config.lambda).toBe(5);
          each.computeFisher(mapOf(adapter), data, options.penalty ? {} : { gradients });
          expect(each.config.lambda).toBe(5);
          each.computeFisher(mapOf(adapter), data);
          expect(each.config.lambda).toBe(5);
        }
      }
    }
  });

  it('does not replace a written λ that equals the default, and the configuration looks like any other', () => {
    const ewc = new EWCManager();
    ewc.config.lambda = 2000;
    const plainConfig = { lambda: 2000, sampleSize: 200, normalize: true, online: false };
    for (const config of [ewc.config, { ...ewc.config }, structuredClone(ewc.config)]) {
      expect(config).toEqual(plainConfig);
      expect(JSON.stringify(config)).toBe(JSON.stringify(plainConfig));
      expect(inspect(config)).toBe(inspect(plainConfig));
    }
    const restored = new EWCManager();
    restored.import(ewc.export());
    for (const each of [ewc, restored]) {
      each.computeFisher(mapOf(adapter), data, { gradients });
      expect(each.config.lambda).toBe(2000);
    }
  });

  it('belongs to the current penalty, which the configuration may have changed', () => {
    const ewc = new EWCManager();
    ewc.config.penalty = 'function';
    ewc.computeFisher(mapOf(adapter), data);
    expect(ewc.config.lambda).toBe(5);
    ewc.config.penalty = 'diagonal';
    ewc.computeFisher(mapOf(adapter), data);
    expect(ewc.config.lambda).toBe(2000);
    ewc.config.penalty = 'function';
    ewc.reset();
    expect(ewc.config.lambda).toBe(960);
  });

  it('of the function penalty is 2.5 times the width, so the changes of a row’s entries add up', () => {
    expect(new EWCManager({ penalty: 'function' }).config.lambda).toBe(960);
    const ewc = new EWCManager({ penalty: 'function' });
    const wide = { loraA: [[1], [2]], loraB: [[3, 4, 5, 6]], scaling: 1 };
    ewc.computeFisher(
      new Map([
        ['narrow', adapter],
        ['wide', wide],
      ]),
      data,
    );
    expect(ewc.config.lambda).toBe(10);
    ewc.reset();
    expect(ewc.config.lambda).toBe(960);
  });

  it('of own gradients counts the parameters of all remembered adapters', () => {
    const ewc = new EWCManager();
    const rows = (count: number, width: number): number[][] =>
      Array.from({ length: count }, () => new Array<number>(width).fill(1));
    const adapters = new Map([
      ['query', { loraA: rows(5, 2), loraB: rows(2, 7), scaling: 1 }],
      ['answer', { loraA: rows(3, 1), loraB: rows(1, 4), scaling: 1 }],
    ]);
    ewc.computeFisher(adapters, [{ inputEmb: [1, 2, 3, 4, 5], outputEmb: [1] }], {
      gradients: (_, each) => ({ gradA: each.loraA, gradB: each.loraB }),
    });
    expect(ewc.config.lambda).toBe((5 * 2 + 2 * 7 + 3 + 4) / 128);
  });

  it('is not computed for gradients that the options do not read: these are refused', () => {
    for (const [options, reason] of [
      [{ penalty: 'function' }, "penalty 'function'"],
      [{ fisher: 'exact' }, "fisher 'exact'"],
    ] as const)
      expect(() => new EWCManager(options).computeFisher(mapOf(adapter), data, { gradients })).toThrow(
        `computeFisher: gradients are not read with ${reason}`,
      );
  });
});

describe('training with the penalty', () => {
  it.each(['diagonal', 'function'] as const)('stays finite and near the first task at a huge λ: %s', penalty => {
    const random = mulberry32(4);
    const rows = (): Float32Array[] =>
      Array.from({ length: 16 }, () => Float32Array.from({ length: 8 }, () => random() - 0.5));
    const [inputs, firstTargets, secondTargets] = [rows(), rows(), rows()];
    const adapter = new LoRAAdapter({ dim: 8, rank: 2, seed: 1 });
    const adapters = new Map([['a', adapter]]);
    const ewc = new EWCManager({ penalty, lambda: 1e7, fisher: 'exact' });
    const train = (targets: Float32Array[]): void => {
      const optimizer = new AdamW(adapters, { lr: 1e-2, weightDecay: 0 });
      for (let step = 0; step < 100; step++) {
        const { gradients } = LossComputer.mse(adapter.forward(inputs), targets, { gradients: true });
        const grads = new Map([['a', adapter.backward(gradients)]]);
        ewc.addPenaltyGradient(adapters, grads);
        optimizer.step(grads);
      }
    };
    train(firstTargets);
    const outputs = adapter.forward(inputs);
    ewc.computeFisher(
      adapters,
      inputs.map((inputEmb, i) => ({ inputEmb, outputEmb: firstTargets[i]! })),
    );
    train(secondTargets);
    const moved = LossComputer.mse(adapter.forward(inputs), outputs).loss;
    expect(moved).toBeLessThan(0.02 * LossComputer.mse(secondTargets, outputs).loss);
  });
});

describe('merge', () => {
  it('weights shards by their number of examples, not by the number of draws', () => {
    const adapter = { loraA: [[1], [2]], loraB: [[3, 4]], scaling: 1 };
    const shard = (count: number, value: number): EmbeddedExample[] =>
      Array.from({ length: count }, () => ({ inputEmb: [value, 1], outputEmb: [0, value] }));
    const of = (examples: EmbeddedExample[], sampleSize: number): EWCManager =>
      trained({ sampleSize, fisher: 'exact', seed: 1 }, [{ adapter, examples }]);
    const merged = of(shard(300, 1), 20);
    merged.merge(of(shard(30, 9), 20));
    const whole = of([...shard(300, 1), ...shard(30, 9)], Infinity);
    expectClose(merged.fisherInfo.get('a')!.fisherA, whole.fisherInfo.get('a')!.fisherA, 1e-5);
    expect(merged.export().examples).toBe(330);
  });
});

describe('merge after import', () => {
  const long = 'base_model.model.encoder.layer.0.attention.self.';
  const adapter = { loraA: [[1], [2]], loraB: [[3, 4]], scaling: 1 };
  const data = [{ inputEmb: [1, 2], outputEmb: [3, 4] }];
  const manager = (options: EWCOptions, names = ['a']): EWCManager => {
    const ewc = new EWCManager(options);
    ewc.computeFisher(new Map(names.map(name => [name, adapter])), data);
    return ewc;
  };
  const imported = (state: object): EWCManager => {
    const ewc = new EWCManager();
    ewc.import(JSON.parse(JSON.stringify(state)));
    return ewc;
  };

  it('knows that Fishers were normalised, and names that share their first forty characters', () => {
    const normalized = imported(manager({ normalize: true }).export());
    expect(() => manager({}).merge(normalized)).toThrow('merge: normalised Fishers have lost their scale');
    expect(() => manager({}, [`${long}q`]).merge(manager({}, [`${long}k`]))).toThrow('merge: this manager remembers');
  });

  it('refuses state that does not say how many examples it has seen', () => {
    const { fisherInfo, optimalParams, config, stats } = manager({}).export();
    const original = imported({ fisherInfo, optimalParams, config, stats });
    expect(() => original.merge(manager({}))).toThrow('merge: how many examples were seen is not known');
  });
});

describe('another penalty', () => {
  const adapter = { loraA: [[1], [2]], loraB: [[3, 4]], scaling: 1 };
  const data = [{ inputEmb: [1, 2], outputEmb: [3, 4] }];

  it('in a whole state replaces the manager’s own penalty and its λ', () => {
    const ewc = new EWCManager({ penalty: 'function', mode: 'sum' });
    ewc.import(JSON.parse(JSON.stringify(new EWCManager().export())));
    expect([ewc.config.penalty, ewc.config.mode, ewc.config.lambda]).toEqual([undefined, undefined, 2000]);
  });

  it('forgets what the earlier penalty remembered about an adapter', () => {
    const ewc = trained({ penalty: 'function' }, [{ adapter, examples: data }]);
    ewc.config.penalty = 'diagonal';
    ewc.computeFisher(mapOf(adapter), data);
    expect([ewc.functionInfo.size, ewc.fisherInfo.size]).toEqual([0, 1]);
    ewc.config.penalty = 'function';
    ewc.computeFisher(mapOf(adapter), data);
    expect([ewc.functionInfo.size, ewc.fisherInfo.size]).toEqual([1, 0]);
  });
});

describe('addPenaltyGradient', () => {
  it('leaves gradients unchanged where the penalty’s gradient overflows', () => {
    const adapter = { loraA: [[1], [2]], loraB: [[3, 4]], scaling: 1 };
    for (const penalty of ['diagonal', 'function'] as const) {
      const ewc = trained({ penalty, lambda: 1e60, fisher: 'exact' }, [
        { adapter, examples: [{ inputEmb: [1, 2], outputEmb: [3, 4] }] },
      ]);
      const grads = { gradA: [Float32Array.of(1), Float32Array.of(2)], gradB: [Float32Array.of(3, 4)] };
      const moved = mapOf({ ...adapter, loraA: [[5], [2]] });
      expect(() => ewc.addPenaltyGradient(moved, new Map([['a', grads]]))).toThrow(
        'addPenaltyGradient: the result overflows; adapters.get("a").loraA, adapters.get("a").loraB, config.lambda',
      );
      expect([...grads.gradA, ...grads.gradB].flatMap(row => Array.from(row))).toEqual([1, 2, 3, 4]);
    }
  });
});

describe('import', () => {
  const adapter = { loraA: [[1], [2]], loraB: [[3, 4]], scaling: 1 };
  const data = [{ inputEmb: [1, 2], outputEmb: [3, 4] }];
  const exported = (options: EWCOptions): ReturnType<EWCManager['export']> =>
    trained(options, [{ adapter, examples: data }]).export();

  it('of diagonal state into a manager of the function penalty makes it a diagonal one', () => {
    const { fisherInfo, optimalParams, config, stats } = exported({});
    const ewc = new EWCManager({ penalty: 'function' });
    ewc.import({ fisherInfo, optimalParams, config, stats });
    const moved = mapOf({ ...adapter, loraA: [[5], [2]] });
    expect(ewc.computePenalty(moved)).toBe(trained({}, [{ adapter, examples: data }]).computePenalty(moved));
    expect(ewc.config.penalty).toBeUndefined();
  });

  it.each<[string, (info: ReturnType<EWCManager['export']>['functionInfo'][string]) => object]>([
    [
      'functionInfo.a.moment[1][0] cannot be an entry of a second moment, got 5',
      info => ({
        ...info,
        moment: [
          [1, 5],
          [5, 1],
        ],
      }),
    ],
    [
      'functionInfo.a.moment[1][0] cannot be an entry of a second moment, got 0.5',
      info => ({
        ...info,
        moment: [
          [1, 0],
          [0.5, 1],
        ],
      }),
    ],
    [
      'functionInfo.a.moment[0][0] must be a finite number of at least 0, got -1',
      info => ({
        ...info,
        moment: [
          [-1, 0],
          [0, 1],
        ],
      }),
    ],
    ['functionInfo.a.moment is 1 × 1, expected 2 × 2', info => ({ ...info, moment: [[1]] })],
    ['functionInfo.a.residual is 1 × 1, expected 2 × 2', info => ({ ...info, residual: [[1]] })],
    ['functionInfo.a.constant must be a finite number of at least 0, got -1', info => ({ ...info, constant: -1 })],
    ['functionInfo.a.scaling must be a finite number, got undefined', info => ({ ...info, scaling: undefined })],
  ])('refuses: import: %s', (message, damage) => {
    const state = exported({ penalty: 'function' });
    const ewc = new EWCManager();
    const before = ewc.export();
    expect(() => ewc.import({ ...state, functionInfo: { a: damage(state.functionInfo['a']!) } })).toThrow(message);
    expect(ewc.export()).toEqual(before);
  });

  it.each<[string, object]>([
    ['import: version 2 is not known, only 1', { version: 2 }],
    ['import: isDefaultLambda must be a boolean, got "no"', { isDefaultLambda: 'no' }],
    ['import: constants.a must be a finite number of at least 0, got -1', { constants: { a: -1 } }],
    ["import: config.mode must be 'last' | 'average' | 'online' | 'sum', got \"x\"", { config: { mode: 'x' } }],
    ['import: config.online must be a boolean, got "no"', { config: { online: 'no' } }],
    ['import: functionInfo has "b", optimalParams lacks it', { functionInfo: { b: {} } }],
  ])('refuses: %s', (message, damage) => {
    const ewc = new EWCManager();
    expect(() => ewc.import({ ...exported({}), ...damage })).toThrow(message);
    expect(ewc.fisherInfo.size).toBe(0);
  });
});

describe('merge refuses', () => {
  const adapter = (value: number): Plain => ({ loraA: [[value], [2]], loraB: [[3, 4]], scaling: 1 });
  const data = [{ inputEmb: [1, 2], outputEmb: [3, 4] }];
  const manager = (options: EWCOptions = {}, value = 1, name = 'a', scaling = 1): EWCManager => {
    const ewc = new EWCManager(options);
    ewc.computeFisher(new Map([[name, { ...adapter(value), scaling }]]), data);
    return ewc;
  };
  const fitting = { penalty: 'function' } as const;

  it.each<[string, () => EWCManager, () => EWCManager]>([
    ['merge: other must be an EWCManager, got an object', manager, () => ({}) as EWCManager],
    ["merge: the other's penalty is function, here diagonal", manager, () => manager(fitting)],
    ["merge: the other's fisher is exact, here empirical", manager, () => manager({ fisher: 'exact' })],
    [
      "merge: the other's decay is 0.5, here 0.9",
      () => manager({ mode: 'online' }),
      () => manager({ mode: 'online', decay: 0.5 }),
    ],
    ["merge: the other's mode is sum, here last", manager, () => manager({ mode: 'sum' })],
    ["merge: the other's stats.tasksLearned is 0, here 1", manager, () => new EWCManager()],
    ['merge: this manager remembers "a", the other does not', manager, () => manager({}, 1, 'b')],
    ['merge: the other\'s loraA of "a" has other weights; shards share one adapter', manager, () => manager({}, 5)],
    ['merge: the other\'s scaling of "a" is 2, here 1', () => manager(fitting), () => manager(fitting, 1, 'a', 2)],
    [
      'merge: normalised Fishers have lost their scale',
      () => manager({ normalize: true }),
      () => manager({ normalize: true }),
    ],
  ])('%s', (message, make, other) => {
    const ewc = make();
    const before = ewc.export();
    expect(() => ewc.merge(other())).toThrow(message);
    expect(ewc.export()).toEqual(before);
  });

  it('only itself when the managers have seen nothing', () => {
    const ewc = new EWCManager();
    expect(() => ewc.merge(ewc)).toThrow('merge: other is this manager itself');
    ewc.merge(new EWCManager());
    expect(ewc.stats.tasksLearned).toBe(0);
  });
});

describe('what is remembered is used as the original’s nested arrays are', () => {
  const random = mulberry32(21);
  const adapter = (): LoRAAdapter => {
    const made = new LoRAAdapter({ dim: 4, rank: 2, seed: 3 });
    for (const row of made.loraB) for (let j = 0; j < 4; j++) row[j] = random() - 0.5;
    return made;
  };
  const adapters = new Map([['a', adapter()]]);
  const data = Array.from({ length: 5 }, () => ({
    inputEmb: Array.from({ length: 4 }, random),
    outputEmb: Array.from({ length: 4 }, random),
  }));
  const changed = adapter();
  changed.loraA[1]![0]! += 0.5;
  changed.loraA[1]![1]! -= 0.5;
  const other = new Map([['a', changed]]);
  const learned = (options: EWCOptions = {}): EWCManager => {
    const ewc = new EWCManager(options);
    ewc.computeFisher(adapters, data);
    return ewc;
  };
  const nested = (rows: Rows): number[][] => rows.map(row => Array.from(row));

  it('JSON and flat', () => {
    for (const options of [{}, { mode: 'sum' }, { penalty: 'function' }] as const) {
      const ewc = learned(options);
      const { fisherInfo, optimalParams } = ewc.export();
      expect(JSON.parse(JSON.stringify(Object.fromEntries(ewc.fisherInfo)))).toEqual(fisherInfo);
      expect(JSON.parse(JSON.stringify(Object.fromEntries(ewc.optimalParams)))).toEqual(optimalParams);
      const { loraA, loraB } = ewc.optimalParams.get('a')!;
      expect(loraA.flat()).toEqual(optimalParams['a']!.loraA.flat());
      expect([loraB.flat(0), loraB.flat(1), loraB.flat(9)]).toEqual([0, 1, 9].map(n => nested(loraB).flat(n)));
      const { moment } = ewc.functionInfo.get('a') ?? {};
      if (moment) expect(JSON.parse(JSON.stringify(moment))).toEqual(nested(moment));
      expect(JSON.parse(JSON.stringify([...ewc.penaltyGradient(other)]))).toEqual(
        Array.from(ewc.penaltyGradient(other), ([name, { gradA, gradB }]) => [
          name,
          { gradA: nested(gradA), gradB: nested(gradB) },
        ]),
      );
    }
  });

  it('written entries and rows count from then on', () => {
    const changes: ((ewc: EWCManager) => void)[] = [
      ewc => {
        ewc.fisherInfo.get('a')!.fisherA[1]![1] = 5;
      },
      ewc => {
        ewc.fisherInfo.get('a')!.fisherA[1] = [7, 8];
        ewc.fisherInfo.get('a')!.fisherA[1]![0] = 9;
      },
      ewc => {
        ewc.optimalParams.get('a')!.loraB[0] = Float32Array.of(1, 2, 3, 4);
      },
      ewc => {
        ewc.fisherInfo.get('a')!.fisherB = [
          [1, 2, 3, 4],
          [5, 6, 7, 8],
        ];
      },
    ];
    for (const change of changes) {
      const ewc = learned({ lambda: 2 });
      const before = ewc.computePenalty(other);
      change(ewc);
      const [{ fisherA, fisherB }, optimal] = [ewc.fisherInfo.get('a')!, ewc.optimalParams.get('a')!];
      let expected = 0;
      const add = (importance: Rows, values: Rows, anchor: Rows): void => {
        importance.forEach((row, i) => {
          for (let j = 0; j < row.length; j++) expected += row[j]! * (values[i]![j]! - anchor[i]![j]!) ** 2;
        });
      };
      add(fisherA, other.get('a')!.loraA, optimal.loraA);
      add(fisherB, other.get('a')!.loraB, optimal.loraB);
      expectClose(ewc.computePenalty(other), expected, 1e-9);
      expect(Math.abs(ewc.computePenalty(other) - before)).toBeGreaterThan(1e-3);
      const restored = new EWCManager();
      restored.import(JSON.parse(JSON.stringify(ewc.export())));
      expectClose(restored.computePenalty(other), expected, 1e-9);
    }
  });

  it.each<[string, (ewc: EWCManager) => void]>([
    ['fisherInfo.get("a").fisherA[1] has 1 entry, expected 2', ewc => (ewc.fisherInfo.get('a')!.fisherA[1] = [1])],
    ['fisherInfo.get("a").fisherA has 5 rows, the adapter has 4', ewc => ewc.fisherInfo.get('a')!.fisherA.push([1, 2])],
    [
      'optimalParams.get("a").loraA[3][0] must be finite, got NaN',
      ewc => (ewc.optimalParams.get('a')!.loraA[3] = [Number.NaN, 1]),
    ],
  ])('an edit that does not fit is refused when it is read: %s', (message, change) => {
    const ewc = learned();
    change(ewc);
    expect(() => ewc.computePenalty(other)).toThrow(`computePenalty: ${message}`);
  });

  it('import reads rows that JSON wrote as objects', () => {
    const ewc = learned();
    const asObjects = (rows: Rows): unknown => rows.map(row => ({ ...row }));
    const { fisherInfo, optimalParams, ...rest } = ewc.export();
    const { fisherA, fisherB } = fisherInfo['a']!;
    const { loraA, loraB } = optimalParams['a']!;
    const restored = new EWCManager();
    restored.import({
      ...rest,
      fisherInfo: { a: { fisherA: asObjects(fisherA), fisherB: asObjects(fisherB) } },
      optimalParams: { a: { loraA: asObjects(loraA), loraB: asObjects(loraB) } },
    });
    expect(restored.export()).toEqual(ewc.export());
  });
});

describe('import of a state that belongs to something else of equal size', () => {
  const embed = (text: string, seed: number): number[] => {
    const random = mulberry32(text.length * 31 + text.charCodeAt(0) + seed);
    return Array.from({ length: 4 }, () => random() - 0.5);
  };
  type TextExample = { input: string; output: string; inputEmb: number[]; outputEmb: number[] };
  const examplesOf = (word: string, seed: number, count = 40): TextExample[] =>
    Array.from({ length: count }, (_, i) => {
      const [input, output] = [`${word}${'!'.repeat(i)}`, `to ${word}${'?'.repeat(i)}`];
      return { input, output, inputEmb: embed(input, seed), outputEmb: embed(output, seed) };
    });
  const make = (seed: number): Map<string, LoRAAdapter> =>
    new Map(['q', 'r'].map((name, i) => [name, new LoRAAdapter({ dim: 4, rank: 2, seed: seed + i })]));
  const examples = examplesOf('word', 1);
  const withoutTexts = (data: TextExample[]): { inputEmb: number[]; outputEmb: number[] }[] =>
    data.map(({ inputEmb, outputEmb }) => ({ inputEmb, outputEmb }));
  const adapters = make(1);
  const trained = make(1);
  trained.get('q')!.loraB[0]!.set([1, 2, 3, 4]);
  const stateOf = (data: TextExample[] | ReturnType<typeof withoutTexts>, options: EWCOptions = {}): unknown => {
    const ewc = new EWCManager(options);
    ewc.computeFisher(adapters, data);
    return JSON.parse(JSON.stringify(ewc.export({ adapters: trained })));
  };

  it('accepts the adapters and examples of the export', () => {
    for (const options of [{}, { penalty: 'function' }] as const) {
      const state = stateOf(examples, options);
      const ewc = new EWCManager(options);
      ewc.import(state, { adapters: trained, examples });
      ewc.import(state, { adapters: new Map([...trained, ['s', make(9).get('q')!]]) });
      ewc.import(state, { examples: withoutTexts(examples) });
      // The weights are float32, as in a file of tensors.
      ewc.import(state, { adapters: LoRAAdapter.fromSafetensors(LoRAAdapter.toSafetensors(trained)) });
      expect(ewc.export({ adapters: trained })).toEqual(state);
      ewc.import(state, {});
      const { weights, ...task } = ewc.export().provenance;
      expect([weights, task]).toEqual([null, { embeddings: expect.any(String), texts: expect.any(String) }]);
    }
  });

  it.each<[string, Parameters<EWCManager['import']>[1]]>([
    ['the state was exported with other weights than adapters.get("q") has', { adapters: make(1) }],
    ['the state was exported with other weights than adapters.get("q") has', { adapters: make(5) }],
    ['adapters lacks "r", a remembered adapter', { adapters: new Map([['q', trained.get('q')!]]) }],
    [
      'optimalParams.r.loraA is 4 × 2, adapters.get("r").loraA is 4 × 3',
      { adapters: new Map([...trained, ['r', new LoRAAdapter({ dim: 4, rank: 3 })]]) },
    ],
    [
      'the state was learned from other texts than those of examples: from another data set',
      { examples: examplesOf('else', 1) },
    ],
    [
      'the state was learned from other texts than those of examples: from another data set',
      { examples: examplesOf('word', 1, 41) },
    ],
    [
      'the state was learned from other embeddings than those of examples: from another embedder',
      { examples: examplesOf('word', 2) },
    ],
    [
      'the state was learned from other embeddings than those of examples: from another data set or embedder',
      { examples: withoutTexts(examplesOf('word', 2)) },
    ],
    ['examples must be an array, got 1', { examples: 1 as unknown as [] }],
    ['adapters must be a Map by adapter name, got 1', { adapters: 1 as unknown as Map<string, Adapter> }],
  ])('refuses, with nothing changed: %s', (message, options) => {
    const ewc = new EWCManager();
    const before = ewc.export();
    expect(() => ewc.import(stateOf(examples), options)).toThrow(`import: ${message}`);
    expect(ewc.export()).toEqual(before);
  });

  it('compares the fingerprints of a state, and accepts states without any', () => {
    const { provenance: _, ...old } = stateOf(examples) as Record<string, unknown>;
    const original = { fisherInfo: old['fisherInfo'], optimalParams: old['optimalParams'] };
    for (const state of [old, original]) {
      const ewc = new EWCManager();
      ewc.import(state, { adapters: make(5), examples: examplesOf('else', 2) });
      expect(ewc.fisherInfo.size).toBe(2);
      expect(() => ewc.import(state, { adapters: new Map() })).toThrow('import: adapters lacks "q"');
    }
    const merged = new EWCManager();
    merged.computeFisher(adapters, examples);
    const shard = new EWCManager();
    shard.computeFisher(adapters, examplesOf('else', 1));
    merged.merge(shard);
    expect(merged.export().provenance).toEqual({ embeddings: null, texts: null, weights: null });
    merged.reset();
    expect(merged.export().provenance).toEqual({ embeddings: null, texts: null, weights: null });
  });

  it.each<[string, unknown]>([
    ['provenance must be an object, got 1', 1],
    ['provenance.texts must be a string, got 5', { texts: 5 }],
    ['provenance.weights must be an object, got "x"', { weights: 'x' }],
    ['provenance.weights.q must be a string, got 1', { weights: { q: 1 } }],
  ])('refuses: %s', (message, provenance) => {
    const state = { ...(stateOf(examples) as object), provenance };
    expect(() => new EWCManager().import(state)).toThrow(`import: ${message}`);
  });
});
