import { checkNumber, checkOneOf, checkSeed } from '../internal/validate.js';

export interface EWCOptions {
  /**
   * Strength λ of the penalty, 0 or more. A strength that is given here, or written to `config.lambda` later, stays.
   * Otherwise `computeFisher` sets a default that follows from the remembered adapters in two cases:
   *
   * - For the function penalty it is 2.5 × `outDim`: 960 at 384, 2560 at 1024.
   * - For the diagonal penalty with gradients of the caller's own loss it is the number of parameters divided by 128:
   *   48 for one adapter of 384 × 8, 4096 for two of 1024 × 128.
   *
   * Both were measured to keep an earlier task while the next one is learned with InfoNCE at temperature 0.07 and AdamW.
   * The second needs gradients of examples that the adapters were not trained on, as gradients of fitted examples vanish.
   * For training with MSE the function penalty wants about 1.
   *
   * @default 2000, the original's; 960 for the function penalty
   */
  lambda?: number;
  /**
   * Most examples used for the Fisher, an integer of at least 1 or `Infinity`. Of more data this many are drawn, with
   * replacement.
   *
   * @default 200
   */
  sampleSize?: number;
  /**
   * Pass `true` to divide each adapter's Fisher by its largest entry, so that `lambda` means the same for all tasks.
   * Otherwise the values stay as they are. So they do in the original, whose default `true` has no effect.
   *
   * @default true, without effect
   */
  normalize?: boolean;
  /**
   * Whether a new task's Fisher is averaged with the one before. Otherwise it replaces it.
   *
   * @default false
   */
  online?: boolean;
  /**
   * What a new task does to what is remembered:
   *
   * - `'last'` replaces it.
   * - `'average'` takes the mean of both.
   * - `'online'` adds to `decay` times the old (Schwarz et al. 2018, "Progress & Compress").
   * - `'sum'` adds, so that every task stays protected at the cost of one.
   *
   * With the first three the diagonal penalty pulls towards the latest parameters, with `'sum'` towards every task's.
   *
   * @default 'last'; 'average' where `online` is true; 'sum' for the function penalty
   */
  mode?: 'last' | 'average' | 'online' | 'sum';
  /**
   * The share of earlier tasks that mode `'online'` keeps at each new one, from 0 to 1.
   *
   * @default 0.9
   */
  decay?: number;
  /**
   * The Fisher of the diagonal penalty. `'empirical'` is the mean squared gradients of the loss. `'exact'` is their
   * expectation under the model, a Gaussian as for the MSE. It needs no targets and does not vanish at a perfect fit.
   *
   * @default 'empirical'
   */
  fisher?: 'empirical' | 'exact';
  /**
   * `'diagonal'` is `λ/2 · Σ F (θ - θ*)²` over the parameters. `'function'` is λ times the mean squared change of the
   * outputs for the inputs of earlier tasks, whatever the parameters.
   *
   * @default 'diagonal'
   */
  penalty?: 'diagonal' | 'function';
  /**
   * Seed of the examples that are drawn where there are more than `sampleSize`, an integer from 0 to 2³² - 1.
   *
   * @default none: draws come from `Math.random`
   */
  seed?: number;
}

export interface EWCStats {
  /** Number of `computeFisher` calls since the last `reset`. */
  tasksLearned: number;
  /** Number of penalties computed. */
  totalPenalties: number;
}

export interface EWCEvents {
  /** Before the Fisher is computed: the number of examples. */
  'fisher:start': [{ samples: number }];
  /** After it is stored: the number of adapters that it covers. */
  'fisher:complete': [{ adapters: number }];
}

/** The configuration with the original's defaults filled in; the other options as they were given. */
export type EWCConfig = Required<Pick<EWCOptions, 'lambda' | 'sampleSize' | 'normalize' | 'online'>> &
  Omit<EWCOptions, 'lambda' | 'sampleSize' | 'normalize' | 'online'>;

const MODES = ['last', 'average', 'online', 'sum'] as const;
const FISHERS = ['empirical', 'exact'] as const;
const PENALTIES = ['diagonal', 'function'] as const;
/** What `'online'` keeps by default. */
export const DECAY = 0.9;

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

/** The mode in force. */
export function modeOf({ mode, online, penalty }: EWCConfig): (typeof MODES)[number] {
  if (mode !== undefined) return mode;
  if (penalty === 'function') return online ? 'average' : 'sum';
  return online ? 'average' : 'last';
}
