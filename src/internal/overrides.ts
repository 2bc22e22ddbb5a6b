/**
 * The method of an object if it replaces the class's method. A subclass, the object itself or a patched prototype may
 * replace it.
 *
 * @param method The method as the object has it.
 * @param original The method that the class defines, read from its prototype when the module was loaded.
 * @returns The method, bound to the object. Undefined if it is the class's method.
 */
export function overrideOf<Args extends unknown[], Result>(
  object: object,
  method: (...args: Args) => Result,
  original: (...args: Args) => Result,
): ((...args: Args) => Result) | undefined {
  return method === original ? undefined : (...args) => method.apply(object, args);
}
