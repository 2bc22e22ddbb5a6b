import { types } from '#platform/object-types';

/** The method of all typed arrays. The one of `Buffer` gives a view. */
const { slice } = Object.getPrototypeOf(Uint8Array.prototype) as Uint8Array;

/**
 * A copy one level deep. Writing to the copy does not change the original, and the other way round.
 *
 * Arrays, typed arrays, `Buffer`, `Map`, `Set`, `Date`, `ArrayBuffer` and `DataView` are copied with their contents. Of any
 * other object, the enumerable properties are copied, and the copy has the same class. Private fields (`#name`) are not
 * copied. Promises and other objects whose contents cannot be read are returned as they are, and so are primitive values.
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
  // The spread reads accessors. Defining the values that were read runs no setter of the class.
  const properties = Object.getOwnPropertyDescriptors({ ...(value as object) });
  return Object.defineProperties(contents ?? Object.create(prototype), properties) as T;
}

/** Whether contents cannot be read or cannot change. An object made from the prototype alone would not work. */
function isOpaque(value: object): boolean {
  const isWeak = types.isWeakMap(value) || types.isWeakSet(value) || value instanceof WeakRef;
  const isShared = types.isPromise(value) || types.isGeneratorObject(value) || types.isSharedArrayBuffer(value);
  return isWeak || isShared || types.isRegExp(value) || types.isBoxedPrimitive(value);
}

/** A copy of an object that has contents beside its properties, without these. Undefined for other objects. */
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
