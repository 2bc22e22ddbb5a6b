import { cosineWarmRestarts, oneCycle } from './lr-schedulers/cycles.js';
import { constant, cosine, linear, polynomial } from './lr-schedulers/decay.js';
import { exponential, multiStepDecay, stepDecay } from './lr-schedulers/factors.js';
import { inverseSqrt, warmupCosine, warmupLinear, warmupStableDecay } from './lr-schedulers/warmup.js';

/**
 * Learning-rate schedules: pure functions `(baseLR, step, totalSteps, opts)` of a step from 0. Schedules that end at
 * `totalSteps` keep their last value after it; none is ever negative. The step number is all they need to go on after
 * an interruption. `sequence` puts several after one another.
 *
 * All throw a `TypeError` or `RangeError` for a rate or `totalSteps` that is not a finite number of 0 or more, a step
 * that is not finite, or an option out of range, where they read it. A step below 0 counts as 0.
 *
 * @example
 * ```js
 * import { LRSchedulers } from 'microlora-training-utils';
 *
 * console.log(LRSchedulers.warmupCosine(0.01, 5, 100, { warmupSteps: 10 })); // 0.005
 * ```
 */
export const LRSchedulers = {
  /** `baseLR` throughout. `totalSteps` is not read. */
  constant,

  /** A straight line from `baseLR` to 0 at `totalSteps`. */
  linear,

  /**
   * Half a cosine from `baseLR` to `minLR` at `totalSteps` (Loshchilov and Hutter 2017, "SGDR"):
   * `minLR + (baseLR − minLR) · (1 + cos(π · step / totalSteps)) / 2`.
   */
  cosine,

  /**
   * The cosine again and again (Loshchilov and Hutter 2017, "SGDR"): cycle c takes
   * `restartPeriod · restartMultiplier^c` steps from `baseLR · peakDecay^c` to `minLR`. Goes on without end;
   * `totalSteps` is not read.
   */
  cosineWarmRestarts,

  /**
   * `baseLR` times `gamma` to the number of whole `stepSize`s passed. Goes on without end; `totalSteps` is not read.
   */
  exponential,

  /** A straight line from 0 to `baseLR` over `warmupSteps`, then half a cosine to `minLR` at `totalSteps`. */
  warmupCosine,

  /**
   * From `baseLR`, or with `divFactor` from `maxLR / divFactor`, up to `maxLR`, then down to the first rate divided by
   * `finalDiv` at `totalSteps` (Smith and Topin 2018, "Super-Convergence"). With `divFactor` the rates are those of
   * PyTorch's `OneCycleLR`, which reaches peak and end a step earlier.
   */
  oneCycle,

  // What the port adds.

  /**
   * From `baseLR` to `minLR` at `totalSteps`, by a power of the share of steps that are left (TensorFlow's
   * `PolynomialDecay`): `minLR + (baseLR − minLR) · (1 − step / totalSteps)^power`.
   */
  polynomial,

  /** A straight line from 0 to `baseLR` over `warmupSteps`, then another to 0 at `totalSteps`. */
  warmupLinear,

  /**
   * A straight line from 0 to `baseLR` over `warmupSteps`, then `baseLR · √(warmupSteps / step)`: the schedule of
   * Vaswani et al. 2017, "Attention Is All You Need", scaled to peak at `baseLR`. Without warm-up it falls from step 1
   * on. Goes on without end; `totalSteps` is not read.
   */
  inverseSqrt,

  /**
   * A straight line from `minLR` to `baseLR` over `warmupSteps`, `baseLR`, and in the last `decaySteps` before
   * `totalSteps` down to `minLR` (Hu et al. 2024, "MiniCPM"; `'1-sqrt'` from Hägele et al. 2024, "Scaling Laws and
   * Compute-Optimal Training Beyond Fixed Training Durations"; the rise from `minLR` as in transformers).
   */
  warmupStableDecay,

  /** `exponential` in few and large falls (PyTorch's `StepLR`). Goes on without end; `totalSteps` is not read. */
  step: stepDecay,

  /**
   * `baseLR` times `gamma` to the number of milestones reached (PyTorch's `MultiStepLR`; the default milestones are
   * those of He et al. 2016, "Deep Residual Learning", on CIFAR-10). `totalSteps` is read for the default milestones
   * alone.
   */
  multiStep: multiStepDecay,
};
