import { types } from 'node:util';

/** Of all typed arrays: that of `Buffer` is its own, and gives a view. */
const { slice } = Object.getPrototypeOf(Uint8Array.prototype) as Uint8Array;

/**
 * A copy one level deep, so that writing to the one leaves the other as it is: of an array, a typed array or a `Buffer`,
 * a `Map`, `Set`, `Date`, `ArrayBuffer` or `DataView`, and of the own enumerable properties of any other object, which
 * keeps its class. Private fields (`#name`) are not copied. Promises and the like, and what is no object, stay as they
 * are.
 */
export function shallowCopy<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return [...value] as T;
  if (types.isTypedArray(value)) return slice.call(value as never) as T;
  const prototype: object | null = Object.getPrototypeOf(value);
  if (prototype === Object.prototype) return { ...value };
  if (isOpaque(value)) return value;
  const contents = copyOfContents(value);
  if (contents && Object.getPrototypeOf(contents) !== prototype) Object.setPrototypeOf(contents, prototype);
  // Spread reads accessors; defined as they were read, no setter of the class runs.
  const properties = Object.getOwnPropertyDescriptors({ ...(value as object) });
  return Object.defineProperties(contents ?? Object.create(prototype), properties) as T;
}

/** Whether contents cannot be read, or cannot change: an object made by its prototype alone would be none of the kind. */
function isOpaque(value: object): boolean {
  const isWeak = types.isWeakMap(value) || types.isWeakSet(value) || value instanceof WeakRef;
  const isShared = types.isPromise(value) || types.isGeneratorObject(value) || types.isSharedArrayBuffer(value);
  return isWeak || isShared || types.isRegExp(value) || types.isBoxedPrimitive(value);
}

/** Of the kinds that hold something beside their properties. */
function copyOfContents(value: object): object | undefined {
  if (types.isMap(value)) return new Map(value);
  if (types.isSet(value)) return new Set(value);
  if (types.isDate(value)) return new Date(value);
  if (types.isArrayBuffer(value)) return slice.call(new Uint8Array(value)).buffer;
  if (types.isDataView(value)) {
    return new DataView(slice.call(new Uint8Array(value.buffer, value.byteOffset, value.byteLength)).buffer);
  }
  return undefined;
}
