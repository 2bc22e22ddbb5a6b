/** An argument of a wrong type. */
export function wrongType(call: string, name: string, expected: string, value: unknown): TypeError {
  return new TypeError(`${call}: ${name} must be ${expected}, got ${describe(value)}`);
}

/** An argument of the right type with a wrong value. */
export function wrongValue(call: string, name: string, expected: string, value: unknown): RangeError {
  return new RangeError(`${call}: ${name} must be ${expected}, got ${describe(value)}`);
}

/** A count and its noun for a message: "1 row", "2 entries". */
export function inWords(count: number, noun: string): string {
  const plural = noun.endsWith('y') ? `${noun.slice(0, -1)}ies` : `${noun}s`;
  return `${count} ${count === 1 ? noun : plural}`;
}

/** A value in a few words for a message. */
export function describe(value: unknown): string {
  if (typeof value === 'string') return value.length > 40 ? `"${value.slice(0, 40)}…"` : `"${value}"`;
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value !== 'object' || value === null) return String(value);
  if (Array.isArray(value)) return `an array of ${value.length}`;
  const name = (Object.getPrototypeOf(value) as object | null)?.constructor?.name;
  if (!name || name === 'Object') return 'an object';
  return `${/^(?!Uint)[AEIOU]/.test(name) ? 'an' : 'a'} ${name}`;
}
