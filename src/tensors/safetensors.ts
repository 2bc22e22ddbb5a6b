import { seemsToBe } from '../internal/seems.js';
import { checkOneOf, inWords, wrongType, wrongValue } from '../internal/validate.js';
import type { Bytes } from '../types.js';
import { bytesOfEntries, type Dtype, dtypeOf, entriesOfBytes, SIZES, type TensorData } from './dtypes.js';
import { JsonReader } from './json-reader.js';

/**
 * The safetensors format (Hugging Face): the length of the header as a little-endian uint64, the header as JSON, and
 * the entries of all tensors row by row.
 */

/** A tensor as the header describes it, checked. */
export interface StoredTensor {
  dtype: Dtype;
  shape: readonly number[];
  /** Where its entries start and end in the file. */
  range: readonly [start: number, end: number];
}

export interface Header {
  metadata: ReadonlyMap<string, string>;
  /** Tensors by key, in the order of their entries. */
  tensors: ReadonlyMap<string, StoredTensor>;
}

/** Rules of a reader, in addition to those of the format. */
export interface HeaderRules {
  call: string;
  /** Advice for a file that is JSON. */
  jsonAdvice: string;
  dtypes: readonly Dtype[];
  /** Called with the key of each tensor before the tensor is read. It may throw. */
  checkKey?: (key: string) => void;
  /** Called with each shape, of at most 64 numbers. It must throw if a number is not a count. */
  checkShape: (label: string, shape: readonly number[]) => void;
}

const LENGTH_SIZE = 8;
/** The limit of the reference implementation, in bytes. */
const LARGEST_HEADER = 100_000_000;
/** A LoRA on every expert of a large model has as many. A header of 100 MB could name a million. */
export const MOST_TENSORS = 100_000;
/** Programs write some dozens of keys. */
export const MOST_METADATA = 10_000;
/** The limit of PyTorch. */
export const MOST_DIMENSIONS = 64;
export const METADATA = '__metadata__';

/** The bytes of a file. The arguments have been checked. Larger entries come first, so that all are aligned. */
export function encode(
  call: string,
  tensors: ReadonlyMap<string, { shape: readonly number[]; data: TensorData }>,
  metadata: Readonly<Record<string, string>> | undefined,
): Bytes {
  const header: Record<string, unknown> = metadata ? { [METADATA]: metadata } : {};
  const ordered = Array.from(tensors).sort(([, a], [, b]) => b.data.BYTES_PER_ELEMENT - a.data.BYTES_PER_ELEMENT);
  let end = 0;
  for (const [key, { shape, data }] of ordered) {
    const begin = end;
    end += data.byteLength;
    header[key] = { dtype: dtypeOf(data), shape, data_offsets: [begin, end] };
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  if (text.length > LARGEST_HEADER) {
    throw new RangeError(
      `${call}: the header must have at most ${LARGEST_HEADER} bytes, names and metadata make it ${text.length}`,
    );
  }
  // Spaces at the end of the header align the entries.
  const start = LENGTH_SIZE + Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(start + end);
  viewOf(bytes).setBigUint64(0, BigInt(start - LENGTH_SIZE), true);
  bytes.fill(0x20, LENGTH_SIZE, start);
  bytes.set(text, LENGTH_SIZE);
  let position = start;
  for (const [, { data }] of ordered) {
    bytes.set(bytesOfEntries(data), position);
    position += data.byteLength;
  }
  return bytes;
}

/** Reads a header that may come from anywhere. Nothing is allocated for entries. */
export function readHeader(bytes: Uint8Array, rules: HeaderRules): Header {
  if (!(bytes instanceof Uint8Array)) throw wrongType(rules.call, 'bytes', 'a Uint8Array', bytes);
  const start = LENGTH_SIZE + headerLength(bytes, rules);
  return parseHeader(textOf(rules.call, bytes.subarray(LENGTH_SIZE, start)), start, bytes.length, rules);
}

/** The entries of a tensor of the file. */
export function entriesOf(bytes: Uint8Array, { dtype, range }: StoredTensor): TensorData {
  return entriesOfBytes(bytes.subarray(...range), dtype);
}

/** A key for a message. */
export function labelOf(key: string): string {
  if (key.trim() === '') return JSON.stringify(key);
  return key.length > 120 ? `${key.slice(0, 120)}…` : key;
}

/** The number of entries. A product that overflows is rounded to a number above what any file holds. */
export function countOf(shape: readonly number[]): number {
  return shape.includes(0) ? 0 : shape.reduce((product, size) => product * size, 1);
}

/** The length of the header. Throws an error that says what the file seems to be where it is not a safetensors file. */
function headerLength(bytes: Uint8Array, { call, jsonAdvice }: HeaderRules): number {
  const length = bytes.length < LENGTH_SIZE ? undefined : viewOf(bytes).getBigUint64(0, true);
  const most = Math.min(bytes.length - LENGTH_SIZE, LARGEST_HEADER);
  if (length !== undefined && length <= most) return Number(length);
  const advice = otherFormat(bytes, jsonAdvice);
  if (advice !== undefined) throw new RangeError(`${call}: bytes are no safetensors file, but seem to be ${advice}`);
  if (length === undefined)
    throw new RangeError(`${call}: bytes must have at least ${LENGTH_SIZE} entries, got ${bytes.length}`);
  const error = wrongValue(call, 'the header length', `at most ${most}`, Number(length));
  if (length <= LARGEST_HEADER) error.message += '; the file was cut off within its header, or is no safetensors file';
  throw error;
}

function otherFormat(bytes: Uint8Array, jsonAdvice: string): string | undefined {
  // A file that was cut off has a valid length, whose upper bytes are 0.
  if (bytes.length < LENGTH_SIZE || bytes.subarray(LENGTH_SIZE / 2, LENGTH_SIZE).some(byte => byte !== 0)) {
    const text = String.fromCharCode(...bytes.subarray(0, 64));
    const isMarked = text.startsWith('\u00ef\u00bb\u00bf');
    const start = (isMarked ? text.slice(3) : text).trimStart();
    if (/^[{[]/.test(start)) return `JSON${isMarked ? ' with a byte-order mark' : ''}; ${jsonAdvice}`;
    if (start.startsWith('<')) return 'an HTML page; the download gave that instead of the file';
    if (isPickle(bytes)) return "Python's pickle; save the tensors as safetensors";
    if (text.startsWith('\u0093NUMPY')) return "NumPy's .npy; save the array with safetensors.numpy.save_file";
    if (text.startsWith('\u0089HDF\r\n')) return 'HDF5; save the tensors as safetensors';
    // Only long texts count: a short one could be any word.
    if (/^(?:[A-Za-z0-9+/]{4}\s*){8,}/.test(text) && !/[^A-Za-z0-9+/=\s]/.test(text)) return 'base64; decode it first';
    if (isMarked) return 'text with a byte-order mark; safetensors files are binary';
  }
  return seemsToBe(bytes);
}

/** Whether bytes start as protocols 2 to 5 of pickle do. */
function isPickle([first, protocol]: Uint8Array): boolean {
  return first === 0x80 && protocol !== undefined && protocol >= 2 && protocol <= 5;
}

function parseHeader(text: string, start: number, fileLength: number, rules: HeaderRules): Header {
  const { call } = rules;
  const metadata = new Map<string, string>();
  const stored: ({ key: string } & ReturnType<typeof readTensor>)[] = [];
  const reader = new JsonReader(call, 'the header', text);
  reader.object(key => {
    if (key === METADATA) {
      reader.object(name => {
        if (metadata.size === MOST_METADATA) {
          throw new RangeError(`${call}: ${METADATA} has more than ${MOST_METADATA} keys`);
        }
        metadata.set(name, reader.string());
      });
      return;
    }
    if (stored.length === MOST_TENSORS) throw new RangeError(`${call}: the file has more than ${MOST_TENSORS} tensors`);
    rules.checkKey?.(key);
    stored.push({ key, ...readTensor(reader, labelOf(key), rules) });
  });
  reader.end();

  // Keys may come in any order. Entries leave no gap. A tensor without entries stands where the next one starts.
  stored.sort((a, b) => a.offsets[0] - b.offsets[0] || a.offsets[1] - b.offsets[1]);
  const tensors = new Map<string, StoredTensor>();
  let end = 0;
  for (const { key, dtype, shape, offsets } of stored) {
    const [begin] = offsets;
    if (begin !== end) throw wrongValue(call, `${labelOf(key)}.data_offsets[0]`, `${end}, where the last ended`, begin);
    end += countOf(shape) * SIZES[dtype];
    if (offsets[1] !== end) throw wrongValue(call, `${labelOf(key)}.data_offsets[1]`, String(end), offsets[1]);
    if (start + end > fileLength) {
      throw new RangeError(
        `${call}: ${labelOf(key)} ends at byte ${start + end}, the file at ${fileLength}; it was cut off`,
      );
    }
    tensors.set(key, { dtype, shape, range: [start + begin, start + end] });
  }
  const extra = fileLength - start - end;
  if (extra > 0) {
    throw new RangeError(
      `${call}: bytes has ${inWords(extra, 'entry')} that ${extra === 1 ? 'belongs' : 'belong'} to no tensor`,
    );
  }
  return { metadata, tensors };
}

function readTensor(
  reader: JsonReader,
  label: string,
  { call, dtypes, checkShape }: HeaderRules,
): { dtype: Dtype; shape: readonly number[]; offsets: [number, number] } {
  let dtype: Dtype | undefined;
  let shape: readonly number[] | undefined;
  let offsets: [number, number] | undefined;
  reader.object(field => {
    if (field === 'dtype') {
      dtype = checkOneOf(call, `${label}.dtype`, reader.string(), dtypes);
    } else if (field === 'shape') {
      shape = reader.numbers(`${label}.shape`, MOST_DIMENSIONS);
      checkShape(`${label}.shape`, shape);
    } else if (field === 'data_offsets') offsets = reader.pair();
    else throw new RangeError(`${call}: ${label} has the field ${labelOf(field)}, which no tensor has`);
  });
  if (!dtype || !shape || !offsets) {
    throw new RangeError(`${call}: ${label} must have dtype, shape and data_offsets`);
  }
  return { dtype, shape, offsets };
}

function textOf(call: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new RangeError(`${call}: the header is not UTF-8`, { cause });
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
