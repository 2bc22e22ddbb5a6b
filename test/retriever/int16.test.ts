import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { kernelBackend, Retriever, type Rows, releaseKernelMemory, useKernelBackend } from '../../src/index.js';
import { kernels } from '../../src/kernels/index.js';
import { int16Error, packInt16 } from '../../src/kernels/packed-int16.js';
import { dotOf, type PackedRows, packRows, type UnitRows, unitRows } from '../../src/kernels/packed-rows.js';
import { mulberry32 } from '../support/golden.js';

/**
 * Search and evaluation with a first pass in 16-bit integers. Compares the pass with its definition, and the result
 * with float32.
 */

const SCALE = 32767;
const backend = kernelBackend();
const onSimd = backend === 'simd';
afterEach(() => useKernelBackend(backend));

function rowsOf(count: number, width: number, seed: number): Float32Array[] {
  const random = mulberry32(seed);
  return Array.from({ length: count }, () => Float32Array.from({ length: width }, () => 2 * random() - 1));
}

/** Cosines of the first pass, one row per query. */
function cosinesOf(queries: UnitRows, candidates: PackedRows): number[][] {
  const all = Array.from({ length: queries.count }, () => [] as number[]);
  const thresholds = new Float32Array(queries.count).fill(-Infinity);
  const visit = (query: number, count: number, indices: Int32Array, cosines: Float32Array): void => {
    for (let h = 0; h < count; h++) {
      expect(indices[h]).toBe(all[query]!.length);
      all[query]!.push(cosines[h]!);
    }
  };
  kernels().scan(queries, candidates, thresholds, visit, packInt16(candidates));
  return all;
}

/** The definition: the integers nearest to 32767 times the entries of unit rows. */
function integersOf(row: Float32Array): number[] {
  return Array.from(unitRows([row], 0, 1).data, value => Math.floor(SCALE * value + 0.5));
}

/** Searches, and evaluates with some relevant candidates. */
function expectSame(queries: Rows, retriever: Retriever, k: number): void {
  const precision = 'int16';
  expect(retriever.search(queries, k, { precision })).toEqual(retriever.search(queries, k));
  const relevant = queries.map((_, i) => [i, 3 * i + 1, 7 * i + 4].map(j => j % retriever.size));
  expect(retriever.evaluate(queries, relevant, { precision })).toEqual(retriever.evaluate(queries, relevant));
}

/** Rows whose entries, except maybe the last, all round in the same direction by nearly one half. */
function worstRow(width: number): Float32Array {
  const row = new Float32Array(width).fill((Math.floor(SCALE / Math.sqrt(width)) - 0.51) / SCALE);
  row[width - 1] = Math.sqrt(1 - (width - 1) * row[0]! ** 2);
  return row;
}

/** Rows with a single entry of 1 or -1. */
function sharpRows(width: number, count = 2 * width): Float32Array[] {
  return Array.from({ length: count }, (_, i) => {
    const row = new Float32Array(width);
    row[i >> 1] = 1 - 2 * (i % 2);
    return row;
  });
}

describe('cosines in 16-bit integers', () => {
  it('are the products of rounded entries, on SIMD', () => {
    for (const width of [1, 2, 3, 15, 16, 17, 64, 383, 384, 1030]) {
      for (const [n, m] of [
        [1, 1],
        [3, 17],
        [65, 40],
        [2, 1041],
      ] as const) {
        if (n * m * width > 3e6) continue;
        const [queries, candidates] = [rowsOf(n, width, width), rowsOf(m, width, n + m)];
        const actual = cosinesOf(unitRows(queries, 0, n), packRows(candidates));
        const [left, right] = [queries.map(integersOf), candidates.map(integersOf)];
        left.forEach((a, i) => {
          const expected = right.map(b => a.reduce((sum, value, k) => sum + value * b[k]!, 0) / SCALE ** 2);
          const largest = expected.reduce((most, value, j) => Math.max(most, Math.abs(value - actual[i]![j]!)), 0);
          // The cosines are rounded to float32 twice. The scalar backend computes without integers.
          expect(largest).toBeLessThan(onSimd ? 1.3e-7 : int16Error(width));
        });
      }
    }
  });

  it('are within their bound, which some rows nearly reach', () => {
    for (const width of [2, 5, 50, 384, 1000, 4096, 20_000]) {
      const rows = [worstRow(width), ...rowsOf(40, width, width), ...sharpRows(width, 4)];
      rows.push(
        rows[0]!.map(value => -value),
        new Float32Array(width).fill(-1),
        new Float32Array(width),
      );
      const [queries, candidates] = [unitRows(rows, 0, rows.length), packRows(rows)];
      let largest = 0;
      cosinesOf(queries, candidates).forEach((cosines, i) => {
        cosines.forEach((cosine, j) => {
          largest = Math.max(largest, Math.abs(cosine - dotOf(queries, i, candidates, j)));
        });
      });
      expect(largest).toBeLessThan(int16Error(width));
      if (onSimd && width > 2) expect(largest).toBeGreaterThan(0.8 * int16Error(width));
    }
  });

  it('do not overflow where all mass is in one entry, or is spread evenly', () => {
    const width = 40;
    const rows = [...sharpRows(width), new Float32Array(width).fill(1), new Float32Array(width).fill(-1)];
    const even = 2 * width;
    const cosines = cosinesOf(unitRows(rows, 0, rows.length), packRows(rows));
    expect(cosines[0]!.slice(0, 4)).toEqual([1, -1, 0, 0]);
    expect(cosines[1]!.slice(0, 4)).toEqual([-1, 1, 0, 0]);
    expect(cosines[even]![even]).toBeCloseTo(1, 3);
    expect(cosines[even]![even + 1]).toBe(-cosines[even]![even]!);
  });
});

describe("search and evaluate with precision 'int16'", () => {
  it('equal float32 to the last bit, including near ties', () => {
    const spread = fc.constantFrom(1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-7);
    const shape = fc.record({ width: fc.integer({ min: 1, max: 70 }), m: fc.integer({ min: 1, max: 120 }) });
    fc.assert(
      fc.property(fc.nat(1e6), spread, shape, fc.integer({ min: 1, max: 60 }), (seed, scale, { width, m }, k) => {
        const [base, ...noise] = rowsOf(m + 1, width, seed);
        const candidates = noise.map(row => row.map((value, j) => base![j]! + scale * value));
        const retriever = new Retriever([...candidates, ...candidates.slice(0, m >> 1), new Float32Array(width)]);
        expectSame([base!, noise[0]!, noise[0]!.map(value => -value), new Float32Array(width)], retriever, k);
      }),
      { numRuns: 200 },
    );
  });

  it('equal float32 for rows of few values, with many ties', () => {
    const row = fc.array(fc.integer({ min: -2, max: 2 }), { minLength: 3, maxLength: 3 });
    fc.assert(
      fc.property(
        fc.array(row, { minLength: 1, maxLength: 6 }),
        fc.array(row, { minLength: 1, maxLength: 90 }),
        fc.integer({ min: 1, max: 30 }),
        (queries, candidates, k) => expectSame(queries, new Retriever(candidates), k),
      ),
      { numRuns: 200 },
    );
  });

  it('equal float32 for rows with all mass in one entry, tiny and huge rows, and duplicates', () => {
    const width = 24;
    const rows = [...sharpRows(width), ...rowsOf(30, width, 1)];
    const scaled = rows.map((row, i) => Float64Array.from(row, value => value * 2 ** (40 * (i % 31) - 600)));
    const retriever = new Retriever([...rows, ...scaled, ...rows]);
    for (const k of [1, 3, 40, 500]) expectSame([...rows, ...scaled], retriever, k);
  });

  it('equal float32 where more candidates than it keeps differ by less than the rounding', () => {
    const width = 384;
    const random = mulberry32(4);
    const base = worstRow(width);
    const candidates = Array.from({ length: 1500 }, () => base.map(value => value + 4e-4 * (random() - 0.5)));
    const retriever = new Retriever(candidates);
    for (const k of [1, 10, 100, 1400, 1500]) expectSame([base, candidates[7]!, rowsOf(1, width, 9)[0]!], retriever, k);
  });

  it.each([
    [1, 3000, 384],
    [70, 2049, 33],
    [9000, 20, 3],
  ])('%i queries, %i candidates, %i numbers: blocks and chunks do not matter', (n, m, width) => {
    expectSame(rowsOf(n, width, n), new Retriever(rowsOf(m, width, m)), 10);
  });

  it('survive a release of kernel memory and a change of the backend', () => {
    const queries = rowsOf(3, 50, 1);
    const retriever = new Retriever(rowsOf(200, 50, 2));
    const found = retriever.search(queries, 5);
    for (const name of ['scalar', 'simd', 'scalar'] as const) {
      useKernelBackend(name);
      expect(retriever.search(queries, 5, { precision: 'int16' })).toEqual(found);
      releaseKernelMemory();
    }
  });
});
