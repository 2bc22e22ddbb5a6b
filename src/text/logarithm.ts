/** Odd terms of the series; the next would be below 1e-17. */
const LAST_TERM = 21;

/**
 * The natural logarithm of a positive number, within 1e-15 of it relative to 1 + |ln x|, by additions,
 * multiplications and divisions alone. Engines may differ in the last bits of `Math.log`; these are exactly specified.
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
