/** The last odd term of the series. The next one would be below 1e-17. */
const LAST_TERM = 21;

/**
 * The natural logarithm of a positive number, to 1e-15 relative to 1 + |ln x|. It uses only additions, multiplications and
 * divisions, which are exactly specified. Engines may differ in the last bits of `Math.log`.
 */
export function logarithm(x: number): number {
  let exponent = 0;
  let mantissa = x;
  for (; mantissa > Math.SQRT2; mantissa /= 2) exponent++;
  for (; mantissa < Math.SQRT1_2; mantissa *= 2) exponent--;
  // ln m = 2 artanh((m - 1) / (m + 1)).
  const ratio = (mantissa - 1) / (mantissa + 1);
  let series = 0;
  for (let k = LAST_TERM; k >= 1; k -= 2) series = series * ratio * ratio + 1 / k;
  return exponent * Math.LN2 + 2 * ratio * series;
}
