import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { kernelBackend, LoRAAdapter, releaseKernelMemory, useKernelBackend } from '../../src/index.js';
import { kernels } from '../../src/kernels/index.js';
import type { Kernels, OwnNegatives } from '../../src/kernels/kernels.js';
import { asMatrix, float64Matrix } from '../../src/kernels/matrix.js';
import { scalarKernels } from '../../src/kernels/scalar/index.js';
import { compileKernels, KernelMemory } from '../../src/kernels/simd/memory.js';
import type { Float32Row, Rows } from '../../src/types.js';
import { expectClose, expectCloseToLargest } from '../support/close.js';
import { mulberry32 } from '../support/golden.js';

/** The active backend must agree with the scalar kernels, which the other tests compare with the truth. */

const random = mulberry32(11);
const rowsOf = (count: number, width: number, scale = 1): Float32Array[] =>
  Array.from({ length: count }, () => Float32Array.from({ length: width }, () => scale * (2 * random() - 1)));
const even = (count: number): Float64Array => new Float64Array(count).fill(1 / count);
/** With the gradients of all arguments, and without gradients. */
const everything = { anchors: true, positives: true, candidates: true, own: true };
const withGradients = { wanted: everything, own: null, losses: null };
const lossAlone = { wanted: null, own: null, losses: null };

const shape = fc.record({ rows: fc.integer({ min: 1, max: 9 }), width: fc.integer({ min: 1, max: 70 }) });
const everyShape = Array.from({ length: 9 }, (_, i) => i + 1).flatMap(rows =>
  Array.from({ length: 70 }, (_, i) => ({ rows, width: i + 1 })),
);

/** Losses of single rows on one backend. */
const tripletOf = (on: Kernels, anchors: Rows, positives: Rows, negatives: Rows): number =>
  on.triplet({
    ...{ anchors, positives, negatives, margin: 0.5, distance: 'euclidean', swap: false },
    ...{ coefficients: even(anchors.length), gradients: false, losses: null },
  }).loss;
const cosineOf = (on: Kernels, predictions: Rows, targets: Rows, labels: number[] | null = null): number =>
  on.cosineEmbedding({
    predictions,
    targets,
    labels,
    margin: 0.1,
    coefficients: even(predictions.length),
    gradients: false,
    losses: null,
  }).loss;
const mseOf = (on: Kernels, predictions: Rows, targets: Rows): number =>
  on.mse({ predictions, targets, coefficients: even(predictions.length), gradients: false, losses: null }).loss;
const entropyOf = (on: Kernels, logits: Rows, targets: number[], labelSmoothing = 0): number =>
  on.crossEntropy({
    ...{ logits, targets, labelSmoothing, classWeights: null },
    coefficients: even(logits.length),
    gradients: false,
    losses: null,
  }).loss;

/** k own negatives for each of the rows. About every fifth is skipped. */
const ownOf = (rows: number, width: number, k: number): OwnNegatives => ({
  rows: rowsOf(rows * k, width),
  isSkipped: Uint8Array.from({ length: rows * k }, () => (random() < 0.2 ? 1 : 0)),
});

describe('on every shape of 1 … 9 rows by 1 … 70 columns', () => {
  it('contrastive: loss and gradients, in-batch, with groups and with negatives', () => {
    for (const { rows, width } of everyShape) {
      const [anchors, positives, explicit] = [rowsOf(rows, width), rowsOf(rows, width), rowsOf((width % 5) + 1, width)];
      for (const [negatives, groups] of [
        [null, null],
        [null, Int32Array.from({ length: rows }, (_, i) => i % 3)],
        [explicit, null],
      ] as const) {
        expectSameContrastive({ anchors, positives, negatives, groups, temperature: 0.2 });
      }
    }
  });

  it('contrastive with own negatives: alone, in-batch and with other negatives', () => {
    for (const { rows, width } of everyShape) {
      const [anchors, positives, explicit] = [rowsOf(rows, width), rowsOf(rows, width), rowsOf((width % 5) + 1, width)];
      const own = ownOf(rows, width, (width % 3) + 1);
      for (const negatives of [[], null, explicit]) {
        expectSameContrastive({ anchors, positives, negatives, own, groups: null, temperature: 0.2 });
      }
    }
  });

  it('contrastive with more own negatives than fit in a block', () => {
    // 17 × 2,000 rows of 64 floats are more than 2 ** 21, so there are blocks of 16 anchors and of 1.
    const [anchors, positives] = [rowsOf(17, 64), rowsOf(17, 64)];
    const own = ownOf(17, 64, 2000);
    expectSameContrastive({ anchors, positives, negatives: null, own, groups: null, temperature: 0.2 });
  });

  it('hardest negatives', () => {
    for (const { rows, width } of everyShape) {
      const [anchors, positives] = [rowsOf(rows, width), rowsOf(rows, width)];
      expect(kernels().hardestNegatives(anchors, positives)).toEqual(
        scalarKernels.hardestNegatives(anchors, positives),
      );
    }
  });

  it('cosines of all pairs', () => {
    const cosinesOf = (on: Kernels, anchors: Rows, candidates: Rows): number[][] => {
      const all: number[][] = [];
      on.cosineRows(anchors, candidates, (i, cosines) => {
        all[i] = Array.from(cosines);
      });
      return all;
    };
    for (const { rows, width } of everyShape) {
      const [anchors, candidates] = [rowsOf(rows, width), rowsOf((width % 7) + 1, width)];
      const [actual, expected] = [kernels(), scalarKernels].map(on => cosinesOf(on, anchors, candidates));
      expected!.forEach((row, i) => {
        const worst = Math.max(...row.map((value, j) => Math.abs(actual![i]![j]! - value)));
        expect(worst).toBeLessThan(4e-6);
      });
    }
  });

  it('products of matrices', () => {
    for (const { rows, width } of everyShape) {
      const [a, b] = [rowsOf(rows, width), rowsOf(width, ((rows * 3) % 20) + 1)];
      const transposedA = Array.from({ length: width }, (_, k) => Float32Array.from(a, row => row[k]!));
      const plain = a.map(row =>
        Array.from(b[0]!, (_, j) => b.reduce((sum, other, k) => sum + row[k]! * other[j]!, 0)),
      );
      for (const product of [kernels().product(a, b, false), kernels().product(transposedA, b, true)])
        expectCloseToLargest(product, plain, 1e-5);
      const gram = kernels().product(a, a, true);
      expectCloseToLargest(gram, scalarKernels.product(a, a, true), 1e-5);
    }
  });

  it('the losses of single rows', () => {
    for (const { rows, width } of everyShape) {
      const [a, b, c] = [rowsOf(rows, width), rowsOf(rows, width), rowsOf(rows, width)];
      const labels = a.map((_, i) => (i % 2 ? 1 : -1));
      const targets = a.map((_, i) => (i * 7) % width);
      for (const loss of [
        (on: Kernels) => tripletOf(on, a, b, c),
        (on: Kernels) => mseOf(on, a, b),
        (on: Kernels) => cosineOf(on, a, b, labels),
        (on: Kernels) => entropyOf(on, a, targets),
        (on: Kernels) => entropyOf(on, a, targets, 0.3),
      ]) {
        expectRelative(loss(kernels()), loss(scalarKernels));
      }
      const problem = {
        logits: a,
        targets,
        labelSmoothing: 0.3,
        classWeights: null,
        coefficients: even(rows),
        gradients: true,
        losses: null,
      };
      const [actual, expected] = [kernels(), scalarKernels].map(on => on.crossEntropy(problem).gradients!);
      // The added entry has a gradient's ordinary size, because with one class the true gradient is 0.
      expectCloseToLargest([...actual!, [1 / rows]], [...expected!, [1 / rows]], 1e-5);
    }
  });

  it('the diagonal penalty on matrices in one buffer, with importances of either precision', () => {
    for (const [height, width] of [
      [64, 4],
      [43, 7],
      [5, 130],
      [1, 257],
    ] as const) {
      const made = (): readonly Float32Row[] =>
        asMatrix(Float32Array.from(Array.from(rowsOf(height, width)).flatMap(row => [...row])), height, width);
      const [values, anchor] = [made(), made()];
      const float32 = asMatrix(
        Float32Array.from(
          made().flatMap(row => [...row]),
          Math.abs,
        ),
        height,
        width,
      );
      const float64 = float64Matrix(height, width);
      for (const [i, row] of float64.entries()) row.set(float32[i]!.map(value => value ** 2));
      for (const importance of [float32, float64]) {
        // The same with one plain loop over all entries.
        let expected = 0;
        const gradients: number[] = [];
        const pulled: number[] = [];
        values.forEach((row, i) => {
          row.forEach((value, j) => {
            const [f, change] = [importance[i]![j]!, value - anchor[i]![j]!];
            expected += f * change ** 2;
            gradients.push(1 + 3 * f * change);
            pulled.push(value - Math.min(1, 5 * f) * change);
          });
        });
        const target = asMatrix(new Float32Array(height * width).fill(1), height, width);
        const moved = asMatrix(Float32Array.from(values.flatMap(row => [...row])), height, width);
        expect(kernels().quadraticPenalty(values, anchor, importance)).toBeCloseTo(expected, 9);
        kernels().addPenaltyGradient(target, values, anchor, importance, 3);
        kernels().pullTowards(moved, anchor, importance, 5);
        expectCloseToLargest([target.flatMap(row => [...row])], [gradients], 1e-7);
        expectCloseToLargest([moved.flatMap(row => [...row])], [pulled], 1e-7);
        const squares = values.flatMap(row => [...row]).reduce((sum, value) => sum + value ** 2, 0);
        expect(kernels().sumOfSquares(values)).toBeCloseTo(squares, 9);
      }
    }
  });

  it('LoRA and Fisher', () => {
    for (const { rows, width } of everyShape) {
      const [rank, outDim] = [(width % 6) + 1, width % 2 ? width : (width % 7) + 2];
      const adapter = { loraA: rowsOf(width, rank), loraB: rowsOf(rank, outDim), scaling: 1.5 };
      const [inputs, targets] = [rowsOf(rows, width), rowsOf(rows, outDim)];
      const [forward, expected] = [kernels(), scalarKernels].map(on => on.loraForward(adapter, inputs));
      expectCloseToLargest(forward!.outputs, expected!.outputs, 1e-5);
      const back = [kernels(), scalarKernels].map(on =>
        on.loraBackward(adapter, inputs, expected!.hidden, targets, true),
      );
      for (const name of ['gradA', 'gradB', 'gradInputs'] as const)
        expectCloseToLargest(back[0]![name], back[1]![name], 1e-5);
      const { gradA, gradB } = back[0]!;
      const weightsAlone = kernels().loraBackward(adapter, inputs, expected!.hidden, targets, false);
      expect(weightsAlone).toEqual({ gradA, gradB, gradInputs: [] });
      const fishers = [kernels(), scalarKernels].map(on => on.mseFisher(adapter, inputs, targets));
      expectCloseToLargest(fishers[0]!.fisherA, fishers[1]!.fisherA, 1e-5);
      expectCloseToLargest(fishers[0]!.fisherB, fishers[1]!.fisherB, 1e-5);
    }
  });
});

describe('on larger problems', () => {
  it.each([
    [130, 48],
    [70, 256],
    [3, 1030],
  ])('%i rows of %i', (rows, width) => {
    const [anchors, positives] = [rowsOf(rows, width), rowsOf(rows, width)];
    expectSameContrastive({ anchors, positives, negatives: null, groups: null, temperature: 0.07 });
    expectSameContrastive({ anchors, positives, negatives: rowsOf(100, width), groups: null, temperature: 0.07 });
    expect(kernels().hardestNegatives(anchors, positives)).toEqual(scalarKernels.hardestNegatives(anchors, positives));
    const adapter = { loraA: rowsOf(width, 20), loraB: rowsOf(20, width), scaling: 0.5 };
    const fishers = [kernels(), scalarKernels].map(on => on.mseFisher(adapter, anchors, positives));
    expectCloseToLargest(fishers[0]!.fisherA, fishers[1]!.fisherA, 1e-5);
    expectCloseToLargest(fishers[0]!.fisherB, fishers[1]!.fisherB, 1e-5);
  });

  it('decides ties as the scalar kernels do: the first candidate wins', () => {
    const base = rowsOf(5, 40);
    const positives = Array.from({ length: 60 }, (_, i) => base[i % 5]!);
    const anchors = rowsOf(60, 40);
    expect(kernels().hardestNegatives(anchors, positives)).toEqual(scalarKernels.hardestNegatives(anchors, positives));
  });

  it('treats rows in one buffer like other rows', () => {
    const flat = Float32Array.from({ length: 6 * 32 }, () => random() - 0.5);
    const together = Array.from({ length: 6 }, (_, i) => flat.subarray(i * 32, (i + 1) * 32));
    const reversed = [...together].reverse();
    for (const anchors of [together, reversed, [together[0]!]]) {
      const positives = anchors.map(row => row.slice());
      expectSameContrastive({ anchors, positives, negatives: null, groups: null, temperature: 0.2 });
      expectSameContrastive({
        anchors: positives,
        positives: anchors,
        negatives: null,
        groups: null,
        temperature: 0.2,
      });
    }
  });
});

describe('on hostile values', () => {
  const hostile = fc.constantFrom(0, -0, 1e-45, -1e-40, 1e-20, 1e-4, 1, -1, 1e10, -1e18, 1e18);
  const problem = shape.chain(({ rows, width }) => {
    const matrix = fc.array(fc.array(hostile, { minLength: width, maxLength: width }), {
      minLength: rows,
      maxLength: rows,
    });
    return fc.tuple(matrix, matrix);
  });

  it('losses: denormals, ±1e18 and zero rows', () => {
    fc.assert(
      fc.property(problem, ([first, second]) => {
        const [a, b] = [first, second].map(rows => rows.map(row => Float32Array.from(row)));
        const rows = a!.length;
        const targets = a!.map(() => 0);
        for (const loss of [
          (on: Kernels) => tripletOf(on, a!, b!, a!),
          (on: Kernels) => mseOf(on, a!, b!),
          (on: Kernels) => cosineOf(on, a!, b!),
          (on: Kernels) => entropyOf(on, a!, targets),
        ]) {
          expectRelative(loss(kernels()), loss(scalarKernels), 1e-6);
        }
        expect(kernels().hardestNegatives(a!, b!)).toEqual(scalarKernels.hardestNegatives(a!, b!));
        const options = {
          candidates: b!,
          kind: 'batch' as const,
          groups: null,
          temperature: 1,
          coefficients: even(rows),
          ...withGradients,
        };
        const [actual, expected] = [kernels(), scalarKernels].map(on =>
          on.contrastive({ anchors: a!, positives: b!, ...options }),
        );
        expectRelative(actual!.loss, expected!.loss, 1e-6);
        expectSameGradient(a!, actual!.gradients!.anchors!, expected!.gradients!.anchors!, 1);
        expectSameGradient(b!, actual!.gradients!.candidates!, expected!.gradients!.candidates!, 1);
      }),
      { numRuns: 300 },
    );
  });

  it('temperatures from 1e-30 to 1e300', () => {
    const [anchors, positives] = [rowsOf(3, 8), rowsOf(3, 8)];
    for (const temperature of [1e-30, 1e-4, 1e-3, 1e19, 1e30, 1e300]) {
      const options = {
        candidates: positives,
        kind: 'batch' as const,
        groups: null,
        coefficients: even(3),
        ...lossAlone,
      };
      const problem = { anchors, positives, temperature, ...options };
      expectRelative(kernels().contrastive(problem).loss, scalarKernels.contrastive(problem).loss);
    }
  });

  it('differences that almost cancel', () => {
    const far = rowsOf(20, 384).map(row => row.map(value => 1000 + value));
    const [positives, negatives] = [rowsOf(20, 384, 1e-3), rowsOf(20, 384, 1e-3)];
    const loss = (on: Kernels): number => tripletOf(on, far, positives, negatives);
    expectRelative(loss(kernels()), loss(scalarKernels));
  });

  it('a Fisher where errors times B cancel, entry by entry', () => {
    const random = mulberry32(12);
    for (let trial = 0; trial < 300; trial++) {
      const [dim, rank, n] = [1 + (trial % 37), 1 + (trial % 9), 1 + (trial % 4)];
      const matrix = (height: number, width: number): number[][] =>
        Array.from({ length: height }, () => Array.from({ length: width }, () => random() - 0.5));
      const adapter = LoRAAdapter.from({ loraA: matrix(dim, rank), loraB: matrix(rank, dim), scaling: 1 });
      const inputs = matrix(n, dim).map(row => Float32Array.from(row));
      // The fit is nearly perfect, and the errors are nearly orthogonal to the first row of B.
      const noise = [1, 1e-2, 1e-4][trial % 3]!;
      const [direction] = adapter.loraB;
      const norm = direction!.reduce((sum, value) => sum + value * value, 0);
      const targets = adapter.forward(inputs).map(row => {
        const errors = Array.from(row, () => noise * (random() - 0.5));
        const along = errors.reduce((sum, error, j) => sum + error * direction![j]!, 0) / norm;
        return row.map((value, j) => value - errors[j]! + 0.999 * along * direction![j]!);
      });
      const [actual, expected] = [kernels(), scalarKernels].map(on => on.mseFisher(adapter, inputs, targets));
      expectClose(actual!.fisherA, expected!.fisherA, 1e-5, 1e-30);
      expectClose(actual!.fisherB, expected!.fisherB, 1e-5, 1e-30);
    }
  });

  it('a Fisher beyond float32', () => {
    const adapter = { loraA: rowsOf(20, 3), loraB: rowsOf(3, 20), scaling: 2 };
    adapter.loraB[1]![4] = 1e20;
    const [inputs, targets] = [rowsOf(1, 20), rowsOf(1, 20)];
    const [actual, expected] = [kernels(), scalarKernels].map(on => on.mseFisher(adapter, inputs, targets));
    expectCloseToLargest(actual!.fisherA, expected!.fisherA, 1e-5);
    expectCloseToLargest(actual!.fisherB, expected!.fisherB, 1e-5);
  });

  it('positives that are tiny compared with the negatives', () => {
    for (const [positive, negative] of [
      [
        [1e-4, 0],
        [900, 100],
      ],
      [
        [1e-7, 0],
        [0, 1000],
      ],
    ]) {
      const [anchors, positives] = [[[1, 0]], [positive!]];
      expectSameContrastive({ anchors, positives, negatives: [negative!], groups: null, temperature: 0.07 });
    }
  });

  it('anchors and own negatives so short that ε matters, and zero rows', () => {
    const [anchors, positives] = [rowsOf(4, 5, 1e-4), rowsOf(4, 5)];
    const own = { rows: [...rowsOf(4, 5, 1e-4), ...rowsOf(4, 5, 1e-5)], isSkipped: new Uint8Array(8) };
    own.rows[3]!.fill(0);
    anchors[2]!.fill(0);
    for (const negatives of [[], null, rowsOf(3, 5, 1e-4)])
      expectSameContrastive({ anchors, positives, negatives, own, groups: null, temperature: 0.5 });
  });

  it('leaves numbers beyond float32 to the scalar kernels', () => {
    const [anchors, positives] = [
      [
        [1e200, 0],
        [0, 1e39],
      ],
      [
        [1, 1e-3],
        [1e-3, 1],
      ],
    ];
    expectSameContrastive({ anchors, positives, negatives: null, groups: null, temperature: 0.5 });
    expect(kernels().hardestNegatives(anchors, positives)).toEqual(scalarKernels.hardestNegatives(anchors, positives));
    expectRelative(entropyOf(kernels(), [[1e6, 1e6 + 1]], [0]), Math.log(1 + Math.E));
  });

  it('passes bad numbers on to the result, where the caller looks for them', () => {
    for (const bad of [Number.NaN, Infinity]) {
      const spoiled = rowsOf(5, 33);
      spoiled[3]![20] = bad;
      const fine = rowsOf(5, 33);
      for (const [anchors, positives] of [
        [spoiled, fine],
        [fine, spoiled],
      ] as const) {
        const batch = { candidates: positives, kind: 'batch' as const, groups: null };
        const options = { ...batch, temperature: 0.1, coefficients: even(5), ...withGradients };
        expect(kernels().contrastive({ anchors, positives, ...options }).loss).toBeNaN();
        expect(kernels().hardestNegatives(anchors, positives)).toContain(-1);
        expect(Number.isFinite(mseOf(kernels(), anchors, positives))).toBe(false);
        expect(Number.isFinite(tripletOf(kernels(), anchors, positives, fine))).toBe(false);
        expect(Number.isFinite(cosineOf(kernels(), anchors, positives))).toBe(false);
      }
      expect(Number.isFinite(entropyOf(kernels(), spoiled, [0, 1, 2, 3, 4]))).toBe(false);
    }
  });
});

describe('memory', () => {
  it('grows while in use, and keeps its regions', () => {
    const memory = new KernelMemory(compileKernels()!);
    memory.begin();
    const small = memory.take(4 * 16);
    memory.commit();
    memory.f32.fill(7, small / 4, small / 4 + 16);
    const before = memory.f32;
    const large = memory.take(10 * 2 ** 20);
    memory.commit();
    expect(before.length).toBe(0);
    expect(Array.from(memory.f32.subarray(small / 4, small / 4 + 16))).toEqual(new Array(16).fill(7));
    expect(memory.bytes).toBeGreaterThanOrEqual(large + 10 * 2 ** 20);
    memory.begin();
    expect(memory.take(4)).toBe(small);
  });

  it('gives right results before and after it grows, and after a release', () => {
    for (const rows of [3, 600, 3, 900]) {
      const [anchors, positives] = [rowsOf(rows, 50), rowsOf(rows, 50)];
      const batch = { candidates: positives, kind: 'batch' as const, groups: null };
      const options = { ...batch, temperature: 0.1, coefficients: even(rows), ...lossAlone };
      const [actual, expected] = [kernels(), scalarKernels].map(on =>
        on.contrastive({ anchors, positives, ...options }),
      );
      expectRelative(actual!.loss, expected!.loss);
      if (rows === 600) releaseKernelMemory();
    }
  });

  it('that cannot grow leaves the call to the scalar kernels', () => {
    const script = `
      import { kernelBackend, LossComputer } from 'microlora-training-utils';
      const rows = n => Array.from({ length: n }, (_, i) => Float32Array.from({ length: 384 }, (_, j) => Math.sin(i * j)));
      const losses = [2, 400, 2].map(n => LossComputer.contrastive(rows(n), rows(n)).loss);
      console.log(kernelBackend(), losses.every(Number.isFinite));`;
    const args = ['--wasm-max-mem-pages=8', '--input-type=module', '--eval', script];
    expect(execFileSync(process.execPath, args, { encoding: 'utf8' })).toBe('simd true\n');
  });

  it('does not grow over 1,500 calls of the same shapes', () => {
    const memory = new KernelMemory(compileKernels()!);
    const sizes = new Set<number>();
    for (let call = 0; call < 1500; call++) {
      memory.begin();
      for (const bytes of [5000, 123, 70_000]) memory.take(bytes);
      memory.commit();
      sizes.add(memory.bytes);
    }
    expect(sizes.size).toBe(1);
  });
});

describe('the choice of backend', () => {
  it('is kept', () => {
    const chosen = kernelBackend();
    expect(chosen).toBe(process.env['KERNEL_BACKEND']);
    useKernelBackend('scalar');
    expect(kernelBackend()).toBe('scalar');
    useKernelBackend('simd');
    expect(kernelBackend()).toBe('simd');
    useKernelBackend(chosen);
    expect(() => useKernelBackend('gpu' as 'simd')).toThrow(
      "useKernelBackend: backend must be 'simd' | 'scalar', got \"gpu\"",
    );
    expect(kernelBackend()).toBe(chosen);
  });
});

function expectSameContrastive(problem: {
  anchors: Rows;
  positives: Rows;
  negatives: Rows | null;
  groups: Int32Array | null;
  temperature: number;
  own?: OwnNegatives | null;
}): void {
  const { negatives, groups, ...others } = problem;
  const kind = negatives ? ('others' as const) : ('batch' as const);
  const candidates = negatives ?? problem.positives;
  const ofBoth = groups && { anchors: groups, candidates: groups };
  const coefficients = even(problem.anchors.length);
  const options = { ...withGradients, ...others, groups: ofBoth, candidates, kind, coefficients };
  const losses = [0, 1].map(() => new Float64Array(problem.anchors.length));
  const [actual, expected] = [kernels(), scalarKernels].map((on, i) =>
    on.contrastive({ ...options, losses: losses[i]! }),
  );
  expectRelative(actual!.loss, expected!.loss);
  losses[0]!.forEach((loss, i) => {
    expectRelative(loss, losses[1]![i]!, 1e-6 / problem.temperature);
  });
  expectRelative(actual!.gradients!.temperature, expected!.gradients!.temperature, 1e-5 / problem.temperature ** 2);
  const rows = { ...options, own: options.own?.rows ?? [] };
  for (const name of ['anchors', 'positives', 'candidates', 'own'] as const) {
    const [a, e] = [actual!.gradients![name], expected!.gradients![name]];
    expect(a === null).toBe(e === null);
    if (a && e) expectSameGradient(rows[name], a, e, problem.temperature);
  }
  expect(kernels().contrastive({ ...options, wanted: null }).loss).toBe(actual!.loss);
  if ((problem.anchors.length + problem.anchors[0]!.length) % 5 > 0) return;
  // Gradients that are not wanted are null, and do not change the others. Only every fifth shape is tested, as this
  // takes four calls.
  for (const name of ['anchors', 'positives', 'candidates', 'own'] as const) {
    const only = { anchors: false, positives: false, candidates: false, own: false, [name]: true };
    const { gradients, loss } = kernels().contrastive({ ...options, wanted: only });
    const none = { anchors: null, positives: null, candidates: null, own: null };
    const { [name]: wanted, temperature, areBounded } = actual!.gradients!;
    expect([loss, gradients]).toEqual([actual!.loss, { ...none, [name]: wanted, temperature, areBounded }]);
  }
}

/**
 * A cosine's gradient is (b/|b| - cos · a/|a|) / |a|, and the two terms may cancel. Float32 must be exact to 1e-5 of
 * the gradient or to 1e-6 of the terms, row by row.
 */
function expectSameGradient(rows: Rows, actual: Rows, expected: Rows, temperature: number): void {
  rows.forEach((row, i) => {
    const norm = Math.hypot(...row);
    const terms = norm === 0 ? 0 : 1 / (temperature * norm);
    const [a, e] = [Array.from(actual[i]!), Array.from(expected[i]!)];
    const largest = Math.max(...e.map(Math.abs));
    const worst = Math.max(...a.map((value, j) => Math.abs(value - e[j]!)));
    expect(worst, `row ${i}: ${a.slice(0, 4)} against ${e.slice(0, 4)}`).toBeLessThanOrEqual(
      1e-5 * largest + 1e-6 * terms,
    );
  });
}

/** Within 1e-5 of the expected number, or, near 0, within `floor`. */
function expectRelative(actual: number, expected: number, floor = 1e-7): void {
  if (Object.is(actual, expected)) return;
  expect(Math.abs(actual - expected)).toBeLessThanOrEqual(1e-5 * Math.abs(expected) + floor);
}
