import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { extentOf, rangeOf, roundInterval, unitOf } from '../../src/report/axis-range.js';

const numbers = fc.array(fc.double({ min: -1e300, max: 1e300, noNaN: true }), { minLength: 1, maxLength: 10 });
const positive = fc.double({ min: 1e-280, max: 1e280, noNaN: true });

describe('rangeOf', () => {
  it('holds all numbers between round ends, in two to eight intervals', () => {
    fc.assert(
      fc.property(numbers, values => {
        const { min, max, interval } = rangeOf(values);
        const slack = 1e-9 * interval;
        fc.pre(Math.max(...values.map(Math.abs)) > 1e-280);
        expect(Math.min(...values)).toBeGreaterThanOrEqual(min - slack);
        expect(Math.max(...values)).toBeLessThanOrEqual(max + slack);
        const intervals = (max - min) / interval;
        expect(intervals).toBeGreaterThan(1.5);
        expect(intervals).toBeLessThan(8.5);
        expect(Math.abs(min / interval - Math.round(min / interval))).toBeLessThan(1e-6);
      }),
    );
  });

  it('reaches the number that it starts from', () => {
    expect(rangeOf([3, 4], 0)).toEqual({ min: 0, max: 4, interval: 1 });
    expect(rangeOf([-3], 0)).toEqual({ min: -3, max: 0, interval: 1 });
  });

  it('has a length where all numbers are equal', () => {
    expect(rangeOf([0, 0])).toEqual({ min: 0, max: 1, interval: 0.5 });
    const { min, max } = rangeOf([0.4321, 0.4321]);
    expect(min).toBeLessThan(0.4321);
    expect(max).toBeGreaterThan(0.4321);
    expect(max - min).toBeLessThan(0.01);
  });
});

describe('roundInterval', () => {
  it('is the next round number', () => {
    expect([0.7, 1, 1.1, 2, 3, 5, 6, 30, 0.0021].map(roundInterval)).toEqual([1, 1, 2, 2, 5, 5, 10, 50, 0.005]);
    expect([0, -1, Number.NaN].map(roundInterval)).toEqual([0, 0, 0]);
  });

  it('starts with 1, 2 or 5, and is less than 2.5 times the number', () => {
    fc.assert(
      fc.property(positive, least => {
        const round = roundInterval(least);
        expect(round.toExponential()).toMatch(/^[125]e/);
        expect(round / least).toBeGreaterThan(1 - 1e-8);
        expect(round / least).toBeLessThanOrEqual(2.5 + 1e-8);
      }),
    );
  });
});

describe('unitOf', () => {
  it('brings the greatest number between 1 and 10, and leaves usual numbers alone', () => {
    fc.assert(
      fc.property(positive, max => {
        const unit = unitOf({ min: -max / 2, max, interval: 1 });
        if (max > 1e-6 && max < 1e9) expect(unit).toBe(1);
        else expect(max / unit).toSatisfy((size: number) => size > 1 - 1e-9 && size < 10 + 1e-9);
      }),
    );
  });
});

describe('extentOf', () => {
  it('is the least and the greatest', () => {
    fc.assert(
      fc.property(numbers, values => {
        expect(extentOf(values)).toEqual([Math.min(...values), Math.max(...values)]);
      }),
    );
  });
});
