import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Frontier, FrontierBuilder } from '../../src/gradient-checkpointer/chain/frontier.js';

/** A schedule: the bytes it needs, its cost, and the decision it starts with. */
type Point = [need: number, cost: number, decision: number];

const flat = (points: readonly Point[]): Frontier => Float64Array.from(points.flat());
const pointsOf = (frontier: Frontier): Point[] =>
  Array.from({ length: frontier.length / 3 }, (_, i) => [...frontier.subarray(3 * i, 3 * i + 3)] as Point);

/** The cheapest cost within each number of bytes. */
function costsWithin(points: readonly Point[], budget: number): number[] {
  return Array.from({ length: budget + 1 }, (_, room) =>
    points.reduce((least, [need, cost]) => (need <= room ? Math.min(least, cost) : least), Infinity),
  );
}

/** Bytes ascend and costs descend, both strictly. */
function expectStaircase(points: readonly Point[]): void {
  for (let i = 1; i < points.length; i++) {
    expect(points[i]![0]).toBeGreaterThan(points[i - 1]![0]);
    expect(points[i]![1]).toBeLessThan(points[i - 1]![1]);
  }
}

/** Points as frontiers have them. */
const staircase = (most: number): fc.Arbitrary<Point[]> =>
  fc
    .array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 })), { minLength: 1, maxLength: most })
    .map(rises => {
      let [need, cost] = [0, rises.reduce((sum, [, fall]) => sum + fall, 0)];
      return rises.map(([rise, fall], i): Point => [(need += rise), (cost -= fall), i + 1]);
    });

describe('a frontier', () => {
  it('of sums of two parts is the cheapest sum within every number of bytes', () => {
    const parts = fc.record({
      above: staircase(6),
      beside: staircase(6),
      size: fc.integer({ min: 0, max: 5 }),
      cost: fc.integer({ min: 0, max: 5 }),
    });
    fc.assert(
      fc.property(fc.array(parts, { minLength: 1, maxLength: 4 }), fc.integer({ min: 1, max: 40 }), (all, budget) => {
        const builder = new FrontierBuilder(budget);
        const sums: Point[] = [];
        all.forEach(({ above, beside, size, cost }, i) => {
          builder.addParts({ above: flat(above), beside: flat(beside), size, cost, decision: i + 1 });
          for (const [needAbove, costAbove] of above)
            for (const [needBeside, costBeside] of beside)
              sums.push([Math.max(size + needAbove, needBeside), cost + costAbove + costBeside, i + 1]);
        });
        const points = pointsOf(builder.build(Infinity));
        expectStaircase(points);
        expect(costsWithin(points, budget)).toEqual(costsWithin(sums, budget));
        // Each point is the sum of the decision that it names.
        for (const [need, cost, decision] of points)
          expect(sums.some(sum => sum[0] <= need && sum[1] === cost && sum[2] === decision)).toBe(true);
      }),
    );
  });

  it('of a moved one costs more by the step, and needs the room of its state', () => {
    fc.assert(
      fc.property(staircase(8), fc.integer({ min: 0, max: 20 }), fc.nat(9), (points, size, cost) => {
        const builder = new FrontierBuilder(100);
        builder.addMoved(flat(points), size, cost);
        const moved = pointsOf(builder.build(Infinity));
        expectStaircase(moved);
        const all = points.map(([need, each]): Point => [Math.max(need, size), each + cost, 0]);
        expect(costsWithin(moved, 100)).toEqual(costsWithin(all, 100));
        expect(moved.every(([, , decision]) => decision === 0)).toBe(true);
      }),
    );
  });

  it.each([1, 255, 256, 257, 512, 513, 2000])('holds %i points', count => {
    const points = Array.from({ length: count }, (_, i): Point => [i + 1, count - i, 0]);
    const builder = new FrontierBuilder(count);
    builder.addMoved(flat(points), 0, 0);
    expect(pointsOf(builder.build(count))).toEqual(points);
  });

  it('starts anew after clear', () => {
    const builder = new FrontierBuilder(9);
    builder.addMoved(flat([[1, 1, 0]]), 0, 0);
    builder.clear();
    builder.addMoved(flat([[2, 5, 0]]), 0, 0);
    expect(pointsOf(builder.build(9))).toEqual([[2, 5, 0]]);
  });

  it('keeps evenly spaced points where it may not keep all, the first and the last among them', () => {
    fc.assert(
      fc.property(staircase(40), fc.integer({ min: 2, max: 40 }), (points, most) => {
        const builder = new FrontierBuilder(1000);
        builder.addMoved(flat(points), 0, 0);
        const kept = pointsOf(builder.build(most));
        const all = points.map(([need, cost]): Point => [need, cost, 0]);
        if (all.length <= most) {
          expect(kept).toEqual(all);
          return;
        }
        expect(kept).toHaveLength(most);
        const places = kept.map(([need]) => all.findIndex(point => point[0] === need));
        expect(kept).toEqual(places.map(place => all[place]));
        expect([places[0], places.at(-1)]).toEqual([0, all.length - 1]);
        const gaps = places.slice(1).map((place, i) => place - places[i]!);
        expect(Math.max(...gaps) - Math.min(...gaps)).toBeLessThanOrEqual(1);
      }),
    );
  });
});
