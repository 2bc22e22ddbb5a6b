import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Adapter, type Float32Row, kernelBackend, LossComputer, type Rows } from '../../src/index.js';
import { mulberry32 } from '../support/golden.js';

/** Similarities in 16-bit integers against float32, by bounds that follow from rounding entries of unit rows. */

const SCALE = 32767;

/** An adapter that changes nothing, so the compared rows are known. */
function identity(dim: number): Adapter {
  return {
    loraA: Array.from({ length: dim }, () => new Float32Array(8)),
    loraB: Array.from({ length: 8 }, () => new Float32Array(dim)),
    scaling: 1,
  };
}

function rowsOf(count: number, width: number, random: () => number): Float32Row[] {
  return Array.from({ length: count }, () => Float32Array.from({ length: width }, () => random() - 0.5));
}

function lossOf(anchors: Rows, positives: Rows, options: object): number {
  const adapters = new Map([['a', identity(anchors[0]!.length)]]);
  return LossComputer.contrastive(anchors, positives, null, { adapters, through: { anchors: 'a' }, ...options }).loss;
}

describe('precision int16', () => {
  it('gives the loss of cosines of rounded entries, with own cosines unrounded', () => {
    const random = mulberry32(1);
    const temperature = 0.07;
    for (const [n, width] of [
      [2, 16],
      [7, 40],
      [33, 384],
      [130, 64],
    ] as const) {
      const [anchors, positives] = [rowsOf(n, width, random), rowsOf(n, width, random)];
      const unit = (row: Float32Row): number[] => Array.from(row, value => value / Math.hypot(...row));
      const round = (row: Float32Row): number[] => unit(row).map(value => Math.round(SCALE * value) / SCALE);
      const dot = (a: number[], b: number[]): number => a.reduce((sum, value, k) => sum + value * b[k]!, 0);
      const [rounded, roundedPositives] = [anchors.map(round), positives.map(round)];
      let expected = 0;
      rounded.forEach((anchor, i) => {
        const own = dot(unit(anchors[i]!), unit(positives[i]!));
        const others = roundedPositives.map((other, j) => (i === j ? own : dot(anchor, other)));
        expected += Math.log(others.reduce((sum, cosine) => sum + Math.exp((cosine - own) / temperature), 0)) / n;
      });
      const actual = lossOf(anchors, positives, { temperature, precision: 'int16' });
      // The scalar backend computes in float64, without rounding.
      const tolerance = kernelBackend() === 'simd' ? 1e-6 : 1e-3;
      expect(Math.abs(actual - expected)).toBeLessThan(tolerance * Math.max(1, expected));
    }
  });

  it('has at most the error that rounding of entries allows', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(2, 3, 17, 64, 130),
        fc.constantFrom(16, 33, 100, 512, 1030),
        fc.constantFrom(0.05, 0.2, 1),
        fc.constantFrom('random', 'one entry', 'equal', 'far apart'),
        fc.boolean(),
        fc.nat(1000),
        (n, width, temperature, kind, symmetric, seed) => {
          const random = mulberry32(seed);
          const [anchors, positives] = [rowsOf(n, width, random), rowsOf(n, width, random)];
          // All of the mass is in one entry of either sign, which gives the largest integers.
          if (kind === 'one entry')
            for (const row of [...anchors, ...positives])
              row.fill(0).set([random() < 0.5 ? -1e10 : 1e-10], seed % width);
          if (kind === 'equal') for (const row of [...anchors, ...positives]) row.set(anchors[0]!);
          if (kind === 'far apart') for (const row of positives) for (let k = 0; k < width; k++) row[k]! *= 1e6;
          const options = { temperature, symmetric };
          const difference =
            lossOf(anchors, positives, { ...options, precision: 'int16' }) - lossOf(anchors, positives, options);
          // |a·b - a'·b'| ≤ ½/32767 · (|a|₁ + |b|₁) + width · (½/32767)², and |a|₁ ≤ √width; own cosines are exact.
          const step = 0.5 / SCALE;
          const ofCosines = 2 * step * Math.sqrt(width) + width * step ** 2;
          expect(Math.abs(difference)).toBeLessThan(ofCosines / temperature + 1e-5);
        },
      ),
    );
  });

  it('gives gradients of both adapters close to the float32 gradients', () => {
    const random = mulberry32(3);
    const [n, dim, rank] = [300, 96, 8];
    const adapterOf = (): Adapter => ({
      loraA: rowsOf(dim, rank, random),
      loraB: rowsOf(rank, dim, random),
      scaling: 0.3,
    });
    const adapters = new Map([
      ['query', adapterOf()],
      ['answer', adapterOf()],
    ]);
    const anchors = rowsOf(n, dim, random);
    const positives = anchors.map(row => row.map(value => value + 0.5 * (random() - 0.5)));
    const options = { adapters, through: { anchors: 'query', positives: 'answer' }, gradients: true } as const;
    const float32 = LossComputer.contrastive(anchors, positives, null, options);
    const int16 = LossComputer.contrastive(anchors, positives, null, { ...options, precision: 'int16' });
    expect(Math.abs(int16.loss - float32.loss)).toBeLessThan(2e-6);
    for (const name of adapters.keys()) {
      for (const matrix of ['gradA', 'gradB'] as const) {
        const [actual, expected] = [int16, float32].map(result =>
          result.adapterGradients!.get(name)![matrix].flatMap(row => [...row]),
        );
        const largest = Math.max(...expected!.map(Math.abs));
        const off = Math.max(...actual!.map((value, k) => Math.abs(value - expected![k]!)));
        expect(off).toBeLessThan(2e-4 * largest);
      }
    }
  });

  it('is refused where it has no meaning', () => {
    const rows = [[1, 2]];
    const adapters = new Map([['a', identity(2)]]);
    const bad = (options: object) => () => LossComputer.contrastive(rows, rows, null, options);
    expect(bad({ precision: 'int16' })).toThrow(
      new RangeError("LossComputer.contrastive: precision 'int16' needs adapters, got undefined"),
    );
    expect(bad({ adapters, through: { anchors: 'a' }, precision: 'int8' })).toThrow(
      /^LossComputer\.contrastive: precision must be/,
    );
    expect(bad({ adapters, through: { anchors: 'a' }, precision: 16 })).toThrow(TypeError);
  });
});
