/** The entries of a tensor, row by row. */
export type TensorData =
  | Float64Array
  | Float32Array
  | BigInt64Array
  | BigUint64Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array;

/** The type of a tensor's entries, by its name in safetensors. */
export type Dtype =
  | 'F64'
  | 'F32'
  | 'F16'
  | 'BF16'
  | 'I64'
  | 'I32'
  | 'I16'
  | 'I8'
  | 'U64'
  | 'U32'
  | 'U16'
  | 'U8'
  | 'BOOL';

/** Bytes per entry. */
export const SIZES = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
} as const;

export const ALL_DTYPES = Object.keys(SIZES) as Dtype[];

/** The arrays that hold each type as it is. F16 and BF16 are widened to float32, and truth values become bytes. */
const ARRAYS = {
  F64: Float64Array,
  F32: Float32Array,
  I64: BigInt64Array,
  U64: BigUint64Array,
  I32: Int32Array,
  U32: Uint32Array,
  I16: Int16Array,
  U16: Uint16Array,
  I8: Int8Array,
  U8: Uint8Array,
} as const;

/** The types by names of arrays. Arrays of other realms have the same names. */
const DTYPES: ReadonlyMap<string, Dtype> = new Map(
  Object.entries(ARRAYS).map(([dtype, { name }]) => [name, dtype as Dtype]),
);

/** The type of an array's entries. Undefined for a value that is not an array of a type of safetensors. */
export function dtypeOf(data: unknown): Dtype | undefined {
  if (!ArrayBuffer.isView(data)) return undefined;
  return DTYPES.get((data as TensorData)[Symbol.toStringTag]);
}

/** The bytes of an array in the order of a file. */
export function bytesOfEntries(data: TensorData): Uint8Array {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return IS_LITTLE_ENDIAN ? bytes : reversed(bytes.slice(), data.BYTES_PER_ELEMENT);
}

/** Entries of a file as a new array. F16 and BF16 become float32, and truth values become bytes. */
export function entriesOfBytes(bytes: Uint8Array, dtype: Dtype): TensorData {
  // `slice` of a Buffer would copy nothing. The copy is aligned.
  const copy = new Uint8Array(bytes.length);
  copy.set(bytes);
  if (!IS_LITTLE_ENDIAN) reversed(copy, SIZES[dtype]);
  if (dtype === 'F16') return Float32Array.from(new Uint16Array(copy.buffer), fromFloat16);
  if (dtype === 'BF16') return Float32Array.from(new Uint16Array(copy.buffer), fromBfloat16);
  return new ARRAYS[dtype === 'BOOL' ? 'U8' : dtype](copy.buffer);
}

const IS_LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** Reverses the order of bytes of entries of `size` bytes, in place. */
function reversed(bytes: Uint8Array, size: number): Uint8Array {
  for (let start = 0; start < bytes.length; start += size) bytes.subarray(start, start + size).reverse();
  return bytes;
}

/** The number that 16 bits stand for in IEEE 754 binary16. */
function fromFloat16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = (bits & 0x3ff) / 0x400;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : Number.NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -14 : (1 + fraction) * 2 ** (exponent - 15));
}

/** The number that 16 bits stand for as the upper half of a float32. */
function fromBfloat16(bits: number): number {
  scratch.setUint32(0, bits << 16);
  return scratch.getFloat32(0);
}

const scratch = new DataView(new ArrayBuffer(4));
