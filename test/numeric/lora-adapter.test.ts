import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Adapter,
  type AdapterGradients,
  BatchGenerator,
  LoRAAdapter,
  LossComputer,
  type LossResult,
  NgramEmbedder,
  type Rows,
  type SavedAdapter,
} from '../../src/index.js';
import { arbitraryRows, expectGradient } from '../laws/gradients.js';
import { expectClose } from '../support/close.js';
import { withMathRandom } from '../support/golden.js';

const problem = fc
  .record({
    n: fc.integer({ min: 1, max: 5 }),
    dim: fc.integer({ min: 1, max: 9 }),
    outDim: fc.integer({ min: 1, max: 9 }),
    isSquare: fc.boolean(),
    rank: fc.integer({ min: 1, max: 5 }),
  })
  .map(shape => ({ ...shape, outDim: shape.isSquare ? shape.dim : shape.outDim }))
  .chain(({ n, dim, outDim, rank }) =>
    fc.record({
      plain: fc.record({
        loraA: arbitraryRows(dim, rank),
        loraB: arbitraryRows(rank, outDim),
        scaling: fc.constantFrom(0.5, 2),
      }),
      rows: arbitraryRows(n, dim),
      weights: arbitraryRows(n, outDim),
    }),
  );

describe('forward', () => {
  it('equals a plain loop of x + scaling · x · A · B, without x when the map is not square', () => {
    fc.assert(
      fc.property(problem, ({ plain, rows }) => {
        expectClose(LoRAAdapter.from(plain).forward(rows), plainForward(plain, rows), 1e-5, 1);
      }),
    );
  });

  it('starts as the identity', () => {
    const adapter = new LoRAAdapter({ dim: 5, rank: 2, seed: 1 });
    expect(adapter.forward([[1, 2, 3, 4, 5]])).toEqual([Float32Array.of(1, 2, 3, 4, 5)]);
  });
});

describe('backward', () => {
  it('equals finite differences of a weighted sum of the outputs', () => {
    fc.assert(
      fc.property(problem, ({ plain, rows, weights }) => {
        const adapter = LoRAAdapter.from(plain);
        adapter.forward(rows);
        const { gradA, gradB, gradInputs } = adapter.backward(weights);
        const loss = (loraA: number[][], loraB: number[][], inputs: number[][]): number =>
          plainForward({ loraA, loraB, scaling: plain.scaling }, inputs).reduce(
            (sum, row, i) => sum + row.reduce((s, value, j) => s + value * weights[i]![j]!, 0),
            0,
          );
        expectGradient(moved => loss(moved, plain.loraB, rows), plain.loraA, gradA);
        expectGradient(moved => loss(plain.loraA, moved, rows), plain.loraB, gradB);
        expectGradient(moved => loss(plain.loraA, plain.loraB, moved), rows, gradInputs);
      }),
      { numRuns: 30 },
    );
  });

  it('belongs to the rows of the last forward, even if the caller has changed them since', () => {
    const adapter = LoRAAdapter.from({ loraA: [[1], [2]], loraB: [[3, 4]], scaling: 1 });
    const rows = [[1, 1]];
    adapter.forward(rows);
    const before = adapter.backward([[1, 0]]);
    rows[0]![0] = 99;
    expect(adapter.backward([[1, 0]])).toEqual(before);
  });

  it('needs a forward first', () => {
    expect(() => new LoRAAdapter({ dim: 2 }).backward([[1, 2]])).toThrow('backward: call forward first');
  });
});

describe('trace', () => {
  it('is a forward and backward for its own rows, with any calls in between', () => {
    fc.assert(
      fc.property(problem, ({ plain, rows, weights }) => {
        const adapter = LoRAAdapter.from(plain);
        const others = [...rows, ...rows].map(row => Array.from(row, value => value / 2));
        const { output, backward } = adapter.trace(rows);
        const other = adapter.trace(others);
        adapter.forward(others);
        const reference = LoRAAdapter.from(plain);
        expect(output).toEqual(reference.forward(rows));
        expect(backward(weights)).toEqual(reference.backward(weights));
        expect(other.output).toEqual(reference.forward(others));
        expect(other.backward([...weights, ...weights])).toEqual(reference.backward([...weights, ...weights]));
        expect(backward(weights)).toEqual(LoRAAdapter.from(plain).trace(rows).backward(weights));
      }),
      { numRuns: 30 },
    );
  });

  it('does not affect the last forward, and survives a loaded state', () => {
    const adapter = LoRAAdapter.from({ loraA: [[1], [2]], loraB: [[3, 4]], scaling: 1 });
    adapter.forward([[1, 1]]);
    const before = adapter.backward([[1, 0]]);
    const { backward } = adapter.trace([[5, 6]]);
    expect(adapter.backward([[1, 0]])).toEqual(before);
    adapter.loadStateDict(adapter.stateDict());
    expect(() => adapter.backward([[1, 0]])).toThrow('backward: call forward first');
    expect(backward([[1, 0]]).gradA).toEqual([Float32Array.of(15), Float32Array.of(18)]);
  });

  it('uses the weights at the time of backward, as backward of forward does', () => {
    const adapter = LoRAAdapter.from({ loraA: [[1], [2]], loraB: [[3, 4]], scaling: 1 });
    const { backward } = adapter.trace([[1, 1]]);
    adapter.forward([[1, 1]]);
    adapter.loraB[0]![0] = 7;
    adapter.loraA[0]![0] = 100;
    // gradA = x ⊗ B·g with the new B; gradB = x·A ⊗ g with x·A of the forward.
    const gradients = backward([[1, 0]]);
    expect(gradients.gradA).toEqual([Float32Array.of(7), Float32Array.of(7)]);
    expect(gradients.gradB).toEqual([Float32Array.of(3, 0)]);
    expect(adapter.backward([[1, 0]])).toEqual(gradients);
  });

  it('copies its rows', () => {
    const adapter = LoRAAdapter.from({ loraA: [[1], [2]], loraB: [[3, 4]], scaling: 1 });
    const rows = [[1, 1]];
    const { backward } = adapter.trace(rows);
    const before = backward([[1, 0]]);
    rows[0]![0] = 99;
    expect(backward([[1, 0]])).toEqual(before);
  });
});

describe('a new adapter', () => {
  it('has Gaussian A with standard deviation √(2 / (dim + rank)) and zero B, as in MicroLoRA', () => {
    const { loraA, loraB, scaling, dim, outDim, rank, alpha } = new LoRAAdapter({
      dim: 400,
      rank: 8,
      alpha: 16,
      seed: 3,
    });
    const entries = loraA.flatMap(row => Array.from(row));
    const mean = entries.reduce((sum, value) => sum + value) / entries.length;
    const variance = entries.reduce((sum, value) => sum + value * value, 0) / entries.length;
    const expected = 2 / 408;
    expect(Math.abs(mean)).toBeLessThan(5 * Math.sqrt(expected / entries.length));
    expect(Math.abs(variance / expected - 1)).toBeLessThan(5 * Math.sqrt(2 / entries.length));
    expect(loraB.every(row => row.every(value => value === 0))).toBe(true);
    expect({ scaling, dim, outDim, rank, alpha }).toEqual({ scaling: 2, dim: 400, outDim: 400, rank: 8, alpha: 16 });
    expect([loraA.length, loraA[0]!.length, loraB.length, loraB[0]!.length]).toEqual([400, 8, 8, 400]);
  });

  it('draws as MicroLoRA does, or from its seed', async () => {
    const draw = (seed?: number): Promise<readonly Float32Array[]> =>
      withMathRandom(9, () => new LoRAAdapter({ dim: 4, ...(seed !== undefined && { seed }) }).loraA);
    expect(await draw()).toEqual(await draw());
    expect(await draw(1)).toEqual(await draw(1));
    expect(await draw(1)).not.toEqual(await draw(2));
    await withMathRandom(9, draws => {
      new LoRAAdapter({ dim: 4, rank: 2 });
      expect(draws()).toBe(16);
      new LoRAAdapter({ dim: 4, rank: 2, seed: 1 });
      expect(draws()).toBe(16);
    });
  });
});

describe('saved form', () => {
  it('round-trips through JSON', () => {
    const adapter = new LoRAAdapter({ dim: 3, outDim: 2, rank: 2, alpha: 3, seed: 1 });
    adapter.loraB[1]![0] = 0.1;
    const saved = JSON.parse(JSON.stringify(adapter)) as Adapter;
    expect(Object.keys(saved)).toEqual(['loraA', 'loraB', 'scaling']);
    const restored = LoRAAdapter.from(saved);
    expect(restored.loraA).toEqual(adapter.loraA);
    expect(restored.loraB).toEqual(adapter.loraB);
    expect(restored.scaling).toBe(adapter.scaling);
  });

  it('is copied by from', () => {
    const plain = { loraA: [[1]], loraB: [[2]], scaling: 1 };
    LoRAAdapter.from(plain).loraA[0]![0] = 9;
    expect(plain.loraA).toEqual([[1]]);
  });
});

describe('JSON', () => {
  const adapter = new LoRAAdapter({ dim: 3, outDim: 2, rank: 2, seed: 1 });
  adapter.loraB[1]!.set([0.25, -7]);
  const { loraA, loraB, scaling } = adapter;
  const parsed = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;
  const nested = (rows: Rows): number[][] => rows.map(row => Array.from(row));
  /** The result of `JSON.stringify` for an array of `Float32Array`s. */
  const asObjects = (rows: Rows): unknown => rows.map(row => ({ ...Float32Array.from(row) }));

  it('of any matrix is nested arrays, and the matrix is otherwise an ordinary array', () => {
    expect(parsed({ loraA, loraB })).toEqual({ loraA: nested(loraA), loraB: nested(loraB) });
    const rowsOf = (seed: number): Rows => nested(new LoRAAdapter({ dim: 4, rank: 3, seed }).loraA);
    const [anchors, positives, negatives] = [rowsOf(11), rowsOf(12), rowsOf(13)];
    const { output, backward } = adapter.trace(anchors);
    const ofTrace = backward(output);
    const adapters = new Map([
      [
        'a',
        LoRAAdapter.from({
          loraA: nested(loraA),
          loraB: [
            [1, 2, 3],
            [4, 5, 6],
          ],
          scaling: 1,
        }),
      ],
    ]);
    const own = { gradients: true, wrt: ['anchors', 'positives', 'negatives'] } as const;
    const through = { adapters, through: { anchors: 'a', positives: 'a' } };
    const contrastive = (['explicit', 'own', 'inBatch+explicit', 'inBatch+own'] as const).flatMap(negativeMode =>
      [{}, through].map(more =>
        LossComputer.contrastive(anchors, positives, negatives, { ...own, ...more, negativeMode }),
      ),
    );
    const losses: LossResult[] = [
      ...contrastive,
      LossComputer.contrastive(anchors, positives, null, { gradients: true, symmetric: true }),
      LossComputer.crossEntropy(anchors, [0, 1, 2, 0], { gradients: true }),
      LossComputer.mse(anchors, positives, { gradients: true }),
      LossComputer.triplet(anchors, positives, negatives, { gradients: true }),
      LossComputer.cosineEmbedding(anchors, positives, null, { gradients: true }),
    ];
    losses.push(LossComputer.combine(contrastive.map(loss => ({ loss, weight: 0.5 }))));
    const step = adapter.asStep();
    const { gradInputs, gradParams } = step.backward(anchors, output) as {
      gradInputs: Rows;
      gradParams: AdapterGradients;
    };
    const matrices = [
      ...[output, ofTrace.gradA, ofTrace.gradB, ofTrace.gradInputs, adapter.forward(anchors), gradInputs],
      ...[step.forward(anchors), gradParams.gradA, gradParams.gradB],
      ...losses.flatMap(({ gradients, targetGradients, negativeGradients, adapterGradients }) => [
        ...[gradients, targetGradients, negativeGradients].filter(rows => rows !== undefined),
        ...Array.from(adapterGradients?.values() ?? []).flatMap(({ gradA, gradB }) => [gradA, gradB]),
      ]),
    ];
    const examples = anchors.map((row, i) => ({
      inputEmb: Float32Array.from(row),
      outputEmb: Float32Array.from(positives[i]!),
    }));
    for (const options of [{ hardNegatives: true }, { negativeMining: { strategy: 'random' }, seed: 1 }, {}] as const) {
      const [batch] = new BatchGenerator(examples, options);
      matrices.push(batch!.anchors, batch!.positives);
      if (batch!.negatives) matrices.push(batch!.negatives);
    }
    matrices.push(new NgramEmbedder({ dim: 8 }).embed(['one', 'two']));
    expect(matrices.length).toBeGreaterThan(50);
    for (const matrix of matrices) {
      expect(parsed(matrix)).toEqual(nested(matrix));
      expect(Object.keys(matrix)).toEqual(Object.keys(nested(matrix)));
      expect(structuredClone(matrix)).toEqual([...matrix]);
    }
  });

  it('of an adapter in any form can be read by `from` and `loadStateDict`', () => {
    for (const form of [
      adapter,
      { loraA, loraB, scaling },
      { loraA: nested(loraA), loraB: nested(loraB), scaling },
      { loraA: [...loraA], loraB: [...loraB], scaling },
      { loraA: asObjects(loraA), loraB: asObjects(loraB), scaling },
      { loraA: { ...nested(loraA) }, loraB: { ...(asObjects(loraB) as object[]) }, scaling },
    ]) {
      const saved = parsed(form) as SavedAdapter;
      expect(LoRAAdapter.from(saved)).toEqual(adapter);
      const loaded = new LoRAAdapter({ dim: 3, outDim: 2, rank: 2, seed: 5 });
      loaded.loadStateDict(saved);
      expect(loaded).toEqual(adapter);
    }
  });

  it.each<[string, unknown]>([
    ['adapter.loraA[0] must be a Float32Array, Float64Array or number[], got an object', [{ 1: 1, 2: 2 }]],
    ['adapter.loraA[0] must be a Float32Array, Float64Array or number[], got an object', [{}]],
    ['adapter.loraA[0] must be a Float32Array, Float64Array or number[], got an object', [{ 0: 1, 2: 2 }]],
    ['adapter.loraA[0][1] must be a number, got null', [{ 0: 1, 1: null }]],
    ['adapter.loraA[1][0] must be a number, got "x"', [[1], { 0: 'x' }]],
    ['adapter.loraA must be an array, got an object', { length: 1 }],
  ])('of something else is refused: %s', (message, rows) => {
    const saved = { loraA: rows, loraB: [[1, 2]], scaling: 1 } as SavedAdapter;
    expect(() => LoRAAdapter.from(saved)).toThrow(`LoRAAdapter.from: ${message}`);
  });
});

describe('loadStateDict', () => {
  it('replaces weights in place, and forgets the last forward', () => {
    const adapter = new LoRAAdapter({ dim: 3, rank: 2, seed: 1 });
    const other = new LoRAAdapter({ dim: 3, rank: 2, seed: 2 });
    const { loraA, loraB } = adapter;
    const [row] = loraA;
    adapter.forward([[1, 2, 3]]);
    adapter.loadStateDict(JSON.parse(JSON.stringify(other.stateDict())) as SavedAdapter);
    expect(adapter.loraA).toBe(loraA);
    expect(adapter.loraA[0]).toBe(row);
    expect([loraA, loraB]).toEqual([other.loraA, other.loraB]);
    expect(() => adapter.backward([[1, 2, 3]])).toThrow('backward: call forward first');
  });

  it.each<[string, (state: SavedAdapter) => unknown]>([
    ['state must be an object, got undefined', () => undefined],
    ['state.scaling must be a finite number, got undefined', ({ loraA, loraB }) => ({ loraA, loraB })],
    ['state.scaling is 3, this adapter has 4', state => ({ ...state, scaling: 3 })],
    [
      'state is of rank 1, the adapter of rank 2',
      () => new LoRAAdapter({ dim: 2, rank: 1, alpha: 4, seed: 2 }).stateDict(),
    ],
    ['state is of rank 4, the adapter of rank 2', () => new LoRAAdapter({ dim: 2, rank: 4, seed: 2 }).stateDict()],
    ['state.loraA has 1 row, the adapter has 2', state => ({ ...state, loraA: [[1, 1]] })],
    ['state.loraB[0] has 1 entry, expected 2', state => ({ ...state, loraB: [[1], [1]] })],
    [
      'state.loraB[0][1] must be finite, got Infinity',
      ({ loraB, ...state }) => ({ ...state, loraB: [[1, 1e39], loraB[1]] }),
    ],
    [
      'state.loraB[0][1] must be a number, got null',
      ({ loraB, ...state }) => ({ ...state, loraB: [[1, null], loraB[1]] }),
    ],
  ])('refuses a bad state and changes nothing: %s', (message, damage) => {
    const adapter = new LoRAAdapter({ dim: 2, rank: 2, seed: 1 });
    const before = adapter.stateDict();
    const other = new LoRAAdapter({ dim: 2, rank: 2, seed: 2 }).stateDict();
    expect(() => adapter.loadStateDict(damage(other) as SavedAdapter)).toThrow(`LoRAAdapter.loadStateDict: ${message}`);
    expect(adapter.stateDict()).toEqual(before);
  });
});

function plainForward({ loraA, loraB, scaling }: Adapter, rows: readonly ArrayLike<number>[]): number[][] {
  return rows.map(row => {
    const hidden = loraB.map((_, k) => loraA.reduce((sum, a, i) => sum + row[i]! * a[k]!, 0));
    return Array.from(loraB[0]!, (_, j) => {
      const delta = hidden.reduce((sum, h, k) => sum + h * loraB[k]![j]!, 0);
      return (loraA.length === loraB[0]!.length ? row[j]! : 0) + scaling * delta;
    });
  });
}
