/** A number in at most four digits, such as 0.0312, 1250 or 5e-4. */
export function short(value: number): string {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) {
    const [digits, exponent] = value.toExponential(2).split('e');
    return `${Number(digits)}e${Number(exponent)}`;
  }
  return String(Number(value.toPrecision(4)));
}

/** A number of steps, such as 250 or 20k. */
export function count(value: number): string {
  if (Math.abs(value) >= 1e6) return short(value);
  return Math.abs(value) >= 1e4 ? `${short(value / 1000)}k` : String(Number(value.toFixed(2)));
}

/** A share in percent with one decimal. */
export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/** How numbers of one table are written: with three decimals if these suit all of them except rounding errors of zero, or else by {@link short}. */
export function alike(values: readonly number[]): (value: number) => string {
  const suits = (size: number): boolean => !(size > 1e-12 && size < 0.001) && !(size >= 1000);
  return values.every(value => suits(Math.abs(value))) ? value => value.toFixed(3) : short;
}
