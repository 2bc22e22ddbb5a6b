import { checkNumber, checkOneOf, checkSeed } from '../internal/validate.js';

export interface EWCOptions {
  /**
   * Strength of the penalty, 0 or more. Default 2000, as the original's; 800 for the function penalty, and 45 for the
   * diagonal one as soon as `computeFisher` is given gradients of the caller's own loss: measured to keep an earlier
   * task while the next is learned with InfoNCE at temperature 0.07 and AdamW. For MSE training the function penalty
   * wants about 1.
   */
  lambda?: number;
  /** Most examples used for the Fisher; of more data this many are drawn, with replacement. Default 200. */
  sampleSize?: number;
  /**
   * Pass `true` to divide each adapter's Fisher by its largest entry, so that `lambda` means the same for all tasks.
   * Without it the values stay as they are, as in the original, whose default `true` had no effect.
   */
  normalize?: boolean;
  /** Whether a new task's Fisher is averaged with the one before instead of taking its place. Default false. */
  online?: boolean;
  /**
   * What a new task does to what is remembered: `'last'` takes its place; `'average'` halves both; `'online'` adds to
   * `decay` times what was (Schwarz et al. 2018, "Progress & Compress"); `'sum'` adds, so that every task stays
   * protected at the cost of one. Under the first three the diagonal penalty pulls towards the latest parameters, under
   * `'sum'` towards every task's. Default: what `online` says, and `'sum'` for the function penalty.
   */
  mode?: 'last' | 'average' | 'online' | 'sum';
  /** What mode `'online'` leaves of earlier tasks at each new one, from 0 to 1. Default 0.9. */
  decay?: number;
  /**
   * The Fisher of the diagonal penalty: `'empirical'`, mean squared gradients of the loss; `'exact'`, their expectation
   * under the model (a Gaussian, as the MSE has it), which needs no targets and does not vanish at a perfect fit.
   * Default `'empirical'`.
   */
  fisher?: 'empirical' | 'exact';
  /**
   * `'diagonal'`, `λ/2 · Σ F (θ - θ*)²` over the parameters; `'function'`, λ times the mean squared change of the
   * outputs for the inputs of earlier tasks, whatever the parameters. Default `'diagonal'`.
   */
  penalty?: 'diagonal' | 'function';
  /** Seed (uint32) of the examples that are drawn where there are more than `sampleSize`. Default: `Math.random`. */
  seed?: number;
}

type OriginalOption = 'lambda' | 'sampleSize' | 'normalize' | 'online';

/** The configuration with the original's defaults filled in; the other options as they were given. */
export type EWCConfig = Required<Pick<EWCOptions, OriginalOption>> & Omit<EWCOptions, OriginalOption>;

const MODES = ['last', 'average', 'online', 'sum'] as const;
const FISHERS = ['empirical', 'exact'] as const;
const PENALTIES = ['diagonal', 'function'] as const;
/** What `'online'` keeps by default. */
export const DECAY = 0.9;

/** The strengths in force where the caller names none. */
export const DEFAULT_LAMBDA = { diagonal: 2000, ownGradients: 45, function: 800 } as const;

/**
 * Checks the options that are there, but for `normalize` and `online`: the original takes any value for true or false.
 */
export function checkOptionsOf(call: string, prefix: string, config: Record<string, unknown>): void {
  const { lambda, sampleSize, mode, decay, fisher, penalty } = config;
  if (lambda !== undefined) checkNumber(call, `${prefix}lambda`, lambda, { min: 0 });
  if (sampleSize !== undefined)
    checkNumber(call, `${prefix}sampleSize`, sampleSize, { integer: true, min: 1, infinity: true });
  checkSeed(call, config['seed'], `${prefix}seed`);
  if (mode !== undefined) checkOneOf(call, `${prefix}mode`, mode, MODES);
  if (decay !== undefined) checkNumber(call, `${prefix}decay`, decay, { min: 0, max: 1 });
  if (fisher !== undefined) checkOneOf(call, `${prefix}fisher`, fisher, FISHERS);
  if (penalty !== undefined) checkOneOf(call, `${prefix}penalty`, penalty, PENALTIES);
}

export function defaultLambda({ penalty }: Pick<EWCOptions, 'penalty'>): number {
  return penalty === 'function' ? DEFAULT_LAMBDA.function : DEFAULT_LAMBDA.diagonal;
}

/** The mode in force. */
export function modeOf({ mode, online, penalty }: EWCConfig): (typeof MODES)[number] {
  if (mode !== undefined) return mode;
  if (penalty === 'function') return online ? 'average' : 'sum';
  return online ? 'average' : 'last';
}
