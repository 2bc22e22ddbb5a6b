import { withDefaults } from '../internal/options.js';
import { checkNumber, checkOneOf } from '../internal/validate.js';
import { between, checkFloor, checkRate, checkStep, checkTotal, halfCosine } from './schedule.js';

export interface WarmupOptions {
  /**
   * Number of steps in the linear rise, at least 0.
   *
   * @default 100
   */
  warmupSteps?: number;
  /**
   * Number added to the step during the rise, at least 0. With 0, step 0 has rate 0. With 1, step 0 has the rate
   * `baseLR / warmupSteps`, and the last step of the rise has `baseLR`.
   *
   * @default 0
   */
  warmupOffset?: number;
}

export interface WarmupCosineOptions extends WarmupOptions {
  /**
   * The rate at the end, from 0 to `baseLR`. The rise always starts at 0.
   *
   * @default 0
   */
  minLR?: number;
}

export interface WarmupStableDecayOptions extends WarmupOptions {
  /**
   * Number of steps in the decay, at least 0, and at most the steps that the rise leaves of `totalSteps`. By default, a
   * tenth of `totalSteps`.
   */
  decaySteps?: number;
  /**
   * Shape of the decay: the share of the fall that is left when a share p of its steps is done.
   * - `'linear'`: 1 − p.
   * - `'cosine'`: half a cosine, (1 + cos(π · p)) / 2.
   * - `'1-sqrt'`: 1 − √p.
   *
   * @default 'linear'
   */
  decayType?: DecayType;
  /**
   * The rate where the rise starts and the decay ends, from 0 to `baseLR`.
   *
   * @default 0
   */
  minLR?: number;
}

export type DecayType = 'linear' | 'cosine' | '1-sqrt';

const DECAYS: Record<DecayType, (progress: number) => number> = {
  linear: progress => 1 - progress,
  cosine: halfCosine,
  '1-sqrt': progress => 1 - Math.sqrt(progress),
};

const DEFAULTS = { warmupSteps: 100, warmupOffset: 0 };

export function warmupCosine(baseLR: number, step: number, totalSteps: number, opts: WarmupCosineOptions = {}): number {
  const call = 'LRSchedulers.warmupCosine';
  const { minLR, ...warmup } = withDefaults(call, { ...DEFAULTS, minLR: 0 }, opts);
  checkRate(call, 'baseLR', baseLR);
  checkFloor(call, 'minLR', minLR, baseLR);
  checkWarmup(call, warmup);
  const current = Math.min(checkStep(call, step), checkTotal(call, totalSteps));
  if (current < warmup.warmupSteps) return baseLR * risen(current, warmup);
  return between(minLR, baseLR, halfCosine(progressSince(warmup.warmupSteps, current, totalSteps)));
}

export function warmupLinear(baseLR: number, step: number, totalSteps: number, opts: WarmupOptions = {}): number {
  const call = 'LRSchedulers.warmupLinear';
  const warmup = withDefaults(call, DEFAULTS, opts);
  checkRate(call, 'baseLR', baseLR);
  checkWarmup(call, warmup);
  const current = Math.min(checkStep(call, step), checkTotal(call, totalSteps));
  if (current < warmup.warmupSteps) return baseLR * risen(current, warmup);
  return baseLR * (1 - progressSince(warmup.warmupSteps, current, totalSteps));
}

export function inverseSqrt(baseLR: number, step: number, _totalSteps?: number, opts: WarmupOptions = {}): number {
  const call = 'LRSchedulers.inverseSqrt';
  const warmup = withDefaults(call, DEFAULTS, opts);
  checkRate(call, 'baseLR', baseLR);
  checkWarmup(call, warmup);
  const current = checkStep(call, step);
  if (current < warmup.warmupSteps) return baseLR * risen(current, warmup);
  const peak = Math.max(warmup.warmupSteps, 1);
  return baseLR * Math.sqrt(peak / Math.max(current, peak));
}

export function warmupStableDecay(
  baseLR: number,
  step: number,
  totalSteps: number,
  opts: WarmupStableDecayOptions = {},
): number {
  const call = 'LRSchedulers.warmupStableDecay';
  const defaults = {
    ...DEFAULTS,
    decaySteps: checkTotal(call, totalSteps) / 10,
    decayType: 'linear' as const,
    minLR: 0,
  };
  const { decaySteps, decayType, minLR, ...warmup } = withDefaults(call, defaults, opts);
  checkRate(call, 'baseLR', baseLR);
  checkFloor(call, 'minLR', minLR, baseLR);
  checkWarmup(call, warmup);
  checkNumber(call, 'decaySteps', decaySteps, { min: 0 });
  checkOneOf(call, 'decayType', decayType, Object.keys(DECAYS) as DecayType[]);
  const current = Math.min(checkStep(call, step), totalSteps);
  if (current < warmup.warmupSteps) return between(minLR, baseLR, risen(current, warmup));
  const decayStart = Math.max(totalSteps - decaySteps, warmup.warmupSteps);
  return between(minLR, baseLR, DECAYS[decayType](progressSince(decayStart, current, totalSteps)));
}

function checkWarmup(call: string, { warmupSteps, warmupOffset }: Required<WarmupOptions>): void {
  checkNumber(call, 'warmupSteps', warmupSteps, { min: 0 });
  checkNumber(call, 'warmupOffset', warmupOffset, { min: 0 });
}

/** Share of the rise that is done at a step before its end. */
function risen(step: number, { warmupSteps, warmupOffset }: Required<WarmupOptions>): number {
  return Math.min(1, (step + warmupOffset) / warmupSteps);
}

/** Share of the steps from `start` to `end` that is done, from 0 to 1. It is 0 if there are no such steps. */
function progressSince(start: number, step: number, end: number): number {
  return end > start ? Math.max(0, step - start) / (end - start) : 0;
}
