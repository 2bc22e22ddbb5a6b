import { describe, expect, it } from 'vitest';
import { LRSchedulers, ReduceLROnPlateau, type Schedule, sequence } from '../src/index.js';
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
const {
  constant,
  cosine,
  cosineWarmRestarts,
  exponential,
  inverseSqrt,
  oneCycle,
  polynomial,
  warmupCosine,
  warmupLinear,
  warmupStableDecay,
} = LRSchedulers;

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

interface Counterpart {
  rateAt: (step: number) => number;
  /** Number of steps that agree, where not all agree. */
  upTo?: number;
  tolerance?: number;
}

/** optax computes in float32. */
const FLOAT32 = 2e-7;

/** Schedules with the same rates, by key in the file. The key names the settings. */
const counterparts: Record<string, Counterpart> = {
  'torch 2.13.0+cpu CosineAnnealingLR(T_max=10,eta_min=.1) lr=1 steps 0..10': {
    rateAt: step => cosine(1, step, 10, { minLR: 0.1 }),
  },
  'torch 2.13.0+cpu CosineAnnealingWarmRestarts(T_0=3,T_mult=2) lr=1 0..21': {
    rateAt: step => cosineWarmRestarts(1, step, 22, { restartPeriod: 3, restartMultiplier: 2 }),
  },
  // PyTorch's cycle of 20 steps peaks at step 0.3 · 20 − 1 and ends at step 20 − 1, the last one of the training; ours
  // peaks at pctStart · totalSteps and ends at totalSteps, as optax's does.
  'torch 2.13.0+cpu OneCycleLR(max_lr=1,total_steps=20,cos) 0..19': {
    rateAt: step => oneCycle(0.04, step, 19, { maxLR: 1, pctStart: 5 / 19, anneal: 'cosine' }),
  },
  'torch 2.13.0+cpu OneCycleLR(max_lr=1,total_steps=20,linear) 0..19': {
    rateAt: step => oneCycle(0.04, step, 19, { maxLR: 1, pctStart: 5 / 19, divFactor: 25 }),
  },
  // The third phase is a separate schedule.
  'torch 2.13.0+cpu OneCycleLR(max_lr=1,total_steps=20,three_phase) 0..19': {
    rateAt: step =>
      sequence([
        { schedule: oneCycle, steps: 10, opts: { maxLR: 1, anneal: 'cosine', finalDiv: 1 } },
        { schedule: cosine, steps: 9, opts: { minLR: 4e-6 } },
      ])(0.04, step),
  },
  'torch 2.13.0+cpu PolynomialLR(total_iters=8,power=2) lr=1 0..10': {
    rateAt: step => polynomial(1, step, 8, { power: 2 }),
  },
  // A rise from 1/3 in 5 steps is the end of a rise from 0 in 7.5 steps.
  'torch 2.13.0+cpu LinearLR(1/3->1,5) lr=1 0..7': {
    rateAt: step => warmupStableDecay(1, step, 100, { warmupSteps: 7.5, warmupOffset: 2.5 }),
  },
  'torch 2.13.0+cpu SequentialLR([LinearLR(.1,1,3),CosineAnnealingLR(5)],[3]) lr=1 0..8': {
    rateAt: step =>
      sequence([
        { schedule: warmupLinear, steps: 3, opts: { warmupSteps: 10 / 3, warmupOffset: 1 / 3 } },
        { schedule: cosine, steps: 5 },
      ])(1, step),
  },
  // Schedules are functions of baseLR: chained ones are nested calls.
  'torch 2.13.0+cpu ChainedScheduler([ConstantLR(.1,2),ExponentialLR(.9)]) lr=1 0..5': {
    rateAt: step => {
      const factor = sequence([
        { schedule: lr => 0.1 * lr, steps: 2 },
        { schedule: constant, steps: 1 },
      ]);
      return exponential(factor(1, step), step, 6, { gamma: 0.9, stepSize: 1 });
    },
  },
  'transformers 5.18.0 linear lr=10 (warmup 2,total 10) 0..11': {
    rateAt: step => warmupLinear(10, step, 10, { warmupSteps: 2 }),
  },
  // transformers' cosine rises again past the end.
  'transformers 5.18.0 cosine lr=10 (warmup 2,total 10) 0..11': {
    rateAt: step => warmupCosine(10, step, 10, { warmupSteps: 2 }),
    upTo: 11,
  },
  // This is two cosines, because cosineWarmRestarts would restart at step 10.
  'transformers 5.18.0 hard_restarts_c2 lr=10 (warmup 2,total 10) 0..11': {
    rateAt: step =>
      sequence([
        { schedule: warmupLinear, steps: 2, opts: { warmupSteps: 2 } },
        { schedule: cosine, steps: 4 },
        { schedule: cosine, steps: 4 },
      ])(10, step),
  },
  'transformers 5.18.0 poly_p2_end1e7 lr=10 (warmup 2,total 10) 0..11': {
    rateAt: step =>
      sequence([
        { schedule: warmupLinear, steps: 2, opts: { warmupSteps: 2 } },
        { schedule: polynomial, steps: 8, opts: { power: 2, minLR: 1e-7 } },
      ])(10, step),
  },
  'transformers 5.18.0 inverse_sqrt_w2 lr=10 (warmup 2,total 10) 0..11': {
    rateAt: step => inverseSqrt(10, step, 10, { warmupSteps: 2 }),
  },
  'transformers 5.18.0 wsd_w2_d2_cos lr=10 (warmup 2,total 10) 0..11': {
    rateAt: step => warmupStableDecay(10, step, 10, { warmupSteps: 2, decaySteps: 2, decayType: 'cosine' }),
  },
  // Here transformers gets 3 stable steps, so the decay ends at step 9 of 10.
  'transformers 5.18.0 wsd_w2_s3_d4_1sqrt lr=10 (warmup 2,total 10) 0..11': {
    rateAt: step => warmupStableDecay(10, step, 9, { warmupSteps: 2, decaySteps: 4, decayType: '1-sqrt' }),
  },
  'transformers 5.18.0 wsd_w2_s3_d4_linear_min0p1 lr=10 (warmup 2,total 10) 0..11': {
    rateAt: step => warmupStableDecay(10, step, 9, { warmupSteps: 2, decaySteps: 4, minLR: 1 }),
  },
  'transformers 5.18.0 cosine_min_rate0p1 lr=10 (warmup 2,total 10) 0..11': {
    rateAt: step => warmupCosine(10, step, 10, { warmupSteps: 2, minLR: 1 }),
    upTo: 11,
  },
  'torch 2.13.0+cpu ReduceLROnPlateau(patience=2) metrics=[1]*7': {
    rateAt: step => plateauAfter(step, new ReduceLROnPlateau({ lr: 1, patience: 2 })),
  },
  'torch 2.13.0+cpu ReduceLROnPlateau(patience=2,cooldown=2,factor=.5) metrics=[1]*12': {
    rateAt: step => plateauAfter(step, new ReduceLROnPlateau({ lr: 1, patience: 2, cooldown: 2, factor: 0.5 })),
  },
  'optax 0.2.8 (float32) warmup_cosine_decay(0,1,2,6,.1) 0..8': {
    rateAt: step => warmupCosine(1, step, 6, { warmupSteps: 2, minLR: 0.1 }),
    tolerance: FLOAT32,
  },
  'optax 0.2.8 (float32) cosine_onecycle(20,1) 0..22': {
    rateAt: step => oneCycle(0.04, step, 20, { maxLR: 1, pctStart: 0.3, anneal: 'cosine' }),
    tolerance: FLOAT32,
  },
};

function plateauAfter(step: number, plateau: ReduceLROnPlateau): number {
  for (let i = 0; i <= step; i++) plateau.step(1);
  return plateau.lr;
}

describe('the answers of PyTorch, transformers and optax', () => {
  const reference = readGolden<Record<string, number[]>>('schedules-reference');
  it.each(Object.entries(reference))('%s', (key, values) => {
    const { rateAt, upTo = values.length, tolerance = 1e-12 } = counterparts[key]!;
    values.slice(0, upTo).forEach((value, step) => {
      expect(Math.abs(rateAt(step) - value), `step ${step}`).toBeLessThanOrEqual(tolerance);
    });
    for (let step = upTo; step < values.length; step++) expect(rateAt(step)).toBe(rateAt(upTo - 1));
  });
});

describe('by hand', () => {
  it('step and multiStep fall at their steps', () => {
    const rates = (schedule: Schedule, opts?: object): number[] =>
      [0, 1, 2, 3, 4, 5, 6, 7, 8].map(step => schedule(8, step, 8, opts));
    expect(rates(LRSchedulers.step, { stepSize: 3, gamma: 0.5 })).toEqual([8, 8, 8, 4, 4, 4, 2, 2, 2]);
    expect(rates(LRSchedulers.multiStep, { milestones: [6, 1, 2], gamma: 0.5 })).toEqual([8, 4, 2, 2, 2, 2, 1, 1, 1]);
    expect(rates(LRSchedulers.multiStep, { gamma: 0.5 })).toEqual([8, 8, 8, 8, 4, 4, 2, 2, 2]);
    expect(rates(LRSchedulers.multiStep, { milestones: [] })).toEqual(Array(9).fill(8));
    expect(LRSchedulers.step(1, 250)).toBeCloseTo(0.01, 15);
    expect(LRSchedulers.multiStep(1, 80, 100)).toBeCloseTo(0.01, 15);
  });

  it('warmupOffset lets step 0 train and ends the rise a step earlier', () => {
    const opts = { warmupSteps: 4, warmupOffset: 1 };
    for (const schedule of [warmupCosine, warmupLinear, inverseSqrt, warmupStableDecay]) {
      expect([0, 1, 2, 3, 4].map(step => schedule(8, step, 100, opts))).toEqual([2, 4, 6, 8, 8]);
    }
  });

  it('cosineWarmRestarts lowers its peaks, down to minLR', () => {
    const peaks = (opts: object): number[] =>
      [0, 10, 20, 30].map(step => cosineWarmRestarts(8, step, 40, { restartPeriod: 10, peakDecay: 0.5, ...opts }));
    expect(peaks({})).toEqual([8, 4, 2, 1]);
    expect(peaks({ minLR: 2 })).toEqual([8, 4, 2, 2]);
    const growing = { restartPeriod: 10, restartMultiplier: 3, peakDecay: 0.5, minLR: 1 };
    expect([0, 10, 40, 130].map(step => cosineWarmRestarts(8, step, 0, growing))).toEqual([8, 4, 2, 1]);
    expect(cosineWarmRestarts(8, 25, 40, { restartPeriod: 10, minLR: 2 })).toBeCloseTo(5, 12);
  });

  it('oneCycle peaks at pctStart · totalSteps, for every pctStart', () => {
    for (const [pctStart, peak] of [
      [0, 0],
      [0.07, 7],
      [0.3, 30],
      [1, 100],
    ] as const) {
      for (const anneal of ['linear', 'cosine'] as const) {
        expect(oneCycle(1, peak, 100, { maxLR: 5, pctStart, anneal })).toBe(5);
      }
    }
    expect(oneCycle(1, 200, 100, { maxLR: 5, pctStart: 1 })).toBe(5);
    expect(oneCycle(1, 0, 100, { maxLR: 5, divFactor: 25 })).toBe(0.2);
    // PyTorch's rule: initial_lr = max_lr / div_factor, min_lr = initial_lr / final_div_factor.
    for (const anneal of ['linear', 'cosine'] as const)
      expect(oneCycle(0.01, 100, 100, { maxLR: 0.1, divFactor: 25, finalDiv: 1e4, anneal })).toBeCloseTo(4e-7, 16);
    expect(oneCycle(0.01, 100, 100, { maxLR: 0.1, finalDiv: 1e4 })).toBeCloseTo(1e-6, 16);
    expect(oneCycle(1, 0, 100, { maxLR: 5, pctStart: 0.3, anneal: 'cosine' })).toBe(1);
    expect(oneCycle(1, 100, 100, { maxLR: 5, pctStart: 0.3, anneal: 'cosine', finalDiv: 4 })).toBe(0.25);
  });

  it('warmupStableDecay decays in the last tenth, or in the steps that the rise leaves', () => {
    const at = (step: number, opts: object): number => warmupStableDecay(8, step, 100, { warmupSteps: 10, ...opts });
    expect([5, 10, 50, 90, 95, 100, 200].map(step => at(step, {}))).toEqual([4, 8, 8, 8, 4, 0, 0]);
    expect([10, 55, 100].map(step => at(step, { decaySteps: 1000 }))).toEqual([8, 4, 0]);
    expect([10, 100, 200].map(step => at(step, { decaySteps: 0 }))).toEqual([8, 8, 8]);
  });

  it('ends where it should when there is no room', () => {
    expect(LRSchedulers.linear(1, 0, 0)).toBe(0);
    expect(polynomial(1, 0, 0, { minLR: 0.5 })).toBe(0.5);
    for (const schedule of [warmupCosine, warmupLinear, warmupStableDecay]) {
      expect(schedule(1, 100, 100, { warmupSteps: 100 })).toBe(1);
      expect(schedule(1, 200, 50, { warmupSteps: 100 })).toBe(0.5);
      expect(schedule(1, 0, 10, { warmupSteps: 0 })).toBe(1);
    }
    expect(inverseSqrt(1, 0, 10, { warmupSteps: 0 })).toBe(1);
    expect(inverseSqrt(1, 4, 10, { warmupSteps: 0 })).toBe(0.5);
    expect(oneCycle(1, 0, 0)).toBeCloseTo(1e-4, 12);
  });

  it('needs no totalSteps where the original does not read it', () => {
    expect(constant(0.1)).toBe(0.1);
    expect(exponential(0.1, 250)).toBeCloseTo(0.1 * 0.95 ** 2, 15);
    expect(cosineWarmRestarts(0.1, 150)).toBeCloseTo(0.05, 15);
    expect(exponential(0, 1e6, 10, { gamma: 2 })).toBe(0);
    expect(exponential(1, 1e300, 10, { gamma: 2, stepSize: 1 })).toBe(Number.MAX_VALUE);
    expect(exponential(1, 1e300, 10, { gamma: 1, stepSize: 1e-300 })).toBe(1);
  });
});
