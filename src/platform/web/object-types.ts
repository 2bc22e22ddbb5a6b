/** Which built-in class made an object. */
export const types = {
  isTypedArray: (value: unknown): value is Uint8Array => ArrayBuffer.isView(value) && !(value instanceof DataView),
  isMap: (value: unknown): value is Map<unknown, unknown> => value instanceof Map,
  isSet: (value: unknown): value is Set<unknown> => value instanceof Set,
  isDate: (value: unknown): value is Date => value instanceof Date,
  isArrayBuffer: (value: unknown): value is ArrayBuffer => value instanceof ArrayBuffer,
  isDataView: (value: unknown): value is DataView => value instanceof DataView,
  isWeakMap: (value: unknown): boolean => value instanceof WeakMap,
  isWeakSet: (value: unknown): boolean => value instanceof WeakSet,
  isPromise: (value: unknown): boolean => value instanceof Promise,
  isGeneratorObject: (value: unknown): boolean => /Generator\]$/.test(Object.prototype.toString.call(value)),
  isSharedArrayBuffer: (value: unknown): boolean =>
    typeof SharedArrayBuffer !== 'undefined' && value instanceof SharedArrayBuffer,
  isRegExp: (value: unknown): boolean => value instanceof RegExp,
  isBoxedPrimitive: (value: unknown): boolean =>
    [Number, String, Boolean, BigInt, Symbol].some(Primitive => value instanceof Primitive),
};
