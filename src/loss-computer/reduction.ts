/** Coefficients of a mean over `count` rows. */
export function meanCoefficients(count: number): Float64Array {
  return new Float64Array(count).fill(1 / count);
}
