import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LRSchedulers, type Schedule } from '../src/index.js';
import { readGolden } from './support/golden.js';

interface OriginalCase {
  name: keyof typeof LRSchedulers;
  opts: object | null;
  baseLR: number;
  totalSteps: number;
  steps: number[];
  values: number[];
}

const schedules = LRSchedulers as Record<keyof typeof LRSchedulers, Schedule>;
const names = Object.keys(LRSchedulers) as (keyof typeof LRSchedulers)[];

describe('the original’s answers', () => {
  const { cases } = readGolden<{ cases: OriginalCase[] }>('lr-schedulers');
  it.each(cases)('$name $opts', ({ name, opts, baseLR, totalSteps, steps, values }) => {
    steps.forEach((step, i) => {
      expect(Math.abs(schedules[name](baseLR, step, totalSteps, opts ?? undefined) - values[i]!)).toBeLessThanOrEqual(
        1e-12,
      );
    });
  });
});

describe('PyTorch’s answers', () => {
  const reference = readGolden<Record<string, number[]>>('schedules-reference');
  it('cosineWarmRestarts with restartMultiplier', () => {
    const values = reference['torch 2.13.0+cpu CosineAnnealingWarmRestarts(T_0=3,T_mult=2) lr=1 0..21']!;
    values.forEach((value, step) => {
      expect(LRSchedulers.cosineWarmRestarts(1, step, 22, { restartPeriod: 3, restartMultiplier: 2 })).toBeCloseTo(
        value,
        12,
      );
    });
  });
  it('warmupCosine (transformers)', () => {
    const values = reference['transformers 5.18.0 cosine lr=10 (warmup 2,total 10) 0..11']!;
    values.slice(0, 11).forEach((value, step) => {
      expect(LRSchedulers.warmupCosine(10, step, 10, { warmupSteps: 2 })).toBeCloseTo(value, 12);
    });
  });
});

describe('every schedule', () => {
  const rate = fc.double({ min: 0, max: 1e300, noNaN: true });
  const step = fc.oneof(fc.integer({ min: -10, max: 2000 }), fc.double({ min: -1e300, max: 1e300, noNaN: true }));
  const total = fc.oneof(fc.integer({ min: 0, max: 1500 }), fc.double({ min: 0, max: 1e300, noNaN: true }));

  it.each(names)('%s is finite and not negative for every finite input', name => {
    fc.assert(
      fc.property(rate, step, total, (lr, at, totalSteps) => {
        const value = schedules[name](lr, at, totalSteps);
        return Number.isFinite(value) && value >= 0;
      }),
    );
  });

  it.each(['linear', 'cosine', 'warmupCosine', 'oneCycle'] as const)('%s keeps its last value', name => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 1000 }), (totalSteps, beyond) => {
        return schedules[name](1, totalSteps + beyond, totalSteps) === schedules[name](1, totalSteps, totalSteps);
      }),
    );
  });

  it('ends where it should when there is no room', () => {
    expect(LRSchedulers.linear(1, 0, 0)).toBe(0);
    expect(LRSchedulers.warmupCosine(1, 100, 100, { warmupSteps: 100 })).toBe(1);
    expect(LRSchedulers.warmupCosine(1, 200, 50, { warmupSteps: 100 })).toBe(0.5);
    expect(LRSchedulers.warmupCosine(1, 0, 10, { warmupSteps: 0 })).toBe(1);
    expect(LRSchedulers.oneCycle(1, 0, 0)).toBeCloseTo(1e-4, 12);
  });

  it('needs no totalSteps where the original read none', () => {
    expect(LRSchedulers.constant(0.1)).toBe(0.1);
    expect(LRSchedulers.exponential(0.1, 250)).toBeCloseTo(0.1 * 0.95 ** 2, 15);
    expect(LRSchedulers.cosineWarmRestarts(0.1, 150)).toBeCloseTo(0.05, 15);
    expect(LRSchedulers.exponential(0, 1e6, 10, { gamma: 2 })).toBe(0);
    expect(LRSchedulers.exponential(1, 1e300, 10, { gamma: 2, stepSize: 1 })).toBe(Number.MAX_VALUE);
  });

  it('oneCycle starts at maxLR / divFactor when that is passed', () => {
    expect(LRSchedulers.oneCycle(1, 0, 100, { maxLR: 5, divFactor: 25 })).toBe(0.2);
    expect(LRSchedulers.oneCycle(1, 50, 100, { maxLR: 5, divFactor: 25 })).toBe(5);
  });
});
