/**
 * Rows as JSON may hold them: nested arrays, or `{"0":1,"1":2}` for a `Float32Array` that was written directly. Any other
 * value is returned as it is, for the checks that follow.
 */
export function rowsOfJson(rows: unknown): unknown {
  const outer = arrayOf(rows);
  if (!Array.isArray(outer) || !outer.some(isPlainObject)) return outer;
  return outer.map(arrayOf);
}

/** Turns an object whose keys are 0, 1, 2 … in order into an array. */
function arrayOf(value: unknown): unknown {
  if (!isPlainObject(value)) return value;
  const keys = Object.keys(value);
  return keys.length > 0 && keys.every((key, i) => key === String(i)) ? Object.values(value) : value;
}

function isPlainObject(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
