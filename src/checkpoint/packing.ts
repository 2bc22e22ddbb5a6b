import { describe } from '../internal/validate.js';
import { dtypeOf, type TensorData } from '../tensors/dtypes.js';
import type { Tensor } from '../tensors.js';

/**
 * States as JSON and tensors. A matrix leaves a null in the JSON. The name of its tensor is the JSON Pointer of that
 * place (RFC 6901), which tells a reader in another language what it is.
 */

export interface Packed {
  /** The states by part, with nulls in place of the tensors. */
  json: string;
  tensors: Map<string, Tensor>;
  /** Forms of the tensors that were not plain arrays of numbers, by name. */
  forms: Record<string, Form>;
}

/** How a state holds a tensor: as a typed array, or as an array of typed rows. */
type Form = 'typed' | 'rows';

const FORMS: readonly unknown[] = ['typed', 'rows'];
/** Arrays and matrices with fewer numbers stay in the JSON. */
const LEAST_NUMBERS = 16;
/** A deeper state most likely holds itself. */
const DEEPEST = 64;

/**
 * @param states States by part.
 * @throws TypeError for a value that JSON cannot hold. RangeError for a state that is too deep.
 */
export function pack(call: string, states: ReadonlyMap<string, unknown>): Packed {
  const tensors = new Map<string, Tensor>();
  const forms: Record<string, Form> = {};
  const visit = (value: unknown, path: string, depth: number): unknown => {
    const found = tensorOf(value);
    // JSON can hold half of a surrogate pair. The name of a tensor cannot.
    const isName = !/\p{Surrogate}/u.test(path);
    if (found?.form !== undefined && !isName)
      throw new RangeError(`${call}: ${path} has half of a surrogate pair, and holds a typed array`);
    if (found && isName) {
      tensors.set(path, found.tensor);
      if (found.form !== undefined) forms[path] = found.form;
      return null;
    }
    if (typeof value === 'bigint') throw new TypeError(`${call}: ${path} is ${value}n, which JSON cannot hold`);
    if (typeof value !== 'object' || value === null) return value;
    if (depth > DEEPEST) throw new RangeError(`${call}: ${path} is more than ${DEEPEST} levels deep`);
    if (Array.isArray(value)) return Array.from(value, (each, i) => visit(each, `${path}/${i}`, depth + 1));
    const { toJSON } = value as { toJSON?: unknown };
    if (typeof toJSON === 'function') return visit(Reflect.apply(toJSON, value, []), path, depth + 1);
    if (!isPlain(value)) throw new TypeError(`${call}: ${path} is ${describe(value)}, which JSON cannot hold`);
    const entries = Object.entries(value).map(([key, each]) => [
      key,
      visit(each, `${path}/${escaped(key)}`, depth + 1),
    ]);
    return Object.fromEntries(entries);
  };
  const parts = Array.from(states, ([name, state]) => [name, visit(state, `/${escaped(name)}`, 0)]);
  return { json: JSON.stringify(Object.fromEntries(parts)), tensors, forms };
}

/**
 * The states by part.
 *
 * @throws RangeError for a file that {@link pack} cannot have made.
 */
export function unpack(
  call: string,
  json: string,
  forms: Readonly<Record<string, unknown>>,
  tensors: ReadonlyMap<string, Tensor>,
): Map<string, unknown> {
  const states = parsed(call, json);
  for (const [path, tensor] of tensors) {
    const keys = path.split('/').slice(1).map(unescaped);
    const last = keys.pop();
    let holder: unknown = states;
    for (const key of keys) holder = isHolder(holder) && Object.hasOwn(holder, key) ? Reflect.get(holder, key) : null;
    const isPlace = isHolder(holder) && last !== undefined && Object.hasOwn(holder, last);
    if (!isPlace || Reflect.get(holder as object, last) !== null)
      throw new RangeError(`${call}: the file has the tensor ${describe(path)}, for which its states have no place`);
    const form = Object.hasOwn(forms, path) ? forms[path] : undefined;
    if (form !== undefined && !FORMS.includes(form))
      throw new RangeError(`${call}: the form of ${describe(path)} must be 'typed' | 'rows', got ${describe(form)}`);
    // An assignment to the key `__proto__` would set the prototype.
    const value = fromTensor(call, path, tensor, form as Form | undefined);
    Object.defineProperty(holder, last!, { value, enumerable: true, configurable: true, writable: true });
  }
  return new Map(Object.entries(states));
}

/**
 * The tensor of a typed array, of an array of typed rows, or of an array or matrix of numbers. Undefined for other
 * values.
 */
function tensorOf(value: unknown): { tensor: Tensor; form?: Form } | undefined {
  if (dtypeOf(value) !== undefined) {
    const data = value as TensorData;
    return { tensor: { shape: [data.length], data }, form: 'typed' };
  }
  if (!Array.isArray(value) || value.length === 0) return undefined;
  const first: unknown = value[0];
  if (typeof first === 'number') return isNumbers(value) ? plainTensor([value.length], [value]) : undefined;
  const width = (first as ArrayLike<unknown> | null)?.length;
  if (!width || typeof first !== 'object' || first === null) return undefined;
  const shape = [value.length, width];
  if (Array.isArray(first)) {
    const isMatrix = value.every(row => Array.isArray(row) && row.length === width && isNumbers(row));
    return isMatrix ? plainTensor(shape, value as number[][]) : undefined;
  }
  const dtype = dtypeOf(first);
  if (dtype === undefined) return undefined;
  const rows = value as TensorData[];
  if (!rows.every(row => dtypeOf(row) === dtype && row.length === width)) return undefined;
  const data = new (first.constructor as Float32ArrayConstructor)(value.length * width);
  rows.forEach((row, i) => {
    data.set(row as Float32Array, i * width);
  });
  return { tensor: { shape, data }, form: 'rows' };
}

/** The tensor of rows of numbers: in float32 where that loses no bit, and otherwise in float64. */
function plainTensor(shape: number[], rows: readonly number[][]): { tensor: Tensor } | undefined {
  const width = rows[0]!.length;
  if (rows.length * width < LEAST_NUMBERS) return undefined;
  const isFloat32 = rows.every(row => row.every(entry => Object.is(Math.fround(entry), entry)));
  const data = new (isFloat32 ? Float32Array : Float64Array)(rows.length * width);
  rows.forEach((row, i) => {
    data.set(row, i * width);
  });
  return { tensor: { shape, data } };
}

function fromTensor(call: string, path: string, { shape, data }: Tensor, form: Form | undefined): unknown {
  const [height, width] = shape;
  const isFitting = form === 'typed' ? shape.length === 1 : form === 'rows' ? shape.length === 2 : shape.length <= 2;
  if (height === undefined || !isFitting)
    throw new RangeError(
      `${call}: the tensor ${describe(path)} has the shape [${shape.join(', ')}], which no state has`,
    );
  if (form === 'typed') return data;
  if (form !== 'rows' && !(data instanceof Float32Array || data instanceof Float64Array))
    throw new RangeError(`${call}: the tensor ${describe(path)} must be of F32 or F64, as numbers of a state are`);
  if (width === undefined) return Array.from(data as Float64Array);
  if (width === 0) throw new RangeError(`${call}: the tensor ${describe(path)} has rows without entries`);
  return Array.from({ length: height }, (_, i) => {
    const row = data.slice(i * width, (i + 1) * width);
    return form === 'rows' ? row : Array.from(row as Float64Array);
  });
}

/** Whether a row has entries and all of them are numbers. A hole is not. */
function isNumbers(row: readonly unknown[]): row is number[] {
  for (let j = 0; j < row.length; j++) if (typeof row[j] !== 'number') return false;
  return row.length > 0;
}

function parsed(call: string, json: string): object {
  try {
    const states: unknown = JSON.parse(json);
    if (typeof states === 'object' && states !== null && !Array.isArray(states)) return states;
  } catch (cause) {
    throw new RangeError(`${call}: the states of the file are not JSON`, { cause });
  }
  throw new RangeError(`${call}: the states of the file are no object`);
}

function isHolder(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !ArrayBuffer.isView(value);
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null || Object.getPrototypeOf(prototype) === null;
}

function escaped(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}

function unescaped(key: string): string {
  return key.replaceAll('~1', '/').replaceAll('~0', '~');
}
