import { checkArray, checkCount, checkObject, describe, inWords, wrongType } from './internal/validate.js';
import { ALL_DTYPES, type Dtype, dtypeOf, type TensorData } from './tensors/dtypes.js';
import {
  countOf,
  encode,
  entriesOf,
  labelOf,
  METADATA,
  MOST_DIMENSIONS,
  MOST_METADATA,
  MOST_TENSORS,
  readHeader,
} from './tensors/safetensors.js';
import type { Bytes } from './types.js';

/** Numbers with a shape. */
export interface Tensor {
  /** At most 64 sizes, the slowest first: `[height, width]` for a matrix, `[]` for a single number. */
  shape: readonly number[];
  /** The entries row by row. Their number is the product of `shape`. */
  data: TensorData;
}

/** A tensor of a file. */
export interface ReadTensor extends Tensor {
  /** The type in the file. `data` is float32 for F16 and BF16, and bytes for BOOL. */
  dtype: Dtype;
}

/** The content of a file, as `readTensors` returns it. */
export interface TensorFile {
  /** Tensors by name, in the order of their entries. */
  tensors: Map<string, ReadTensor>;
  /** Texts by name that the writer added. */
  metadata: Record<string, string>;
}

/**
 * Tensors as the bytes of one safetensors file. Readers in Python and Rust accept it too. The type of the array is the
 * type in the file, and every bit survives. Tensors of wider entries come first, so that all are aligned.
 *
 * @param tensors At most 100,000 tensors by name, as a Map or an object.
 * @param metadata At most 10,000 texts by name. By default, none.
 * @throws TypeError or RangeError that names the tensor: for a shape whose entries are not counts or that does not fit
 *   `data`, an array of another type, and a name that is not a string or is reserved (`__metadata__`, `__proto__`).
 *   RangeError for a header of more than 100 MB.
 *
 * @example
 * ```js
 * import { readTensors, writeTensors } from 'microlora-training-utils';
 *
 * const bytes = writeTensors({ rows: { shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) } }, { model: 'small' });
 * const { tensors, metadata } = readTensors(bytes);
 * console.log(tensors.get('rows')?.data, metadata.model); // Float32Array(4) [ 1, 2, 3, 4 ] small
 * ```
 */
export function writeTensors(
  tensors: ReadonlyMap<string, Tensor> | Readonly<Record<string, Tensor>>,
  metadata?: Readonly<Record<string, string>>,
): Bytes {
  const call = 'writeTensors';
  const isMap = tensors instanceof Map;
  if (!isMap) checkObject(call, 'tensors', tensors);
  const entries: [unknown, unknown][] = isMap ? [...tensors] : Object.entries(tensors);
  if (entries.length > MOST_TENSORS)
    throw new RangeError(`${call}: tensors must have at most ${MOST_TENSORS} entries, got ${entries.length}`);
  const checked = new Map<string, Tensor>();
  for (const [name, tensor] of entries) {
    checkName(call, 'the name of a tensor', name);
    checked.set(name, checkedTensor(call, `tensors[${describe(name)}]`, tensor));
  }
  if (metadata !== undefined) checkMetadata(call, metadata);
  return encode(call, checked, metadata);
}

/**
 * The tensors and metadata of a safetensors file. The bytes may come from anywhere: the whole header is checked before
 * anything is allocated, and no tensor takes more than twice its bytes in the file. Entries that are not finite are
 * read as they are.
 *
 * @param bytes The whole file.
 * @throws RangeError where the file is not exactly a header, followed by the entries that the header names, without gap
 *   or overlap. The header has at most 100 MB, 100,000 tensors, 64 sizes per shape and 10,000 keys of metadata.
 * @throws RangeError for an unknown type, and for a file of another format, which the message names if it is known.
 * @throws TypeError where `bytes` is not a Uint8Array.
 */
export function readTensors(bytes: Uint8Array): TensorFile {
  return readTensorsFor('readTensors', bytes);
}

/** Does the work of {@link readTensors} under the name of another call. */
export function readTensorsFor(call: string, bytes: Uint8Array): TensorFile {
  const { metadata, tensors } = readHeader(bytes, {
    call,
    jsonAdvice: 'parse it with JSON.parse',
    dtypes: ALL_DTYPES,
    checkShape: (label, shape) => checkSizes(call, label, shape),
  });
  const read = Array.from(tensors, ([name, stored]): [string, ReadTensor] => {
    const { dtype, shape } = stored;
    return [name, { dtype, shape, data: entriesOf(bytes, stored) }];
  });
  return { tensors: new Map(read), metadata: Object.fromEntries(metadata) };
}

function checkedTensor(call: string, label: string, tensor: unknown): Tensor {
  checkObject(call, label, tensor);
  const { shape, data } = tensor;
  checkArray(call, `${label}.shape`, shape);
  if (shape.length > MOST_DIMENSIONS)
    throw new RangeError(
      `${call}: ${label}.shape has ${inWords(shape.length, 'size')}, at most ${MOST_DIMENSIONS} are allowed`,
    );
  checkSizes(call, `${label}.shape`, shape);
  if (dtypeOf(data) === undefined) throw wrongType(call, `${label}.data`, 'a typed array of numbers', data);
  const { length } = data as TensorData;
  if (length !== countOf(shape))
    throw new RangeError(
      `${call}: ${label}.data has ${inWords(length, 'entry')}, its shape [${shape.join(', ')}] needs ${countOf(shape)}`,
    );
  return { shape: [...shape], data: data as TensorData };
}

function checkSizes(call: string, label: string, shape: readonly unknown[]): asserts shape is readonly number[] {
  for (let i = 0; i < shape.length; i++) checkCount(call, `${label}[${i}]`, shape[i], 0);
}

function checkMetadata(call: string, metadata: unknown): void {
  checkObject(call, 'metadata', metadata);
  const entries = Object.entries(metadata);
  if (entries.length > MOST_METADATA)
    throw new RangeError(`${call}: metadata must have at most ${MOST_METADATA} keys, got ${entries.length}`);
  for (const [name, value] of entries) {
    checkName(call, 'a name of metadata', name);
    const label = `metadata[${describe(name)}]`;
    if (typeof value !== 'string') throw wrongType(call, label, 'a string', value);
    checkWhole(call, label, value);
  }
}

function checkName(call: string, label: string, name: unknown): asserts name is string {
  if (typeof name !== 'string') throw wrongType(call, label, 'a string', name);
  if (name === METADATA || name === '__proto__') throw new RangeError(`${call}: ${label} is ${labelOf(name)}, which is reserved`); // biome-ignore format: one message
  checkWhole(call, label, name);
}

/** Checks that a text has no half of a surrogate pair, which has no UTF-8. */
function checkWhole(call: string, label: string, text: string): void {
  if (/\p{Surrogate}/u.test(text))
    throw new RangeError(`${call}: ${label} has half of a surrogate pair: ${describe(text)}`);
}
