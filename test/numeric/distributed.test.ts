import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  AdamW,
  type Adapter,
  averageUpdates,
  LoRAAdapter,
  LossComputer,
  packGradients,
  packWeights,
  sumInOrder,
  unpackGradients,
  unpackWeights,
} from '../../src/index.js';

const untyped = (value: unknown): never => value as never;

function adaptersOf(
  seed: number,
  shapes: readonly [number, number, number][] = [
    [6, 2, 6],
    [5, 3, 4],
  ],
): Map<string, LoRAAdapter> {
  return new Map(
    shapes.map(([dim, rank, outDim], i) => {
      const adapter = new LoRAAdapter({ dim, rank, outDim, seed: seed + i });
      adapter.loraB.forEach((row, k) => {
        row.forEach((_, j) => {
          row[j] = Math.fround(Math.sin(seed + 10 * i + k * outDim + j));
        });
      });
      return [`adapter ${i}`, adapter];
    }),
  );
}

const shape = fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 9 }));
const float = fc.float({ noNaN: true, noDefaultInfinity: true, min: -1000, max: 1000 });

describe('packWeights and unpackWeights', () => {
  it('are inverse to the bit, and in the order of the Map, loraA before loraB, row by row', () => {
    fc.assert(
      fc.property(
        fc.array(shape, { minLength: 1, maxLength: 3 }),
        fc.integer({ min: 0, max: 1000 }),
        (shapes, seed) => {
          const [from, to] = [adaptersOf(seed, shapes), adaptersOf(seed + 1, shapes)];
          const flat = packWeights(from);
          const byHand = [...from.values()].flatMap(({ loraA, loraB }) =>
            [...loraA, ...loraB].flatMap(row => [...row]),
          );
          expect([...flat]).toEqual(byHand);
          unpackWeights(to, flat);
          expect([...packWeights(to)]).toEqual(byHand);
          flat.fill(0);
          expect([...packWeights(from)]).toEqual(byHand);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('take plain arrays, in float32', () => {
    const plain: Adapter = { loraA: [[0.1], [0.2]], loraB: [[0.3]], scaling: 1 };
    const flat = packWeights(new Map([['a', plain]]));
    expect([...flat]).toEqual([0.1, 0.2, 0.3].map(Math.fround));
    unpackWeights(new Map([['a', plain]]), Float32Array.of(1, 2, 3));
    expect(plain).toEqual({ loraA: [[1], [2]], loraB: [[3]], scaling: 1 });
    const wide: Adapter = {
      loraA: [
        [1, 2],
        [3, 4],
      ],
      loraB: [
        [5, 6, 7],
        [8, 9, 10],
      ],
      scaling: 1,
    };
    expect([...packWeights(new Map([['a', wide]]))]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  it('name the matrix and the entry that are at fault, and change nothing', () => {
    const adapterWith = (entry: number): Map<string, Adapter> =>
      new Map([
        [
          'a',
          {
            loraA: [
              [1, 2],
              [3, 4],
            ],
            loraB: [
              [5, 6],
              [7, entry],
            ],
            scaling: 1,
          },
        ],
      ]);
    expect(() => packWeights(adapterWith(Number.NaN))).toThrow(
      'packWeights: adapters.get("a").loraB[1][1] must be finite, got NaN',
    );
    expect(() => packWeights(adapterWith(1e300))).toThrow('packWeights: the result overflows');
    for (const matrix of ['gradA', 'gradB'] as const) {
      const zeros = (): number[][] => [
        [0, 0],
        [0, 0],
      ];
      const grads = { gradA: zeros(), gradB: zeros() };
      grads[matrix][1]![1] = Number.NaN;
      expect(() => packGradients(adapterWith(8), new Map([['a', grads]]))).toThrow(
        `packGradients: grads.get("a").${matrix}[1][1] must be`,
      );
    }
    for (const matrix of ['loraA', 'loraB'] as const) {
      const frozen = adapterWith(8);
      Object.freeze(frozen.get('a')![matrix][1]);
      expect(() => unpackWeights(frozen, new Float32Array(8))).toThrow(`unpackWeights: adapters.get("a").${matrix}[1]`);
      expect([...packWeights(frozen)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    }
  });

  it.each<[string, (adapters: Map<string, LoRAAdapter>, flat: Float32Array) => unknown]>([
    ['unpackWeights: flat has 50 entries, expected 51', (adapters, flat) => unpackWeights(adapters, flat.subarray(1))],
    [
      'unpackWeights: flat must be a Float32Array, got an array of 51',
      (a, flat) => unpackWeights(a, untyped([...flat])),
    ],
    [
      'unpackWeights: flat[3] must be finite, got NaN',
      (a, flat) =>
        unpackWeights(
          a,
          flat.map((x, i) => (i === 3 ? NaN : x)),
        ),
    ],
    [
      'unpackWeights: adapters must be a Map by adapter name, got an object',
      (_, flat) => unpackWeights(untyped({}), flat),
    ],
    [
      'packGradients: grads lacks "adapter 1"; send zeros',
      a => packGradients(a, new Map([['adapter 0', zerosOf(a.get('adapter 0')!)]])),
    ],
    [
      'packGradients: grads has "else", which is no adapter',
      a => packGradients(a, new Map([['else', zerosOf(a.get('adapter 0')!)]])),
    ],
    [
      'unpackGradients: flat has 50 entries, expected 51',
      (adapters, flat) => unpackGradients(adapters, flat.subarray(1)),
    ],
    [
      'unpackGradients: flat[50] must be finite, got Infinity',
      (a, flat) =>
        unpackGradients(
          a,
          flat.map((x, i) => (i === 50 ? Infinity : x)),
        ),
    ],
    ['sumInOrder: parts must be an array, got null', () => sumInOrder(untyped(null))],
    ['sumInOrder: parts[1] has 1 entry, expected 2', () => sumInOrder([new Float32Array(2), new Float32Array(1)])],
    ['sumInOrder: parts is empty', () => sumInOrder([])],
    ['sumInOrder: parts[1] has 50 entries, expected 51', (_, flat) => sumInOrder([flat, flat.subarray(1)])],
    ['sumInOrder: parts[0][0] must be finite, got NaN', () => sumInOrder([Float32Array.of(NaN)])],
    ['sumInOrder: the sum overflows float32', () => sumInOrder([Float32Array.of(3e38), Float32Array.of(3e38)])],
  ])('%s', (message, call) => {
    const adapters = adaptersOf(1);
    const before = packWeights(adapters);
    expect(() => call(adapters, before.slice())).toThrow(message);
    expect(packWeights(adapters)).toEqual(before);
  });

  it('names an entry that is not finite', () => {
    const adapters = adaptersOf(1);
    adapters.get('adapter 1')!.loraB[2]![3] = Infinity;
    expect(() => packWeights(adapters)).toThrow('adapters.get("adapter 1").loraB[2][3] must be finite, got Infinity');
    const grads = new Map([...adapters].map(([name, adapter]) => [name, zerosOf(adapter)]));
    grads.get('adapter 0')!.gradA[1]![0] = NaN;
    expect(() => packGradients(adaptersOf(1), grads)).toThrow(
      'grads.get("adapter 0").gradA[1][0] must be finite, got NaN',
    );
  });
});

function zerosOf({ loraA, loraB }: Adapter): { gradA: number[][]; gradB: number[][] } {
  return { gradA: loraA.map(row => Array.from(row, () => 0)), gradB: loraB.map(row => Array.from(row, () => 0)) };
}

describe('packGradients and unpackGradients', () => {
  it('give an optimizer the bits of the gradients themselves', () => {
    const row = (seed: number): Float32Array => Float32Array.from({ length: 6 }, (_, j) => Math.sin(7 * seed + j));
    const [anchors, positives] = [[1, 2, 3].map(row), [4, 5, 6].map(row)];
    const step = (isPacked: boolean): Float32Array => {
      const adapters = adaptersOf(3, [[6, 2, 6]]);
      const optimizer = new AdamW(adapters);
      for (let i = 0; i < 3; i++) {
        const { adapterGradients } = LossComputer.contrastive(anchors, positives, null, {
          adapters,
          through: { anchors: 'adapter 0' },
          gradients: true,
        });
        const grads = isPacked
          ? unpackGradients(adapters, packGradients(adapters, adapterGradients!))
          : adapterGradients!;
        optimizer.step(grads, 0.01);
      }
      return packWeights(adapters);
    };
    expect(step(true)).toEqual(step(false));
  });

  it("give matrices of the adapters' shapes that do not share memory with the array", () => {
    const adapters = adaptersOf(1);
    const flat = Float32Array.from({ length: 51 }, (_, i) => i);
    const grads = unpackGradients(adapters, flat);
    flat.fill(-1);
    const entries = [...grads.values()].flatMap(({ gradA, gradB }) => [...gradA, ...gradB].flatMap(row => [...row]));
    expect(entries).toEqual(Array.from({ length: 51 }, (_, i) => i));
    expect(grads.get('adapter 1')!.gradB.map(({ length }) => length)).toEqual([4, 4, 4]);
  });
});

describe('sumInOrder', () => {
  it('adds up in float32, one part after the other', () => {
    fc.assert(
      fc.property(
        fc
          .integer({ min: 1, max: 20 })
          .chain(n => fc.array(fc.array(float, { minLength: n, maxLength: n }), { minLength: 1, maxLength: 6 })),
        rows => {
          const parts = rows.map(row => Float32Array.from(row));
          const expected = parts[0]!.map((_, k) => parts.reduce((sum, part) => Math.fround(sum + part[k]!), 0));
          expect([...sumInOrder(parts)]).toEqual(
            [...expected.map(x => x + 0)].map((x, k) => (parts.length === 1 ? parts[0]![k]! : x)),
          );
        },
      ),
    );
  });

  it('leaves the parts as they are', () => {
    const parts = [Float32Array.of(1), Float32Array.of(2)];
    expect([...sumInOrder(parts)]).toEqual([3]);
    expect(parts.map(([x]) => x)).toEqual([1, 2]);
  });
});

describe('averageUpdates', () => {
  const rowsOf = (count: number, length: number): fc.Arbitrary<Float32Array[]> =>
    fc.array(
      fc.array(float, { minLength: length, maxLength: length }).map(row => Float32Array.from(row)),
      { minLength: count, maxLength: count },
    );
  const noGuard = { maxNormRatio: Infinity };

  it('is the weighted mean, in float64', () => {
    fc.assert(
      fc.property(
        rowsOf(4, 5),
        fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 4, maxLength: 4 }),
        (rows, weights) => {
          fc.pre(weights.some(weight => weight > 0));
          const total = weights.reduce((sum, weight) => sum + weight, 0);
          const { delta, refused } = averageUpdates(new Float32Array(5), rows, { weights, ...noGuard });
          expect(refused).toEqual([]);
          for (let k = 0; k < 5; k++) {
            const mean = rows.reduce((sum, row, i) => sum + (weights[i]! * row[k]!) / total, 0);
            expect(Math.abs(delta[k]! - mean)).toBeLessThanOrEqual(1e-6 * (1 + Math.abs(mean)));
          }
        },
      ),
    );
  });

  it('is the median of each entry', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 6 }).chain(count => rowsOf(count, 4)),
        rows => {
          const { delta } = averageUpdates(new Float32Array(4), rows, { method: 'median', ...noGuard });
          for (let k = 0; k < 4; k++) {
            const sorted = rows.map(row => row[k]!).sort((a, b) => a - b);
            const middle = (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
            expect(delta[k]).toBe(Math.fround(middle));
          }
        },
      ),
    );
  });

  it('refuses by index what cannot be used, and averages the rest', () => {
    const good = (x: number): Float32Array => Float32Array.of(x, 1);
    const updates = [
      good(1),
      null,
      Float32Array.of(NaN, 1),
      Float32Array.of(1),
      good(3),
      Float32Array.of(300, 400),
      untyped([1, 1]),
      undefined,
      good(2),
    ];
    const { delta, refused } = averageUpdates(new Float32Array(2), updates, { accept: (_, index) => index !== 8 });
    expect([...delta]).toEqual([2, 1]);
    expect(refused).toEqual([
      { index: 1, reason: 'is null' },
      { index: 2, reason: 'has NaN at entry 0' },
      { index: 3, reason: 'has 1 entry, expected 2' },
      { index: 5, reason: 'has a norm of 500, more than 3 times the median 2.24' },
      { index: 6, reason: 'is not a Float32Array' },
      { index: 7, reason: 'is null' },
      { index: 8, reason: 'was not accepted' },
    ]);
  });

  it('hands to accept only what passed the other checks', () => {
    const seen: number[] = [];
    averageUpdates(new Float32Array(1), [null, Float32Array.of(1), Float32Array.of(100), Float32Array.of(1)], {
      accept: (update, index) => seen.push(index) > 0 && update.length === 1,
    });
    expect(seen).toEqual([1, 3]);
  });

  it.each<[string, number[], number[]]>([
    ['the longer of two', [1, 1000], [1]],
    ['none of two that are alike', [1, 3], []],
    ['none but the zeros count', [0, 0, 0, 1], []],
    ['the longest of four', [1, 2, 7, 9], [2, 3]],
  ])('refuses by the smaller middle norm above 0: %s', (_, norms, expected) => {
    const updates = norms.map(norm => Float32Array.of(norm));
    const { refused } = averageUpdates(new Float32Array(1), updates);
    expect(refused.map(({ index }) => index)).toEqual(expected);
  });

  it('adds arrays without entries', () => {
    expect(sumInOrder([new Float32Array(0), new Float32Array(0)])).toEqual(new Float32Array(0));
  });

  it('names a hole, and wants true or false of accept', () => {
    // biome-ignore lint/suspicious/noSparseArray: a worker may be lost
    const updates = [Float32Array.of(1), , Float32Array.of(1)] as Float32Array[];
    expect(averageUpdates(new Float32Array(1), updates).refused).toEqual([{ index: 1, reason: 'is null' }]);
    expect(() => averageUpdates(new Float32Array(1), updates, { accept: untyped(async () => false) })).toThrow(
      new TypeError('averageUpdates: accept must return true or false, got a Promise for updates[0]'),
    );
    expect(() => sumInOrder(updates)).toThrow('sumInOrder: parts[1] must be a Float32Array, got undefined');
  });

  it('keeps updates of zeros, whose median norm is 0', () => {
    const zeros = [new Float32Array(2), new Float32Array(2)];
    expect(averageUpdates(new Float32Array(2), zeros)).toEqual({ delta: new Float32Array(2), refused: [] });
  });

  it.each<[string, () => unknown]>([
    ['averageUpdates: base must be a Float32Array, got an array of 1', () => averageUpdates(untyped([1]), [])],
    ['averageUpdates: updates is empty', () => averageUpdates(new Float32Array(1), [])],
    ['averageUpdates: updates must be an array, got null', () => averageUpdates(new Float32Array(1), untyped(null))],
    ['averageUpdates: no update is left: updates[0] is null', () => averageUpdates(new Float32Array(1), [null])],
    ['averageUpdates: maxNormRatio must be', () => averageUpdates(new Float32Array(1), [null], { maxNormRatio: 0.5 })],
    ['averageUpdates: method must be', () => averageUpdates(new Float32Array(1), [null], { method: untyped('mode') })],
    ['averageUpdates: accept must be', () => averageUpdates(new Float32Array(1), [null], { accept: untyped(1) })],
    ['averageUpdates: weights', () => averageUpdates(new Float32Array(1), [null], { weights: [1, 2] })],
    [
      'averageUpdates: weights are not read with method',
      () => averageUpdates(new Float32Array(1), [new Float32Array(1)], { weights: [1], method: 'median' }),
    ],
    [
      'averageUpdates: the sum of the weights is beyond float64',
      () => averageUpdates(new Float32Array(1), [Float32Array.of(1), Float32Array.of(1)], { weights: [1e308, 1e308] }),
    ],
    [
      'averageUpdates: the weights of the updates that are left are 0',
      () => averageUpdates(new Float32Array(1), [null, new Float32Array(1)], { weights: [1, 0] }),
    ],
  ])('%s', (message, call) => {
    expect(call).toThrow(message);
  });
});
