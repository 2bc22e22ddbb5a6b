import { cosineWarmRestarts, oneCycle } from './lr-schedulers/cycles.js';
import { constant, cosine, linear, polynomial } from './lr-schedulers/decay.js';
import { exponential, multiStepDecay, stepDecay } from './lr-schedulers/factors.js';
import { inverseSqrt, warmupCosine, warmupLinear, warmupStableDecay } from './lr-schedulers/warmup.js';

/**
 * Learning-rate schedules: pure functions `(baseLR, step, totalSteps, opts)` of a step, which counts from 0. The step is
 * all that they need to continue after an interruption. A schedule that ends at `totalSteps` keeps its last rate
 * afterwards. No rate is negative. `sequence` runs schedules one after the other.
 *
 * All schedules throw a `TypeError` or `RangeError` for an argument that they read and that is invalid: a rate or
 * `totalSteps` that is not a finite number of at least 0, a step that is not finite, or an option out of range. A step
 * below 0 counts as 0.
 *
 * @example
 * ```js
 * import { LRSchedulers } from 'microlora-training-utils';
 *
 * console.log(LRSchedulers.warmupCosine(0.01, 5, 100, { warmupSteps: 10 })); // 0.005
 * ```
 */
export const LRSchedulers = {
  /** `baseLR` at every step. `totalSteps` is not read. */
  constant,

  /** A straight line from `baseLR` to 0 at `totalSteps`. */
  linear,

  /**
   * Half a cosine from `baseLR` to `minLR` at `totalSteps` (Loshchilov and Hutter 2017, "SGDR"):
   * `minLR + (baseLR − minLR) · (1 + cos(π · step / totalSteps)) / 2`.
   */
  cosine,

  /**
   * Repeated half cosines (Loshchilov and Hutter 2017, "SGDR"). Cycle c takes `restartPeriod · restartMultiplier^c` steps
   * from `baseLR · peakDecay^c` to `minLR`. Does not end: `totalSteps` is not read.
   */
  cosineWarmRestarts,

  /** `baseLR · gamma^⌊step / stepSize⌋`. Does not end: `totalSteps` is not read. */
  exponential,

  /** A straight line from 0 to `baseLR` over `warmupSteps`, then half a cosine to `minLR` at `totalSteps`. */
  warmupCosine,

  /**
   * A rise to `maxLR`, then a fall to the first rate divided by `finalDiv` at `totalSteps` (Smith and Topin 2018,
   * "Super-Convergence"). The first rate is `baseLR`, or `maxLR / divFactor` if `divFactor` is given. The rates are then
   * those of PyTorch's `OneCycleLR`, which reaches its peak and its end one step earlier.
   */
  oneCycle,

  // Schedules that the original does not have.

  /**
   * A power of the share of steps that are left, from `baseLR` to `minLR` at `totalSteps` (TensorFlow's
   * `PolynomialDecay`): `minLR + (baseLR − minLR) · (1 − step / totalSteps)^power`.
   */
  polynomial,

  /** A straight line from 0 to `baseLR` over `warmupSteps`, then another to 0 at `totalSteps`. */
  warmupLinear,

  /**
   * A straight line from 0 to `baseLR` over `warmupSteps`, then `baseLR · √(warmupSteps / step)`: the schedule of
   * Vaswani et al. 2017, "Attention Is All You Need", scaled so that its peak is `baseLR`. Without warm-up, it falls from
   * step 1 on. Does not end: `totalSteps` is not read.
   */
  inverseSqrt,

  /**
   * A straight line from `minLR` to `baseLR` over `warmupSteps`, then `baseLR`, then a decay to `minLR` in the last
   * `decaySteps` before `totalSteps` (Hu et al. 2024, "MiniCPM"). The decay `'1-sqrt'` is that of Hägele et al. 2024,
   * "Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations". The rise starts at `minLR`, as in
   * transformers.
   */
  warmupStableDecay,

  /** `exponential` with fewer and larger falls (PyTorch's `StepLR`). Does not end: `totalSteps` is not read. */
  step: stepDecay,

  /**
   * `baseLR` times `gamma` to the power of the number of milestones reached (PyTorch's `MultiStepLR`). The default
   * milestones are those of He et al. 2016, "Deep Residual Learning", on CIFAR-10. Only they read `totalSteps`.
   */
  multiStep: multiStepDecay,
};
