import { withDefaults } from '../internal/options.js';
import { checkNumber, checkOneOf } from '../internal/validate.js';
import { between, checkFloor, checkRate, checkStep, checkTotal, halfCosine } from './schedule.js';

export interface WarmupOptions {
  /** Steps of the linear rise, 0 or more. Default 100. */
  warmupSteps?: number;
  /**
   * Added to the step during the rise, 0 or more: with 1, step 0 trains at `baseLR / warmupSteps` and the last step of
   * the rise at `baseLR`. Default 0: step 0 has rate 0.
   */
  warmupOffset?: number;
}

export interface WarmupCosineOptions extends WarmupOptions {
  /** The rate at the end, from 0 to `baseLR`; the rise starts at 0 all the same. Default 0. */
  minLR?: number;
}

export interface WarmupStableDecayOptions extends WarmupOptions {
  /**
   * Steps of the decay, 0 or more; what the rise leaves of `totalSteps` when that is less. Default: a tenth of
   * `totalSteps`.
   */
  decaySteps?: number;
  /**
   * The share of the fall that is left at share p of the decay: 1 − p, half a cosine, or 1 − √p. Default `'linear'`.
   */
  decayType?: DecayType;
  /** The rate where the rise starts and the decay ends, from 0 to `baseLR`. Default 0. */
  minLR?: number;
}

type DecayType = 'linear' | 'cosine' | '1-sqrt';

const DECAYS: Record<DecayType, (progress: number) => number> = {
  linear: progress => 1 - progress,
  cosine: halfCosine,
  '1-sqrt': progress => 1 - Math.sqrt(progress),
};

const DEFAULTS = { warmupSteps: 100, warmupOffset: 0 };

export function warmupCosine(baseLR: number, step: number, totalSteps: number, opts: WarmupCosineOptions = {}): number {
  const call = 'warmupCosine';
  const { minLR, ...warmup } = withDefaults(call, { ...DEFAULTS, minLR: 0 }, opts);
  checkRate(call, 'baseLR', baseLR);
  checkFloor(call, 'minLR', minLR, baseLR);
  checkWarmup(call, warmup);
  const current = Math.min(checkStep(call, step), checkTotal(call, totalSteps));
  if (current < warmup.warmupSteps) return baseLR * risen(current, warmup);
  return between(minLR, baseLR, halfCosine(progressSince(warmup.warmupSteps, current, totalSteps)));
}

export function warmupLinear(baseLR: number, step: number, totalSteps: number, opts: WarmupOptions = {}): number {
  const call = 'warmupLinear';
  const warmup = withDefaults(call, DEFAULTS, opts);
  checkRate(call, 'baseLR', baseLR);
  checkWarmup(call, warmup);
  const current = Math.min(checkStep(call, step), checkTotal(call, totalSteps));
  if (current < warmup.warmupSteps) return baseLR * risen(current, warmup);
  return baseLR * (1 - progressSince(warmup.warmupSteps, current, totalSteps));
}

export function inverseSqrt(baseLR: number, step: number, _totalSteps?: number, opts: WarmupOptions = {}): number {
  const call = 'inverseSqrt';
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
  const call = 'warmupStableDecay';
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

/** Share of the rise done at a step before its end. */
function risen(step: number, { warmupSteps, warmupOffset }: Required<WarmupOptions>): number {
  return Math.min(1, (step + warmupOffset) / warmupSteps);
}

/** Share done of the steps from `start` to `end`, from 0 to 1; nothing of none is done. */
function progressSince(start: number, step: number, end: number): number {
  return end > start ? Math.max(0, step - start) / (end - start) : 0;
}
