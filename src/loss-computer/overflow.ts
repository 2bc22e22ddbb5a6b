import { throwNonFinite } from '../internal/validate.js';
import type { Rows } from '../types.js';

/** The factors of a loss and its gradients, except the rows. */
export interface Factors {
  /** The factor of each row's loss: `weights` and the reduction. */
  coefficients: ArrayLike<number>;
  weights?: ArrayLike<number> | undefined;
  classWeights?: ArrayLike<number> | null | undefined;
  temperature?: number;
  margin?: number;
}

/** A factor from here on is named when a result overflows. Float32 ends at 3.4e38, and ordinary rows are far from that. */
const LARGE = 1e6;
/** All factors together from here on are the cause of an overflow. */
const LARGE_TOGETHER = 1e18;

/** Names the cause of a loss or a gradient that is not finite: an entry, an option, or rows. */
export function throwOverflow(
  call: string,
  matrices: Record<string, Rows | null | undefined>,
  factors: Factors,
): never {
  throwNonFinite(call, matrices, causesAmong(factors).join(' and ') || undefined);
}

/** Whether the factors are far too small to cause an overflow. */
export function areOrdinary({ coefficients, classWeights, temperature = 1 }: Factors): boolean {
  return (largest(coefficients) * largest(classWeights ?? [1])) / temperature < LARGE_TOGETHER;
}

function causesAmong(factors: Factors): string[] {
  const { coefficients, weights, classWeights, temperature = 1, margin = 0 } = factors;
  const causes: string[] = [];
  if (Math.abs(margin) > LARGE_TOGETHER) causes.push(`margin is too large, got ${margin}`);
  if (areOrdinary(factors)) return causes;
  const [coefficient, classWeight] = [largest(coefficients), largest(classWeights ?? [1])];
  if (1 / temperature > LARGE) causes.push(`temperature is too small, got ${temperature}`);
  const ofWeights = coefficient > LARGE && largest(weights ?? []) > LARGE;
  if (ofWeights) causes.push('weights hold numbers that are too large');
  // The mean divides by the weights of the targets, which may be small beside those of other classes.
  const ofClasses = classWeight > LARGE || (coefficient > LARGE && !ofWeights);
  if (classWeights && ofClasses) causes.push('classWeights hold numbers that are too large, or too far apart');
  return causes;
}

function largest(values: ArrayLike<number>): number {
  let most = 0;
  for (let i = 0; i < values.length; i++) most = Math.max(most, values[i]!);
  return most;
}
