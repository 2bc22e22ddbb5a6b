import { seemsToBe } from '../internal/seems.js';
import { checkCount, checkOneOf, wrongType, wrongValue } from '../internal/validate.js';
import { float32Matrix } from '../kernels/matrix.js';
import type { Bytes, Float32Row, Rows } from '../types.js';
import { JsonReader } from './json-reader.js';

/**
 * The safetensors format (Hugging Face): the length of the header as a little-endian uint64, the header as JSON, and
 * the entries of all tensors row by row. Here every tensor is a matrix.
 */

/** What the header says of one matrix, checked. */
export interface StoredMatrix {
  dtype: Dtype;
  height: number;
  width: number;
  /** Where its entries start in the file. */
  position: number;
}

export interface Header {
  metadata: ReadonlyMap<string, string>;
  /** Matrices by key, in the order of their entries. */
  matrices: ReadonlyMap<string, StoredMatrix>;
}

type Dtype = keyof typeof DTYPES;

const DTYPES = {
  F32: { size: 4, read: (view: DataView, position: number) => view.getFloat32(position, true) },
  F16: { size: 2, read: readFloat16 },
  BF16: { size: 2, read: readBfloat16 },
};

const CALL = 'fromSafetensors';
const LENGTH_SIZE = 8;
/** The limit of the reference implementation, in bytes. */
const LARGEST_HEADER = 100_000_000;
/** As many as a LoRA has on every expert of a large model; a header of 100 MB could tell of a million. */
export const MOST_TENSORS = 100_000;
/** Programs write some dozens. */
const MOST_METADATA = 10_000;
/** PyTorch's. */
const MOST_DIMENSIONS = 64;
const METADATA = '__metadata__';

/** A file with the transpose of every matrix, in float32. */
export function writeTransposed(matrices: ReadonlyMap<string, Rows>, metadata: Record<string, string>): Bytes {
  const header: Record<string, unknown> = { [METADATA]: metadata };
  let end = 0;
  for (const [key, rows] of matrices) {
    const shape = [rows[0]!.length, rows.length] as const;
    const begin = end;
    end += shape[0] * shape[1] * 4;
    header[key] = { dtype: 'F32', shape, data_offsets: [begin, end] };
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  if (text.length > LARGEST_HEADER) {
    throw new RangeError(
      `toSafetensors: the header must have at most ${LARGEST_HEADER} bytes, the names make it ${text.length}`,
    );
  }
  // Spaces at the end of the header align the entries.
  const start = LENGTH_SIZE + Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(start + end);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(start - LENGTH_SIZE), true);
  bytes.fill(0x20, LENGTH_SIZE, start);
  bytes.set(text, LENGTH_SIZE);
  let position = start;
  for (const rows of matrices.values()) {
    const width = rows[0]!.length;
    for (let j = 0; j < width; j++) {
      for (let i = 0; i < rows.length; i++, position += 4) view.setFloat32(position, rows[i]![j]!, true);
    }
  }
  return bytes;
}

/**
 * Reads a header that may come from anywhere; nothing is allocated for entries.
 *
 * @param checkKey Called with the key of each tensor before the tensor is read; may throw.
 */
export function readHeader(bytes: Uint8Array, checkKey: (key: string) => void): Header {
  if (!(bytes instanceof Uint8Array)) throw wrongType(CALL, 'bytes', 'a Uint8Array', bytes);
  const start = LENGTH_SIZE + headerLength(bytes);
  return parseHeader(textOf(bytes.subarray(LENGTH_SIZE, start)), start, bytes.length, checkKey);
}

/** The length of the header, or what the file seems to be instead. */
function headerLength(bytes: Uint8Array): number {
  const length = bytes.length < LENGTH_SIZE ? undefined : viewOf(bytes).getBigUint64(0, true);
  const most = Math.min(bytes.length - LENGTH_SIZE, LARGEST_HEADER);
  if (length !== undefined && length <= most) return Number(length);
  const advice = otherFormat(bytes);
  if (advice !== undefined) throw new RangeError(`${CALL}: bytes are no safetensors file, but seem to be ${advice}`);
  if (length !== undefined) throw wrongValue(CALL, 'the header length', `at most ${most}`, Number(length));
  throw new RangeError(`${CALL}: bytes must have at least ${LENGTH_SIZE} entries, got ${bytes.length}`);
}

function otherFormat(bytes: Uint8Array): string | undefined {
  // A file that was cut off has a good length, of which the upper bytes are 0.
  if (bytes.length < LENGTH_SIZE || bytes.subarray(LENGTH_SIZE / 2, LENGTH_SIZE).some(byte => byte !== 0)) {
    const start = String.fromCharCode(...bytes.subarray(0, 64)).trimStart();
    if (/^[{[]/.test(start)) {
      return 'JSON; LoRAAdapter.from reads a saved adapter, and adapter_config.json is the second argument here';
    }
    if (start.startsWith('<')) return 'an HTML page; the download gave that instead of the file';
    if (isPickle(bytes)) return "Python's pickle; save the tensors as safetensors";
  }
  return seemsToBe(bytes);
}

/** As protocols 2 to 5 start. */
function isPickle([first, protocol]: Uint8Array): boolean {
  return first === 0x80 && protocol !== undefined && protocol >= 2 && protocol <= 5;
}

/** The transpose of a matrix of the file. */
export function readTransposed(bytes: Uint8Array, key: string, matrix: StoredMatrix): readonly Float32Row[] {
  const { dtype, height, width } = matrix;
  const { size, read } = DTYPES[dtype];
  const view = viewOf(bytes);
  const rows = float32Matrix(width, height);
  let { position } = matrix;
  for (let i = 0; i < height; i++) {
    for (let j = 0; j < width; j++, position += size) {
      const value = read(view, position);
      if (!Number.isFinite(value)) throw wrongValue(CALL, `${labelOf(key)}[${i}][${j}]`, 'finite', value);
      rows[j]![i] = value;
    }
  }
  return rows;
}

/** A key for a message. */
export function labelOf(key: string): string {
  if (key.trim() === '') return JSON.stringify(key);
  return key.length > 120 ? `${key.slice(0, 120)}…` : key;
}

function parseHeader(text: string, start: number, fileLength: number, checkKey: (key: string) => void): Header {
  const metadata = new Map<string, string>();
  const tensors: ({ key: string } & ReturnType<typeof readTensor>)[] = [];
  const reader = new JsonReader(CALL, 'the header', text);
  reader.object(key => {
    if (key === METADATA) {
      reader.object(name => {
        if (metadata.size === MOST_METADATA) {
          throw new RangeError(`${CALL}: ${METADATA} has more than ${MOST_METADATA} keys`);
        }
        metadata.set(name, reader.string());
      });
      return;
    }
    if (tensors.length === MOST_TENSORS)
      throw new RangeError(`${CALL}: the file has more than ${MOST_TENSORS} tensors`);
    checkKey(key);
    tensors.push({ key, ...readTensor(reader, labelOf(key)) });
  });
  reader.end();

  // Keys may come in any order; the entries leave no gap.
  tensors.sort((a, b) => a.offsets[0] - b.offsets[0]);
  const matrices = new Map<string, StoredMatrix>();
  let end = 0;
  for (const { key, dtype, shape, offsets } of tensors) {
    const [height, width] = shape;
    const [begin] = offsets;
    if (begin !== end) throw wrongValue(CALL, `${labelOf(key)}.data_offsets[0]`, `${end}, where the last ended`, begin);
    // A product that overflows is rounded, but to more than any file holds.
    end += height * width * DTYPES[dtype].size;
    if (offsets[1] !== end) throw wrongValue(CALL, `${labelOf(key)}.data_offsets[1]`, String(end), offsets[1]);
    if (start + end > fileLength) {
      throw new RangeError(`${CALL}: ${labelOf(key)} ends at byte ${start + end}, the file at ${fileLength}`);
    }
    matrices.set(key, { dtype, height, width, position: start + begin });
  }
  if (start + end < fileLength) {
    throw new RangeError(`${CALL}: bytes has ${fileLength - start - end} entries that belong to no tensor`);
  }
  return { metadata, matrices };
}

function readTensor(
  reader: JsonReader,
  label: string,
): { dtype: Dtype; shape: [number, number]; offsets: [number, number] } {
  let dtype: Dtype | undefined;
  let shape: [number, number] | undefined;
  let offsets: [number, number] | undefined;
  reader.object(field => {
    if (field === 'dtype') {
      dtype = checkOneOf(CALL, `${label}.dtype`, reader.string(), Object.keys(DTYPES) as Dtype[]);
    } else if (field === 'shape') {
      shape = readShape(reader, `${label}.shape`);
    } else if (field === 'data_offsets') offsets = reader.pair();
    else throw new RangeError(`${CALL}: ${label} has the field ${labelOf(field)}, which no tensor has`);
  });
  if (!dtype || !shape || !offsets) {
    throw new RangeError(`${CALL}: ${label} must have dtype, shape and data_offsets`);
  }
  return { dtype, shape, offsets };
}

function readShape(reader: JsonReader, label: string): [number, number] {
  const sizes = reader.numbers(label, MOST_DIMENSIONS);
  const [height, width] = sizes;
  if (sizes.length !== 2) {
    throw new RangeError(
      `${CALL}: ${label} must be that of a matrix, as LoRA on linear layers has, got [${sizes.join(', ')}]`,
    );
  }
  return [checkCount(CALL, `${label}[0]`, height), checkCount(CALL, `${label}[1]`, width)];
}

function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new RangeError(`${CALL}: the header is not UTF-8`, { cause });
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** IEEE 754 binary16. */
function readFloat16(view: DataView, position: number): number {
  const bits = view.getUint16(position, true);
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = (bits & 0x3ff) / 0x400;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : Number.NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -14 : (1 + fraction) * 2 ** (exponent - 15));
}

/** The upper half of a float32. */
function readBfloat16(view: DataView, position: number): number {
  scratch.setUint32(0, view.getUint16(position, true) << 16);
  return scratch.getFloat32(0);
}

const scratch = new DataView(new ArrayBuffer(4));
