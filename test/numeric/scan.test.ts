import { describe, expect, it } from 'vitest';
import { kernels } from '../../src/kernels/index.js';
import { SCAN_ERROR } from '../../src/kernels/kernels.js';
import { cosineOf, packRows, unitRows } from '../../src/kernels/packed-rows.js';
import { mulberry32 } from '../support/golden.js';

const random = mulberry32(12);
const rowsOf = (count: number, width: number): Float32Array[] =>
  Array.from({ length: count }, () => Float32Array.from({ length: width }, () => 2 * random() - 1));
const everyShape = Array.from({ length: 9 }, (_, i) => i + 1).flatMap(rows =>
  Array.from({ length: 70 }, (_, i) => ({ rows, width: i + 1 })),
);

describe('the scan of candidates', () => {
  it('visits every candidate above the threshold of its query, once and in order', () => {
    for (const { rows, width } of everyShape) {
      const [queries, packed] = [unitRows(rowsOf(rows, width), 0, rows), packRows(rowsOf((width % 37) + 1, width))];
      const thresholds = Float32Array.from({ length: rows }, (_, i) => (i === 0 ? -Infinity : 0.7 * (random() - 0.5)));
      const hits = new Map<number, number[]>();
      kernels().scan(queries, packed, thresholds, (query, count, indices, cosines) => {
        expect(count).toBeGreaterThan(0);
        for (let h = 0; h < count; h++) {
          hits.set(query, [...(hits.get(query) ?? []), indices[h]!]);
          expect(Math.abs(cosines[h]! - cosineOf(queries, query, packed, indices[h]!))).toBeLessThan(SCAN_ERROR);
        }
      });
      for (let i = 0; i < rows; i++) {
        const all = Array.from({ length: packed.count }, (_, j) => j);
        const sure = all.filter(j => cosineOf(queries, i, packed, j) > thresholds[i]! + SCAN_ERROR);
        const found = hits.get(i) ?? [];
        expect(found).toEqual([...new Set(found)].sort((a, b) => a - b));
        expect(found).toEqual(expect.arrayContaining(sure));
        for (const j of found) expect(cosineOf(queries, i, packed, j)).toBeGreaterThan(thresholds[i]! - SCAN_ERROR);
      }
    }
  });

  it('stays within its error where every rounding goes in the same direction', () => {
    for (const width of [1, 255, 256, 257, 384, 1000, 4096, 16_384]) {
      const even = Float32Array.from({ length: width }, () => 1);
      const sloped = Float32Array.from({ length: width }, (_, k) => 1 + k / width);
      const [queries, packed] = [unitRows([even, sloped], 0, 2), packRows([even, sloped])];
      kernels().scan(queries, packed, new Float32Array(2).fill(-Infinity), (query, count, indices, cosines) => {
        expect(count).toBe(2);
        for (let h = 0; h < count; h++)
          expect(Math.abs(cosines[h]! - cosineOf(queries, query, packed, indices[h]!))).toBeLessThan(SCAN_ERROR);
      });
    }
  });
});
