import { checkNumber, checkOneOf, checkSeed } from '../internal/validate.js';
import type { ParameterRows } from './diagonal.js';

export interface EWCOptions {
  /**
   * Strength of the penalty, 0 or more. One that is given here, or written to `config.lambda` later, stays. Default 2000,
   * as the original's. Two defaults follow from the adapters that are
   * remembered, and are set by `computeFisher`: 2.5 × `outDim` for the function penalty (960 at 384, 2560 at 1024), and
   * a 128th of the number of parameters for the diagonal one with gradients of the caller's own loss (48 for one
   * adapter of 384 × 8, 4096 for two of 1024 × 128). Both were measured to keep an earlier task while the next is
   * learned with InfoNCE at temperature 0.07 and AdamW; the diagonal one with gradients of examples that the adapters
   * were not trained on, as those of fitted examples vanish. For MSE training the function penalty wants about 1.
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

/** The configuration with the original's defaults filled in; the other options as they were given. */
export type EWCConfig = Required<Pick<EWCOptions, 'lambda' | 'sampleSize' | 'normalize' | 'online'>> &
  Omit<EWCOptions, 'lambda' | 'sampleSize' | 'normalize' | 'online'>;

const MODES = ['last', 'average', 'online', 'sum'] as const;
const FISHERS = ['empirical', 'exact'] as const;
const PENALTIES = ['diagonal', 'function'] as const;
/** What `'online'` keeps by default. */
export const DECAY = 0.9;

/** The strengths in force where the caller names none: those of the penalties, and what two of them are made of. */
export const DEFAULT_LAMBDA = { diagonal: 2000, functionPerColumn: 2.5, ownGradientsPerParameter: 1 / 128 } as const;
/** The width of the original's embeddings: that of the default until adapters are remembered. */
const DEFAULT_WIDTH = 384;

/**
 * Checks the options that are there, except `normalize` and `online`: the original takes any value for true or false.
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

/** Makes `lambda` call `onWrite` when it is written. The configuration reads, spreads and prints as before. */
export function withWatchedLambda(config: EWCConfig, onWrite: () => void): EWCConfig {
  let { lambda } = config;
  return Object.defineProperties(config, {
    lambda: {
      get: () => lambda,
      set: (value: number) => {
        lambda = value;
        onWrite();
      },
      enumerable: true,
      configurable: true,
    },
    [Symbol.for('nodejs.util.inspect.custom')]: { value: () => ({ ...config }) },
  });
}

/** The default strength before anything is remembered. */
export function defaultLambda({ penalty }: Pick<EWCOptions, 'penalty'>): number {
  return penalty === 'function' ? DEFAULT_LAMBDA.functionPerColumn * DEFAULT_WIDTH : DEFAULT_LAMBDA.diagonal;
}

/**
 * The default strength of the function penalty, a mean over `outDim` columns: rows of unit length change in their sum.
 */
export function functionLambda(remembered: Iterable<ParameterRows>): number {
  const widths = Array.from(remembered, ({ loraB }) => loraB[0]!.length);
  return DEFAULT_LAMBDA.functionPerColumn * Math.max(...widths);
}

/**
 * The default strength of the diagonal penalty with gradients of the caller's own loss. Adam moves every parameter by
 * about the rate, all together for one end: the loss then changes by the square of their sum, which the diagonal, a sum
 * of squares, falls short of by their number.
 */
export function ownGradientsLambda(remembered: Iterable<ParameterRows>): number {
  const counts = Array.from(remembered, ({ loraA, loraB }) => loraB.length * (loraA.length + loraB[0]!.length));
  return DEFAULT_LAMBDA.ownGradientsPerParameter * counts.reduce((sum, count) => sum + count, 0);
}

/** The mode in force. */
export function modeOf({ mode, online, penalty }: EWCConfig): (typeof MODES)[number] {
  if (mode !== undefined) return mode;
  if (penalty === 'function') return online ? 'average' : 'sum';
  return online ? 'average' : 'last';
}
