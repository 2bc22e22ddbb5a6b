import type { AdapterGradients } from '../types.js';

/** What is asked of the penalty on one adapter, whatever its kind; over λ. */
export interface AdapterPenalty {
  value(): number;
  /** Adds `scale` times the gradient. */
  addGradient(gradients: AdapterGradients, scale: number): void;
  /** One gradient step of at most this rate on the adapter itself, which never makes the penalty grow. */
  step(rate: number): void;
}
