import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ReduceLROnPlateau, type ReduceLROnPlateauOptions } from '../../src/index.js';

const metrics = fc.array(fc.double({ min: -10, max: 10, noNaN: true }), { maxLength: 60 });
const options: fc.Arbitrary<ReduceLROnPlateauOptions> = fc.record(
  {
    lr: fc.constantFrom(1, 0.1),
    mode: fc.constantFrom('min', 'max'),
    factor: fc.constantFrom(0, 0.5, 0.9),
    patience: fc.nat({ max: 4 }),
    threshold: fc.constantFrom(0, 1e-4, 0.5),
    thresholdMode: fc.constantFrom('rel', 'abs'),
    cooldown: fc.nat({ max: 4 }),
    minLR: fc.constantFrom(0, 0.01),
  },
  { requiredKeys: ['lr'] },
);
const ratesOf = (plateau: ReduceLROnPlateau, values: number[]): number[] => values.map(value => plateau.step(value));

/** The rule of the documentation, over all metrics so far. */
function ratesByHand(opts: ReduceLROnPlateauOptions, values: number[]): number[] {
  const { lr, mode = 'min', factor = 0.1, patience = 10, threshold = 1e-4, cooldown = 0, minLR = 0 } = opts;
  const sign = mode === 'min' ? 1 : -1;
  const costs = values.map(value => sign * value);
  let best = Infinity;
  let rate = lr;
  let bad = 0;
  let deafUntil = 0;
  return costs.map((cost, i) => {
    const margin = opts.thresholdMode === 'abs' ? threshold : threshold * Math.abs(best);
    const isBetter = best === Infinity || cost < best - margin;
    if (isBetter) best = cost;
    bad = isBetter || i < deafUntil ? 0 : bad + 1;
    if (bad > patience) {
      rate = Math.max(rate * factor, minLR);
      bad = 0;
      deafUntil = i + 1 + cooldown;
    }
    return rate;
  });
}

describe('ReduceLROnPlateau', () => {
  it('lowers the rate as its rule says', () => {
    fc.assert(
      fc.property(options, metrics, (opts, values) => {
        expect(ratesOf(new ReduceLROnPlateau(opts), values)).toEqual(ratesByHand(opts, values));
      }),
    );
  });

  it('treats a rising metric as the negative of a falling one', () => {
    fc.assert(
      fc.property(options, metrics, (opts, values) => {
        const falling = ratesOf(new ReduceLROnPlateau({ ...opts, mode: 'min' }), values);
        const rising = ratesOf(
          new ReduceLROnPlateau({ ...opts, mode: 'max' }),
          values.map(value => -value),
        );
        expect(rising).toEqual(falling);
      }),
    );
  });

  it('waits for an improvement by the threshold, also with negative metrics', () => {
    for (const best of [10, -10]) {
      const opts = { lr: 1, patience: 0, threshold: 0.1 };
      expect(ratesOf(new ReduceLROnPlateau(opts), [best, best - 1.1])).toEqual([1, 1]);
      expect(ratesOf(new ReduceLROnPlateau(opts), [best, best - 0.9])).toEqual([1, 0.1]);
      // By PyTorch's rule, metric < best · (1 − threshold), this would be an improvement on −10.
      expect(ratesOf(new ReduceLROnPlateau(opts), [best, best + 0.9])).toEqual([1, 0.1]);
    }
    expect(ratesOf(new ReduceLROnPlateau({ lr: 1, patience: 0 }), [0, -1e-300, 0])).toEqual([1, 1, 0.1]);
  });

  it('does not count a change by exactly the threshold as an improvement, as PyTorch', () => {
    for (const [mode, threshold, thresholdMode, best, metric] of [
      ['max', 0.05, 'rel', 1, 1.05],
      ['min', 0.05, 'rel', 1, 0.95],
      ['max', 0.1, 'rel', 3, 3 * 1.1],
      ['max', 0.1, 'abs', 0.7, 0.7 + 0.1],
      ['min', 0.1, 'abs', 0.3, 0.3 - 0.1],
      ['max', 0.1, 'abs', -0.3, -0.3 + 0.1],
    ] as const) {
      const opts = { lr: 1, patience: 0, mode, threshold, thresholdMode };
      expect(ratesOf(new ReduceLROnPlateau(opts), [best, metric])).toEqual([1, 0.1]);
      const beyond = metric + (mode === 'max' ? 1e-9 : -1e-9);
      expect(ratesOf(new ReduceLROnPlateau(opts), [best, beyond])).toEqual([1, 1]);
    }
  });

  it('does not go below minLR', () => {
    const plateau = new ReduceLROnPlateau({ lr: 1, factor: 0.5, patience: 0, minLR: 0.3 });
    expect(ratesOf(plateau, [1, 1, 1, 1])).toEqual([1, 0.5, 0.3, 0.3]);
    expect(plateau.lr).toBe(0.3);
  });

  it('resumes from its state, through JSON, as if never interrupted', () => {
    fc.assert(
      fc.property(options, metrics, fc.nat({ max: 60 }), (opts, values, cut) => {
        const unbroken = ratesOf(new ReduceLROnPlateau(opts), values);
        const first = new ReduceLROnPlateau(opts);
        ratesOf(first, values.slice(0, cut));
        const second = new ReduceLROnPlateau(opts);
        second.loadStateDict(JSON.parse(JSON.stringify(first.stateDict())));
        expect(second.lr).toBe(first.lr);
        expect(ratesOf(second, values.slice(cut))).toEqual(unbroken.slice(cut));
      }),
    );
  });

  it('returns a copy of its state', () => {
    const plateau = new ReduceLROnPlateau({ lr: 1, patience: 0 });
    const state = plateau.stateDict();
    plateau.step(1);
    plateau.step(1);
    expect(state).toEqual({ mode: 'min', lr: 1, best: null, badMetrics: 0, cooldownLeft: 0 });
    plateau.loadStateDict(state);
    plateau.step(1);
    plateau.step(1);
    expect(state.best).toBe(null);
  });

  it('stays as it was after a bad metric or a bad state', () => {
    const plateau = new ReduceLROnPlateau({ lr: 1, patience: 0 });
    plateau.step(1);
    const before = plateau.stateDict();
    expect(() => plateau.step(Number.NaN)).toThrow('metric must be a finite number, got NaN');
    for (const bad of [{ mode: 'max' }, { lr: -1 }, { best: undefined }, { badMetrics: 0.5 }, { cooldownLeft: -1 }]) {
      expect(() => plateau.loadStateDict({ ...before, lr: 0.5, ...bad } as typeof before)).toThrow(
        `loadStateDict: state.${Object.keys(bad)[0]} must be`,
      );
      expect(plateau.stateDict()).toEqual(before);
    }
  });
});
