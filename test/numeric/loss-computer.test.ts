import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LossComputer } from '../../src/index.js';
import type { LossResult, Rows } from '../../src/types.js';
import { arbitraryRows, expectGradient } from '../laws/gradients.js';
import { expectClose, expectCloseToLargest } from '../support/close.js';
import { float32, mulberry32, readGolden } from '../support/golden.js';

interface OriginalCase {
  method: keyof typeof LossComputer & string;
  args: unknown[];
  result: LossResult<Record<string, number>> | number;
}

interface TorchCase {
  name: string;
  loss: number;
  grads: number[][][];
  temperature?: number;
}

describe('the original’s answers', () => {
  const { cases } = readGolden<{ cases: OriginalCase[] }>('loss-computer');
  it.each(cases.map((each, index) => ({ index, ...each })))('$index: $method', ({ method, args, result }) => {
    const isRows = (value: unknown): value is number[][] => Array.isArray(value) && Array.isArray(value[0]);
    const typed = args.map((arg, i) => {
      if (method === 'crossEntropy') return arg;
      if (method.startsWith('_')) return Float32Array.from(arg as number[]);
      return isRows(arg) && i < 3 ? float32(arg) : arg;
    });
    const call = LossComputer[method] as (...args: unknown[]) => LossResult | number;
    const actual = call(...typed);
    if (typeof result === 'number') return expectClose(actual as number, result);
    const { loss, components } = actual as LossResult<Record<string, number>>;
    expectClose(loss, result.loss);
    expect(Object.keys(components)).toEqual(Object.keys(result.components));
    expectClose(Object.values(components), Object.values(result.components));
  });
});

describe('PyTorch’s answers', () => {
  const { inputs, cases } = readGolden<{ inputs: Record<'A' | 'P' | 'N', number[][]>; cases: TorchCase[] }>(
    'losses-torch',
  );
  const { A, P, N } = inputs;
  const byName = new Map(cases.map(each => [each.name, each]));
  const expectCase = (name: string, result: LossResult): void => {
    const { loss, grads } = byName.get(name)!;
    expectClose(result.loss, loss, 1e-5);
    // Compared with the largest entry of the case, because at a low temperature an argument's gradient may be almost 0.
    const gradients = [result.gradients, result.targetGradients, result.negativeGradients];
    expectCloseToLargest(
      gradients.slice(0, grads.length).flatMap(rows => rows!),
      grads.flat(),
      1e-4,
    );
  };

  it.each([0.07, 0.05, 0.01, 0.001])('contrastive at temperature %s', temperature => {
    const result = LossComputer.contrastive(A, P, null, { temperature, gradients: true });
    expect(result.targetGradients).toHaveLength(3);
    expectCase(`infonce pairs T=${temperature}`, result);
  });
  it('contrastive with explicit negatives', () => {
    const result = LossComputer.contrastive(A, P, N, { gradients: true });
    expect(result.negativeGradients).toHaveLength(3);
    expectCase('infonce original semantics: explicit negatives only T=0.07', result);
  });
  it.each([[[0, 1, 0]], [['a', 'b', 'a']]])('contrastive with ids %j', ids => {
    expectCase(
      'infonce same-id masking ids=[0,1,0] T=0.07',
      LossComputer.contrastive(A, P, null, { ids, gradients: true }),
    );
  });
  it('mse', () => {
    expectCase('mse', LossComputer.mse(A, P, { gradients: true }));
  });
  it.each([0.07, 0.05, 0.01, 0.001])(
    'contrastive in-batch and with shared negatives at temperature %s',
    temperature => {
      const options = { temperature, negativeMode: 'inBatch+explicit', gradients: true } as const;
      const result = LossComputer.contrastive(A, P, N, options);
      expect(result.negativeGradients).toHaveLength(3);
      expectCase(`infonce in-batch + shared explicit negatives T=${temperature}`, result);
    },
  );
  it('contrastive, symmetric', () => {
    expectCase('infonce symmetric T=0.07', LossComputer.contrastive(A, P, null, { symmetric: true, gradients: true }));
  });
  it('contrastive with weights', () => {
    const weights = [1, 2, 0.5];
    const name = 'infonce per-example weights [1,2,.5], weighted mean T=0.07';
    expectCase(name, LossComputer.contrastive(A, P, null, { weights, gradients: true }));
  });
  it('triplet', () => {
    expectCase('triplet euclid margin=.5 no eps', LossComputer.triplet(A, P, N, { gradients: true }));
    expectCase('triplet cosine margin=.5', LossComputer.triplet(A, P, N, { distance: 'cosine', gradients: true }));
  });
  it('cosine embedding', () => {
    for (const margin of [0, 0.3]) {
      const name = `cosineEmbedding labels [1,-1,1] margin=${margin.toFixed(1)} (no eps)`;
      expectCase(name, LossComputer.cosineEmbedding(A, P, [1, -1, 1], { margin, gradients: true }));
    }
  });
});

describe('gradients equal finite differences', () => {
  const shape = fc.record({ n: fc.integer({ min: 1, max: 5 }), dim: fc.integer({ min: 1, max: 7 }) });

  it('contrastive, in-batch, with and without ids', () => {
    const problem = shape.chain(({ n, dim }) =>
      fc.record({
        a: arbitraryRows(n, dim),
        p: arbitraryRows(n, dim),
        ids: fc.option(fc.array(fc.integer({ min: 0, max: 2 }), { minLength: n, maxLength: n }), { nil: undefined }),
        temperature: fc.constantFrom(0.3, 1),
      }),
    );
    fc.assert(
      fc.property(problem, ({ a, p, ids, temperature }) => {
        const options = { temperature, ...(ids && { ids }) };
        const { gradients, targetGradients } = LossComputer.contrastive(a, p, null, { ...options, gradients: true });
        expectGradient(rows => LossComputer.contrastive(rows, p, null, options).loss, a, gradients!);
        expectGradient(rows => LossComputer.contrastive(a, rows, null, options).loss, p, targetGradients!);
      }),
      { numRuns: 30 },
    );
  });

  it('contrastive with explicit negatives, of unequal lengths too', () => {
    const problem = fc
      .tuple(shape, fc.integer({ min: 1, max: 4 }), fc.integer({ min: 0, max: 2 }))
      .chain(([{ n, dim }, m, extra]) =>
        fc.tuple(arbitraryRows(n, dim + extra), arbitraryRows(n, dim), arbitraryRows(m, dim + 1)),
      );
    fc.assert(
      fc.property(problem, ([a, p, negatives]) => {
        const options = { temperature: 0.5 };
        const result = LossComputer.contrastive(a, p, negatives, { ...options, gradients: true });
        expectGradient(rows => LossComputer.contrastive(rows, p, negatives, options).loss, a, result.gradients!);
        expectGradient(rows => LossComputer.contrastive(a, rows, negatives, options).loss, p, result.targetGradients!);
        expectGradient(
          rows => LossComputer.contrastive(a, p, rows, options).loss,
          negatives,
          result.negativeGradients!,
        );
      }),
      { numRuns: 30 },
    );
  });

  it('mse, of unequal lengths too', () => {
    const problem = fc
      .tuple(shape, fc.integer({ min: 0, max: 2 }))
      .chain(([{ n, dim }, extra]) => fc.tuple(arbitraryRows(n, dim), arbitraryRows(n, dim + extra)));
    fc.assert(
      fc.property(problem, ([p, t]) => {
        const { gradients, targetGradients } = LossComputer.mse(p, t, { gradients: true });
        expectGradient(rows => LossComputer.mse(rows, t).loss, p, gradients!);
        expectGradient(rows => LossComputer.mse(p, rows).loss, t, targetGradients!);
      }),
      { numRuns: 30 },
    );
  });
});

describe('triplet', () => {
  it('with swap uses the distance of positive and negative where it is smaller', () => {
    const [a, p, n] = [[[0, 0]], [[3, 0]], [[4, 0]]];
    expectClose(LossComputer.triplet(a, p, n).loss, 0);
    const { loss, gradients, targetGradients, negativeGradients } = LossComputer.triplet(a, p, n, {
      swap: true,
      gradients: true,
    });
    expectClose(loss, 3 - 1 + 0.5);
    const swapped = (rows: Rows[]): number => LossComputer.triplet(rows[0]!, rows[1]!, rows[2]!, { swap: true }).loss;
    expectGradient(moved => swapped([moved, p, n]), a, gradients!);
    expectGradient(moved => swapped([a, moved, n]), p, targetGradients!);
    expectGradient(moved => swapped([a, p, moved]), n, negativeGradients!);
  });

  it('has gradient 0 where rows are equal or the triplet is satisfied', () => {
    const { loss, gradients } = LossComputer.triplet([[1, 2]], [[1, 2]], [[1, 2]], { gradients: true });
    expect(loss).toBe(0.5);
    expect(Array.from(gradients![0]!)).toEqual([0, 0]);
    const satisfied = LossComputer.triplet([[0, 0]], [[0, 1]], [[9, 9]], { gradients: true });
    expect([satisfied.loss, ...satisfied.gradients![0]!, ...satisfied.negativeGradients![0]!]).toEqual([0, 0, 0, 0, 0]);
  });
});

describe('contrastive', () => {
  const a = [
    [1, 0, 0],
    [0, 1, 0],
    [1, 1, 0],
  ];
  const p = [
    [0.8, 0.6, 0],
    [0.6, 0.8, 0],
    [0, 0.6, 0.8],
  ];

  it('equals a plain loop over all pairs', () => {
    fc.assert(
      fc.property(fc.tuple(arbitraryRows(4, 3), arbitraryRows(4, 3)), ([anchors, positives]) => {
        expectClose(
          LossComputer.contrastive(anchors, positives, null, { temperature: 0.2 }).loss,
          plainInfoNCE(anchors, positives, 0.2),
        );
      }),
    );
  });

  it('has the temperature’s derivative, in every mode', () => {
    const n = [
      [0, 1, 0],
      [0, 0.6, -0.8],
      [1, 0, 1],
    ];
    for (const [negatives, options] of [
      [null, {}],
      [null, { symmetric: true, ids: [0, 1, 0] }],
      [n, {}],
      [n, { negativeMode: 'own' }],
      [n, { negativeMode: 'inBatch+explicit', weights: [1, 2, 0.5] }],
    ] as const) {
      for (const scale of [1, 1e-5]) {
        const anchors = a.map(row => row.map(value => scale * value));
        const at = (temperature: number): number =>
          LossComputer.contrastive(anchors, p, negatives, { ...options, temperature }).loss;
        const [t, h] = [0.5, 0.02];
        const expected = (8 * (at(t + h) - at(t - h)) - (at(t + 2 * h) - at(t - 2 * h))) / (12 * h);
        const { temperatureGradient } = LossComputer.contrastive(anchors, p, negatives, {
          ...options,
          temperature: t,
          gradients: true,
        });
        expect(Math.abs(temperatureGradient! - expected)).toBeLessThan(1e-4);
      }
    }
  });

  it('has the temperature’s derivative to 2e-4 also at low temperatures, where its terms almost cancel', () => {
    const random = mulberry32(17);
    const cosine = (x: Rows[number], y: Rows[number]): number => LossComputer._cosineSimilarity(x, y);
    for (let trial = 0; trial < 150; trial++) {
      const temperature = [0.02, 0.05, 0.07][trial % 3]!;
      const [n, d] = [2 + (trial % 29), 2 + (trial % 61)];
      const rows = (): number[][] => Array.from({ length: n }, () => Array.from({ length: d }, () => random() - 0.5));
      const [anchors, noise] = [rows(), rows()];
      // d loss / d T = -1/T² · mean of Σ p · (cosine - own cosine), which `share` moves through 0.
      const positivesAt = (share: number): Float32Array[] =>
        anchors.map((row, i) => Float32Array.from(row, (value, j) => share * value + noise[i]![j]!));
      const derivativeAt = (share: number): number => {
        const positives = positivesAt(share);
        const ofAnchors = anchors.map((anchor, i) => {
          const cosines = positives.map(row => cosine(Float32Array.from(anchor), row));
          const [own, highest] = [cosines[i]!, Math.max(...cosines)];
          const exps = cosines.map(each => Math.exp((each - highest) / temperature));
          const total = exps.reduce((sum, value) => sum + value);
          return exps.reduce((sum, value, j) => sum + (value / total) * (cosines[j]! - own), 0);
        });
        return -ofAnchors.reduce((sum, value) => sum + value) / n / temperature ** 2;
      };
      // Halves the distance to where the terms cancel, down to a hundredth.
      let [low, high] = [-1, 2];
      for (let step = 0; step < 12; step++) {
        const middle = (low + high) / 2;
        if (derivativeAt(middle) < 0) low = middle;
        else high = middle;
        const { temperatureGradient } = LossComputer.contrastive(
          anchors.map(row => Float32Array.from(row)),
          positivesAt(middle),
          null,
          { gradients: true, temperature },
        );
        expectClose(temperatureGradient!, derivativeAt(middle), 2e-4, 1e-12);
      }
    }
  });

  it('with one own negative each is the mean over anchors of a softmax of two', () => {
    const n = [
      [0, 1, 0],
      [0, 0.6, -0.8],
      [1, 0, 1],
    ];
    const each = a.map((row, i) => LossComputer.contrastive([row], [p[i]!], [n[i]!]).loss);
    const mean = each.reduce((sum, loss) => sum + loss) / 3;
    expectClose(LossComputer.contrastive(a, p, n, { negativeMode: 'own' }).loss, mean, 1e-5);
  });

  it('does not depend on the order of rows or on the margin', () => {
    const { loss } = LossComputer.contrastive(a, p);
    expectClose(LossComputer.contrastive([a[2]!, a[0]!, a[1]!], [p[2]!, p[0]!, p[1]!]).loss, loss, 1e-6);
    expect(LossComputer.contrastive(a, p, null, { margin: 0.7 }).loss).toBe(loss);
  });

  it('is 0, with gradient 0, for one pair without negatives, and for no negatives at all', () => {
    const alone = LossComputer.contrastive([a[0]!], [p[0]!], null, { gradients: true });
    expect(alone.loss).toBe(0);
    expectClose(
      [...alone.gradients!, ...alone.targetGradients!],
      [
        [0, 0, 0],
        [0, 0, 0],
      ],
    );
    expect(LossComputer.contrastive(a, p, []).loss).toBe(0);
    expect(LossComputer.contrastive(a, p, null, { ids: [7, 7, 7] }).loss).toBe(0);
  });

  it('gives a zero row cosine 0 and gradient exactly 0', () => {
    const zero = [0, 0, 0];
    const { loss, gradients, targetGradients } = LossComputer.contrastive([zero, a[1]!], [p[0]!, zero], null, {
      gradients: true,
    });
    expect(Number.isFinite(loss)).toBe(true);
    expect(Array.from(gradients![0]!)).toEqual(zero);
    expect(Array.from(targetGradients![1]!)).toEqual(zero);
  });

  it('stays finite at a temperature where a plain softmax overflows', () => {
    const { loss, gradients } = LossComputer.contrastive(a, p, null, { temperature: 1e-3, gradients: true });
    expectClose(loss, 188.7928573765993, 1e-5);
    expect(gradients!.every(row => row.every(Number.isFinite))).toBe(true);
  });

  it('accepts entries whose squares overflow', () => {
    expectClose(
      LossComputer.contrastive(
        [
          [1e200, 0],
          [0, 1],
        ],
        [
          [1, 0],
          [0, 1],
        ],
      ).loss,
      LossComputer.contrastive(
        [
          [1, 0],
          [0, 1],
        ],
        [
          [1, 0],
          [0, 1],
        ],
      ).loss,
    );
  });

  it('accepts rows of every type', () => {
    const { loss } = LossComputer.contrastive(a, p);
    expect(
      LossComputer.contrastive(
        a.map(row => Float64Array.from(row)),
        p,
      ).loss,
    ).toBe(loss);
    expectClose(LossComputer.contrastive(float32(a), float32(p)).loss, loss, 1e-6);
  });
});

/** The logits of the golden cross-entropies up to a shift, computed from their gradients. */
const LOGITS = [
  [1, 2, 3],
  [0, -1.5, 1.5],
];
const TARGETS = [2, 0];

describe('crossEntropy', () => {
  it('accepts more classes than a call may have arguments, in rows of every type', () => {
    const classes = 150_000;
    const row = Array.from({ length: classes }, (_, c) => Math.sin(c));
    const expected = Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0)) - row[17]!;
    expectClose(LossComputer.crossEntropy([row], [17]).loss, expected, 1e-6);
    expectClose(LossComputer.crossEntropy([Float32Array.from(row)], Int32Array.of(17)).loss, expected, 1e-6);
  });

  it('accepts -Infinity for a class that is ruled out', () => {
    expectClose(
      LossComputer.crossEntropy([[-Infinity, 1, 2]], [1]).loss,
      LossComputer.crossEntropy([[1, 2]], [0]).loss,
      1e-6,
    );
  });

  it('equals PyTorch with ignoreIndex and class weights', () => {
    const cases = readGolden<{ cases: TorchCase[] }>('losses-torch').cases;
    const expectCase = (name: string, result: LossResult): void => {
      const golden = cases.find(each => each.name === name)!;
      expectClose(result.loss, golden.loss, 1e-5);
      expectCloseToLargest(result.gradients!, golden.grads[0]!, 1e-4);
    };
    const logits = LOGITS;
    const options = { gradients: true };
    expectCase('ce', LossComputer.crossEntropy(logits, TARGETS, options));
    expectCase('ce smoothing .1', LossComputer.crossEntropy(logits, TARGETS, { labelSmoothing: 0.1, ...options }));
    expectCase(
      'ce class weights [1,2,3]',
      LossComputer.crossEntropy(logits, TARGETS, { classWeights: [1, 2, 3], ...options }),
    );
    const both = { classWeights: [1, 2, 3], labelSmoothing: 0.1, ...options };
    expectCase('ce class weights + smoothing .1', LossComputer.crossEntropy(logits, TARGETS, both));
    const ignored = LossComputer.crossEntropy(logits, [TARGETS[0]!, -100], { ignoreIndex: -100, ...options });
    expectCase('ce ignore_index=-100 targets [2,-100]', ignored);
    const nothing = LossComputer.crossEntropy(logits, [-1, -1], { ignoreIndex: -1, ...options });
    expect([nothing.loss, ...nothing.gradients!.flatMap(row => Array.from(row))]).toEqual([0, 0, 0, 0, 0, 0, 0]);
  });

  it('does not cancel at large logits, and is 0 when all other classes are impossible', () => {
    expectClose(LossComputer.crossEntropy([[1e6, 1e6 + 1]], [0]).loss, Math.log(1 + Math.E), 1e-9);
    expect(LossComputer.crossEntropy([[1000, 0]], [0]).loss).toBe(0);
    expect(LossComputer.crossEntropy([[3]], [0], { labelSmoothing: 0.5 }).loss).toBe(0);
  });
});

describe('LossComputer', () => {
  it('works with methods that are detached from the class', () => {
    const { mse, combine } = LossComputer;
    const loss = mse([[1, 2]], [[3, 2]]);
    expect(loss.loss).toBe(2);
    expect(
      combine([
        { loss, weight: 0.5 },
        { loss: { loss: 4 }, weight: 0.25 },
      ]),
    ).toEqual({ loss: 2, components: { mse: 1 } });
  });

  it('combines gradients where all losses have gradients', () => {
    const one = LossComputer.mse([[1, 2]], [[3, 2]], { gradients: true });
    const two = LossComputer.cosineEmbedding([[1, 2]], [[2, 1]], null, { gradients: true });
    const { gradients, targetGradients } = LossComputer.combine([
      { loss: one, weight: 0.5 },
      { loss: two, weight: 2 },
    ]);
    const expected = (name: 'gradients' | 'targetGradients'): number[][] => [
      Array.from(one[name]![0]!, (value, k) => 0.5 * value + 2 * two[name]![0]![k]!),
    ];
    expectClose(gradients!, expected('gradients'), 1e-6);
    expectClose(targetGradients!, expected('targetGradients'), 1e-6);
    expect(
      LossComputer.combine([
        { loss: one, weight: 1 },
        { loss: { loss: 1 }, weight: 1 },
      ]).gradients,
    ).toBeUndefined();
    const wider = LossComputer.mse([[1, 2, 3]], [[3, 2, 1]], { gradients: true });
    expect(() =>
      LossComputer.combine([
        { loss: one, weight: 1 },
        { loss: wider, weight: 1 },
      ]),
    ).toThrow('combine: losses[1].loss.gradients[0] has 3 entries, the one before has 2');
    expect(() => LossComputer.combine([{ loss: one, weight: 1e300 }])).toThrow(
      'combine: the result overflows; losses[0]',
    );
  });

  it('accepts a loss without any negatives', () => {
    const loss = LossComputer.contrastive([[1, 2]], [[2, 1]], [], { gradients: true });
    expect(LossComputer.combine([{ loss, weight: 1 }]).loss).toBe(0);
  });

  it('treats a loss without an argument as one that does not depend on it', () => {
    const anchors = [
      [1, 2],
      [3, 1],
    ];
    const ranked = LossComputer.contrastive(
      anchors,
      [
        [3, 2],
        [0, 1],
      ],
      [[0, 1]],
      { gradients: true },
    );
    const fitted = LossComputer.crossEntropy(anchors, [0, 1], { gradients: true });
    const combined = LossComputer.combine([
      { loss: fitted, weight: 2 },
      { loss: ranked, weight: 0.5 },
    ]);
    const halved = (rows: Rows): number[][] => rows.map(row => Array.from(row, value => value / 2));
    expectClose(combined.targetGradients!, halved(ranked.targetGradients!), 1e-6);
    expectClose(combined.negativeGradients!, halved(ranked.negativeGradients!), 1e-6);
    expectClose(combined.temperatureGradient!, ranked.temperatureGradient! / 2, 1e-12);
    const sums = fitted.gradients.map((row, i) =>
      Array.from(row, (value, k) => 2 * value + ranked.gradients[i]![k]! / 2),
    );
    expectClose(combined.gradients!, sums, 1e-6);
  });

  it('returns gradients only on request', () => {
    expect(Object.keys(LossComputer.mse([[1]], [[2]]))).toEqual(['loss', 'components']);
    expect(Object.keys(LossComputer.contrastive([[1]], [[2]]))).toEqual(['loss', 'components']);
  });

  it('keeps a component named like a prototype key as data', () => {
    const components = JSON.parse('{"__proto__": 2}') as Record<string, number>;
    const combined = LossComputer.combine([{ loss: { loss: 1, components }, weight: 3 }]);
    expect(Object.entries(combined.components)).toEqual([['__proto__', 6]]);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });
});

/** InfoNCE as a script would write it. */
function plainInfoNCE(anchors: Rows, positives: Rows, temperature: number): number {
  const cosine = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
    const dot = (x: ArrayLike<number>, y: ArrayLike<number>): number =>
      Array.from(x).reduce((sum, value, i) => sum + value * y[i]!, 0);
    return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
  };
  const losses = anchors.map((anchor, i) => {
    const exponentials = positives.map(positive => Math.exp(cosine(anchor, positive) / temperature));
    return -Math.log(exponentials[i]! / exponentials.reduce((sum, value) => sum + value));
  });
  return losses.reduce((sum, loss) => sum + loss) / losses.length;
}
