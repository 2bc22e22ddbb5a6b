import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LRSchedulers, type Schedule, type SequencePart, sequence } from '../../src/index.js';

type Name = keyof typeof LRSchedulers;

const schedules = LRSchedulers as Record<Name, Schedule>;
const names = Object.keys(LRSchedulers) as Name[];

const number = (min: number, max: number): fc.Arbitrary<number> =>
  fc.oneof(
    fc.integer({ min: Math.ceil(Math.max(min, -10)), max: Math.min(max, 2000) }),
    fc.double({ min, max, noNaN: true }),
  );
const share = fc.double({ min: 0, max: 1, noNaN: true });
const length = number(0, 1e300);
const positive = number(Number.MIN_VALUE, 1e300);
const divisor = number(1, 1e300);
const factor = number(0, 1e300);
const warmup = { warmupSteps: length, warmupOffset: length };

/** All allowed options of each schedule for a `baseLR` of 1. Every option may be missing. */
const options: Record<Name, fc.Arbitrary<object>> = Object.fromEntries(
  Object.entries({
    constant: {},
    linear: {},
    cosine: { minLR: share },
    cosineWarmRestarts: {
      restartPeriod: positive,
      restartMultiplier: fc.integer({ min: 1, max: 1e9 }),
      peakDecay: share,
      minLR: share,
    },
    exponential: { gamma: factor, stepSize: positive },
    warmupCosine: { ...warmup, minLR: share },
    oneCycle: {
      maxLR: factor,
      pctStart: share,
      divFactor: divisor,
      finalDiv: divisor,
      anneal: fc.constantFrom('linear', 'cosine'),
    },
    polynomial: { power: positive, minLR: share },
    warmupLinear: warmup,
    inverseSqrt: warmup,
    warmupStableDecay: {
      ...warmup,
      decaySteps: length,
      decayType: fc.constantFrom('linear', 'cosine', '1-sqrt'),
      minLR: share,
    },
    step: { gamma: factor, stepSize: positive },
    multiStep: { gamma: factor, milestones: fc.array(length, { maxLength: 5 }) },
  } satisfies Record<Name, Record<string, fc.Arbitrary<unknown>>>).map(([name, model]) => [
    name,
    fc.record<object>(model, { requiredKeys: [] }),
  ]),
) as Record<Name, fc.Arbitrary<object>>;

/** Options with all rates multiplied. */
const scaled = (opts: object, by: number): object =>
  Object.fromEntries(
    Object.entries(opts).map(([key, value]) => [
      key,
      key.endsWith('LR') ? Math.min(value * by, Number.MAX_VALUE) : value,
    ]),
  );

/** Any rate, with options that fit it. */
const settings = (name: Name): fc.Arbitrary<{ baseLR: number; opts: object }> =>
  fc
    .record({ baseLR: fc.oneof(share, number(0, Number.MAX_VALUE)), opts: options[name] })
    .map(({ baseLR, opts }) => ({ baseLR, opts: scaled(opts, baseLR) }));

/** A part of a sequence with any schedule and options, for a rate of 1. */
const part: fc.Arbitrary<SequencePart> = fc.oneof(
  ...names.map(name =>
    fc.record({ schedule: fc.constant(schedules[name]), steps: fc.nat({ max: 50 }), opts: options[name] }),
  ),
);

describe.each(names)('%s', name => {
  const schedule = schedules[name];

  it('is finite and not negative for every finite input', () => {
    const step = fc.oneof(number(-1e300, 1e300), fc.constantFrom(Number.MAX_VALUE, Number.MIN_VALUE, -0));
    fc.assert(
      fc.property(settings(name), step, number(0, Number.MAX_VALUE), ({ baseLR, opts }, at, total) => {
        const rate = schedule(baseLR, at, total, opts);
        expect(Number.isFinite(rate) && rate >= 0, `${rate}`).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it('depends only on the step: a training that resumes anywhere, or asks in any order, gets the same rates', () => {
    fc.assert(
      fc.property(settings(name), fc.nat({ max: 100 }), fc.nat({ max: 100 }), ({ baseLR, opts }, total, from) => {
        Object.freeze(opts);
        const steps = Array.from({ length: total + 10 }, (_, step) => step);
        const unbroken = steps.map(step => schedule(baseLR, step, total, opts));
        const resumed = steps.slice(from).map(step => schedule(baseLR, step, total, { ...opts }));
        expect(resumed).toEqual(unbroken.slice(from));
        expect(steps.reverse().map(step => schedule(baseLR, step, total, opts))).toEqual(unbroken.reverse());
      }),
      { numRuns: 30 },
    );
  });

  it('scales with baseLR', () => {
    // The factor is a power of two, so no digit is lost.
    fc.assert(
      fc.property(options[name], fc.nat({ max: 100 }), fc.nat({ max: 100 }), (opts, step, total) => {
        const rate = schedule(1, step, total, opts);
        fc.pre(rate < 1e300);
        // A rate below the smallest normal number has fewer digits.
        expect(Math.abs(schedule(8, step, total, scaled(opts, 8)) - 8 * rate)).toBeLessThan(1e-300);
      }),
      { numRuns: 50 },
    );
  });
});

describe('shape', () => {
  const steps = Array.from({ length: 141 }, (_, step) => step);
  const total = 120;
  const warmupSteps = fc.oneof(fc.integer({ min: 1, max: total }), fc.double({ min: 1, max: total, noNaN: true }));
  const warmupOffset = fc.constantFrom(0, 0.5, 1);

  it.each(['linear', 'cosine', 'warmupCosine', 'oneCycle', 'polynomial', 'warmupLinear', 'warmupStableDecay'] as const)(
    '%s is flat past the end',
    name => {
      fc.assert(
        fc.property(settings(name), number(0, 1e300), positive, ({ baseLR, opts }, end, beyond) => {
          const schedule = schedules[name];
          expect(schedule(baseLR, end + beyond, end, opts)).toBe(schedule(baseLR, end, end, opts));
        }),
      );
    },
  );

  it('has the rates of the options at its ends', () => {
    fc.assert(
      fc.property(share, warmupSteps, (minLR, rise) => {
        fc.pre(rise < total);
        expect(LRSchedulers.cosine(1, total, total, { minLR })).toBe(minLR);
        expect(LRSchedulers.polynomial(1, total, total, { minLR, power: 2 })).toBe(minLR);
        expect(LRSchedulers.warmupCosine(1, total, total, { minLR, warmupSteps: rise })).toBe(minLR);
        expect(LRSchedulers.warmupStableDecay(1, total, total, { minLR, warmupSteps: rise })).toBe(minLR);
        expect(LRSchedulers.warmupStableDecay(1, 0, total, { minLR, warmupSteps: rise })).toBe(minLR);
        expect(LRSchedulers.warmupLinear(1, total, total, { warmupSteps: rise })).toBe(0);
      }),
    );
  });

  it.each(['warmupCosine', 'warmupLinear', 'inverseSqrt', 'warmupStableDecay'] as const)(
    '%s rises by equal steps to baseLR, and does not rise later',
    name => {
      fc.assert(
        fc.property(warmupSteps, warmupOffset, (warmup, offset) => {
          const opts = { warmupSteps: warmup, warmupOffset: offset };
          const rates = steps.map(step => schedules[name](1, step, total, opts));
          for (const step of steps.slice(1)) {
            if (step + offset <= warmup && step < warmup) {
              expect(rates[step]! - rates[step - 1]!).toBeCloseTo(1 / warmup, 12);
            } else if (step - 1 >= warmup) {
              expect(rates[step]).toBeLessThanOrEqual(rates[step - 1]!);
            }
          }
          expect(Math.max(...rates)).toBeLessThanOrEqual(1);
          expect(schedules[name](1, warmup, total, opts)).toBe(1);
        }),
      );
    },
  );

  it('decays never rise', () => {
    const power = fc.double({ min: 0.1, max: 5, noNaN: true });
    const decay = fc.constantFrom('linear', 'cosine', '1-sqrt');
    const milestones = fc.array(fc.nat({ max: total }));
    fc.assert(
      fc.property(share, power, decay, milestones, share, (minLR, exponent, shape, at, gamma) => {
        const decays: [Schedule, object][] = [
          [LRSchedulers.linear, {}],
          [LRSchedulers.cosine, { minLR }],
          [LRSchedulers.polynomial, { power: exponent, minLR }],
          [LRSchedulers.warmupStableDecay, { warmupSteps: 0, decaySteps: total, decayType: shape, minLR }],
          [LRSchedulers.exponential, { gamma, stepSize: 7 }],
          [LRSchedulers.step, { gamma, stepSize: 7 }],
          [LRSchedulers.multiStep, { gamma, milestones: at }],
        ];
        for (const [schedule, opts] of decays) {
          const rates = steps.map(step => schedule(1, step, total, opts));
          expect(rates).toEqual([...rates].sort((a, b) => b - a));
        }
      }),
    );
  });

  it('multiStep at every multiple of stepSize equals step', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 30 }), share, (stepSize, gamma) => {
        const milestones = steps.filter(step => step > 0 && step % stepSize === 0);
        for (const step of steps) {
          const expected = LRSchedulers.step(1, step, total, { stepSize, gamma });
          expect(LRSchedulers.multiStep(1, step, total, { milestones, gamma })).toBe(expected);
        }
      }),
    );
  });
});

describe('sequence', () => {
  it('gives each part its own steps, and then stays at the end of the last part', () => {
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 5 }), parts => {
        const whole = sequence(parts);
        const expected = parts.flatMap(({ schedule, steps, opts }) =>
          Array.from({ length: steps }, (_, step) => schedule(1, step, steps, opts)),
        );
        const { schedule, steps, opts } = parts.at(-1)!;
        expected.push(...Array<number>(3).fill(schedule(1, steps, steps, opts)));
        expect(expected.map((_, step) => whole(1, step))).toEqual(expected);
        expect(whole(1, -1)).toBe(expected[0]);
      }),
    );
  });

  it('does not depend on how the parts are grouped', () => {
    fc.assert(
      fc.property(fc.array(part, { minLength: 2, maxLength: 5 }), fc.nat(), (parts, cut) => {
        const first = parts.slice(0, 1 + (cut % (parts.length - 1)));
        const rest = parts.slice(first.length);
        const lengthOf = (of: SequencePart[]): number => of.reduce((sum, { steps }) => sum + steps, 0);
        const grouped = sequence([first, rest].map(of => ({ schedule: sequence(of), steps: lengthOf(of) })));
        const flat = sequence(parts);
        for (let step = 0; step < lengthOf(parts) + 3; step++) expect(grouped(1, step)).toBe(flat(1, step));
      }),
    );
  });

  it('of a warm-up and a decay equals the schedule that has both', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 50 }), share, (warmup, decay, minLR) => {
        const rise: SequencePart = {
          schedule: LRSchedulers.warmupLinear,
          steps: warmup,
          opts: { warmupSteps: warmup, warmupOffset: 1 },
        };
        const total = warmup + decay;
        const both = sequence([rise, { schedule: LRSchedulers.cosine, steps: decay, opts: { minLR } }]);
        const opts = { warmupSteps: warmup, warmupOffset: 1, minLR };
        for (let step = 0; step <= total + 2; step++)
          expect(both(1, step)).toBe(LRSchedulers.warmupCosine(1, step, total, opts));
      }),
    );
  });

  it('copies its parts', () => {
    const parts: SequencePart[] = [{ schedule: LRSchedulers.linear, steps: 10 }];
    const whole = sequence(parts);
    parts[0]!.steps = 20;
    parts.push({ schedule: LRSchedulers.constant, steps: 1 });
    expect(whole(1, 5)).toBe(0.5);
    expect(whole(1, 15)).toBe(0);
  });
});
