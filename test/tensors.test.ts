import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LoRAAdapter, readTensors, type Tensor, type TensorData, writeTensors } from '../src/index.js';

/** A file made by hand: the length and the text of the header, then the entries. */
function file(header: string | object, entries: readonly number[] = [], length?: bigint): Uint8Array {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const size = new Uint8Array(8);
  new DataView(size.buffer).setBigUint64(0, length ?? BigInt(text.length), true);
  return Uint8Array.from([...size, ...text, ...entries]);
}

const tensor = (dtype: string, shape: number[], data_offsets: number[]): object => ({ dtype, shape, data_offsets });
const untyped = (value: unknown): never => value as never;
const bitsOf = (data: TensorData): string => Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('hex');

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
type Name = keyof typeof ARRAYS;

/** Any tensor of any type, from arbitrary bytes, so every bit pattern occurs. */
const anyTensor = fc
  .tuple(fc.constantFrom(...(Object.keys(ARRAYS) as Name[])), fc.array(fc.nat(4), { maxLength: 4 }))
  .chain(([dtype, shape]) => {
    const bytes = shape.reduce((product, size) => product * size, 1) * ARRAYS[dtype].BYTES_PER_ELEMENT;
    return fc
      .uint8Array({ minLength: bytes, maxLength: bytes })
      .map(given => ({ dtype, shape, data: new ARRAYS[dtype](Uint8Array.from(given).buffer) as TensorData }));
  });
const anyName = fc.string({ unit: 'grapheme' }).filter(name => name !== '__proto__' && name !== '__metadata__');
const anyTensors = fc.uniqueArray(fc.tuple(anyName, anyTensor), { selector: ([name]) => name, maxLength: 6 });
const anyMetadata = fc.uniqueArray(fc.tuple(anyName, fc.string({ unit: 'grapheme' })), { selector: ([name]) => name });

describe('the layout', () => {
  it('equals the format byte for byte, with wider entries first', () => {
    const bytes = writeTensors({
      'b/ü': { shape: [3], data: Uint8Array.of(1, 2, 255) },
      a: { shape: [2, 1], data: Float32Array.of(1, -2) },
    });
    const header =
      '{"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"b/ü":{"dtype":"U8","shape":[3],"data_offsets":[8,11]}}';
    const length = Math.ceil(Buffer.byteLength(header) / 8) * 8;
    const padded = header + ' '.repeat(length - Buffer.byteLength(header));
    const expected = file(padded, [0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0, 1, 2, 255]);
    expect(Buffer.from(bytes).equals(expected)).toBe(true);
  });

  it('has metadata only where it is given', () => {
    expect(Buffer.from(writeTensors({}, {})).toString('latin1', 8)).toBe('{"__metadata__":{}}     ');
    expect(Buffer.from(writeTensors(new Map())).toString('latin1', 8)).toBe('{}      ');
  });

  it('reads what adapters write, as the transposed matrices', () => {
    const adapter = new LoRAAdapter({ dim: 3, rank: 2, seed: 1 });
    const { tensors, metadata } = readTensors(LoRAAdapter.toSafetensors(new Map([['q', adapter]])));
    const { shape, data, dtype } = tensors.get('base_model.model.q.lora_A.weight')!;
    expect([dtype, shape]).toEqual(['F32', [2, 3]]);
    expect(Array.from(data as Float32Array)).toEqual([0, 1].flatMap(k => adapter.loraA.map(row => row[k])));
    expect(metadata['lora_alpha']).toBe('8');
  });

  it('widens half precision to the values of IEEE 754, and returns truth values as bytes', () => {
    const bits = [0x3c00, 0xc000, 0x0001, 0x03ff, 0x0400, 0x7bff, 0x8000, 0x7c00, 0xfc00, 0x7e00];
    const entries = bits.flatMap(each => [each & 255, each >> 8]);
    const { tensors } = readTensors(
      file({ half: tensor('F16', [10], [0, 20]), brain: tensor('BF16', [2], [20, 24]), yes: tensor('BOOL', [2], [24, 26]) },
        [...entries, 0x80, 0x3f, 0x49, 0xc0, 0, 1]), // biome-ignore format: a table
    );
    const smallest = 2 ** -24;
    const expected = [1, -2, smallest, 1023 * smallest, 2 ** -14, 65504, -0, Infinity, -Infinity, Number.NaN];
    expect(tensors.get('half')).toEqual({ dtype: 'F16', shape: [10], data: Float32Array.from(expected) });
    expect(tensors.get('brain')!.data).toEqual(Float32Array.of(1, -3.140625));
    expect(tensors.get('yes')!.data).toEqual(Uint8Array.of(0, 1));
  });

  it('may start anywhere in a buffer, and reading copies it', () => {
    const bytes = writeTensors({ a: { shape: [2], data: Float64Array.of(1, 2) } });
    const shifted = Buffer.alloc(bytes.length + 3).subarray(3);
    shifted.set(bytes);
    const { data } = readTensors(shifted).tensors.get('a')!;
    shifted.fill(0);
    expect(data).toEqual(Float64Array.of(1, 2));
    expect(data.buffer.byteLength).toBe(16);
  });

  it('accepts views into larger buffers', () => {
    const data = Float32Array.of(1, 2, 3, 4).subarray(1, 3);
    expect(readTensors(writeTensors({ a: { shape: [2], data } })).tensors.get('a')!.data).toEqual(
      Float32Array.of(2, 3),
    );
  });
});

describe('laws', () => {
  it('every bit, shape, type, name and text survives, from a Map and from an object', () => {
    fc.assert(
      fc.property(anyTensors, anyMetadata, fc.boolean(), (entries, texts, isMap) => {
        const given = isMap ? new Map<string, Tensor>(entries) : Object.fromEntries(entries);
        const { tensors, metadata } = readTensors(writeTensors(given, Object.fromEntries(texts)));
        expect(metadata).toEqual(Object.fromEntries(texts));
        expect(tensors.size).toBe(entries.length);
        for (const [name, { dtype, shape, data }] of entries) {
          const read = tensors.get(name)!;
          expect([read.dtype, read.shape, bitsOf(read.data)]).toEqual([dtype, shape, bitsOf(data)]);
        }
      }),
    );
  });

  it('entries are aligned in the file', () => {
    fc.assert(
      fc.property(anyTensors, entries => {
        const bytes = writeTensors(new Map<string, Tensor>(entries));
        const start = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
        const header = JSON.parse(Buffer.from(bytes.subarray(8, start)).toString()) as Record<
          string,
          { dtype: Name; data_offsets: [number, number] }
        >;
        for (const { dtype, data_offsets } of Object.values(header))
          expect((start + data_offsets[0]) % ARRAYS[dtype].BYTES_PER_ELEMENT).toBe(0);
      }),
    );
  });

  it('bytes set, cut off, cut out, doubled or added give a typed error or the tensors that they then describe', () => {
    const changes = fc.array(
      fc.record({ at: fc.nat(), kind: fc.nat(4), byte: fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from('{}[],:"019'))) }),
      { minLength: 1, maxLength: 3 },
    ); // biome-ignore format: one record
    fc.assert(
      fc.property(anyTensors, changes, (entries, edits) => {
        let bytes = [...writeTensors(new Map<string, Tensor>(entries), { k: 'v' })];
        for (const { at, kind, byte } of edits) {
          const i = at % (bytes.length + 1);
          if (kind === 0) bytes[Math.min(i, bytes.length - 1)] = byte;
          else if (kind === 1) bytes = bytes.slice(0, i);
          else if (kind === 2) bytes.splice(i, 1 + (byte % 9));
          else if (kind === 3) bytes.splice(i, 0, ...bytes.slice(i, i + 8));
          else bytes.splice(i, 0, byte);
        }
        expectErrorOrWhole(Uint8Array.from(bytes));
      }),
      { numRuns: 1000 },
    );
  });

  it('any bytes, and any JSON as a header, give a typed error or tensors', () => {
    fc.assert(fc.property(fc.uint8Array(), expectErrorOrWhole));
    fc.assert(fc.property(fc.json(), text => expectErrorOrWhole(file(text))));
  });

  /** The tensors of an accepted file cover it to its last byte. */
  function expectErrorOrWhole(bytes: Uint8Array): void {
    let read: ReturnType<typeof readTensors>;
    try {
      read = readTensors(bytes);
    } catch (error) {
      expect(error instanceof RangeError, String(error)).toBe(true);
      expect((error as Error).message).toMatch(/^readTensors: \S/);
      return;
    }
    const start = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
    const isHalf = [...read.tensors.values()].some(({ dtype }) => dtype === 'F16' || dtype === 'BF16');
    const sizes = [...read.tensors.values()].map(({ data, dtype }) => data.byteLength / (/F16/.test(dtype) ? 2 : 1));
    expect(start + sizes.reduce((sum, size) => sum + size, 0)).toBe(bytes.length);
    const all = [...read.tensors.values()].map(({ data }) => bitsOf(data)).join('');
    if (!isHalf) expect(all).toBe(Buffer.from(bytes.subarray(start)).toString('hex'));
  }
});

describe('readTensors refuses', () => {
  const base64 = Buffer.from(writeTensors({ a: { shape: [16], data: new Float32Array(16) } })).toString('base64');
  const npy = Buffer.concat([Buffer.from('\u0093NUMPY\u0001\u0000v\u0000', 'latin1'), Buffer.from("{'descr': '<f4'}")]);
  it.each<[string, Uint8Array]>([
    ['bytes must have at least 8 entries, got 0', new Uint8Array()],
    ['bytes are no safetensors file, but seem to be JSON; parse it with JSON.parse', Buffer.from('{"a": [1, 2, 3]}')],
    ['bytes are no safetensors file, but seem to be JSON with a byte-order mark', Buffer.from('\ufeff{"a": [1, 2, 3]}')],
    ['bytes are no safetensors file, but seem to be text with a byte-order mark', Buffer.from('\ufeffhello world')],
    ["bytes are no safetensors file, but seem to be base64; decode it first", Buffer.from(base64)],
    ["bytes are no safetensors file, but seem to be NumPy's .npy", npy],
    ['bytes are no safetensors file, but seem to be HDF5', Buffer.from('\u0089HDF\r\n\u001a\n', 'latin1')],
    ['the header length must be at most 2, got 123; the file was cut off within its header', file('{}', [], 123n)],
    ['a ends at byte', file({ a: tensor('F32', [1], [0, 4]) }, [0, 0, 0])],
    ['bytes has 1 entry that belongs to no tensor', file('{}', [0])],
    ['a.data_offsets[0] must be 0, where the last ended, got 4', file({ a: tensor('F32', [1], [4, 8]) }, Array(8).fill(0))],
    ['b.data_offsets[0] must be 4, where the last ended, got 2', file({ a: tensor('F32', [1], [0, 4]), b: tensor('U8', [2], [2, 4]) }, Array(4).fill(0))],
    ['a.data_offsets[1] must be 4, got 8', file({ a: tensor('F32', [1], [0, 8]) }, Array(8).fill(0))],
    ["a.dtype must be 'F64' | 'F32'", file({ a: tensor('C64', [1], [0, 8]) }, Array(8).fill(0))],
    ['a.shape[1] must be an integer of at least 0, got -1', file({ a: tensor('U8', [0, -1], [0, 0]) })],
    ['a.shape[0] must be an integer of at least 0, got 0.5', file({ a: tensor('U8', [0.5], [0, 0]) })],
    ['a.shape[0] must be an integer of at least 0, got Infinity', file('{"a":{"dtype":"U8","shape":[1e999,0],"data_offsets":[0,0]}}')],
    ['a.data_offsets[1] must be Infinity, got 0', file('{"a":{"dtype":"U8","shape":[1e300,1e300],"data_offsets":[0,0]}}')],
    ['a.shape has more than 64 numbers', file({ a: tensor('U8', Array(65).fill(1), [0, 1]) }, [0])],
    ['the header has the key "a" twice', file('{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{}}')],
    ['the header has the key "__proto__"', file('{"__proto__":{}}')],
    ['a has the field strides, which no tensor has', file('{"a":{"strides":1}}')],
    ['a must have dtype, shape and data_offsets', file('{"a":{"dtype":"U8"}}')],
    ['the header is not UTF-8', file('{"', [0xff], 3n)],
  ])('%s', (message, bytes) => {
    expect(() => readTensors(bytes)).toThrow(RangeError);
    expect(() => readTensors(bytes)).toThrow(`readTensors: ${message}`);
  }); // biome-ignore format: a table

  it('a value that is not a Uint8Array', () => {
    expect(() => readTensors(untyped('x'))).toThrow(new TypeError('readTensors: bytes must be a Uint8Array, got "x"'));
  });

  it('every truncated file', () => {
    const bytes = writeTensors({
      a: { shape: [2], data: Float64Array.of(1, 2) },
      b: { shape: [], data: Int8Array.of(3) },
    });
    for (let length = 0; length < bytes.length; length++) {
      expect(() => readTensors(bytes.subarray(0, length))).toThrow(
        length < 8 ? 'must have at least 8' : length < bytes.length ? 'cut off' : '',
      );
    }
  });

  it('many empty tensors, which start where the next one starts', () => {
    const { tensors } = readTensors(
      file(
        { z: tensor('F32', [1], [0, 4]), b: tensor('F64', [1e15, 0], [4, 4]), a: tensor('F32', [0], [0, 0]) },
        [0, 0, 0, 0],
      ),
    );
    expect([...tensors.keys()]).toEqual(['a', 'z', 'b']);
    expect(tensors.get('b')!.shape).toEqual([1e15, 0]);
  });
});

describe('writeTensors refuses', () => {
  const data = Float32Array.of(1, 2);
  it.each<[string, ErrorConstructor, unknown, unknown?]>([
    ['tensors must be an object, got null', TypeError, null],
    ['tensors["a"] must be an object, got 1', TypeError, { a: 1 }],
    ['tensors["a"].shape must be an array, got 2', TypeError, { a: { shape: 2, data } }],
    ['tensors["a"].shape[0] must be an integer of at least 0, got -2', RangeError, { a: { shape: [-2], data } }],
    ['tensors["a"].data has 2 entries, its shape [3] needs 3', RangeError, { a: { shape: [3], data } }],
    ['tensors["a"].data has 2 entries, its shape [] needs 1', RangeError, { a: { shape: [], data } }],
    ['tensors["a"].shape has 65 sizes, at most 64', RangeError, { a: { shape: Array(65).fill(1), data } }],
    ['tensors["a"].data must be a typed array of numbers, got an array of 2', TypeError, { a: { shape: [2], data: [1, 2] } }],
    ['tensors["a"].data must be a typed array of numbers, got a DataView', TypeError, { a: { shape: [2], data: new DataView(data.buffer) } }],
    ['tensors["a"].data must be a typed array of numbers, got a Uint8ClampedArray', TypeError, { a: { shape: [1], data: new Uint8ClampedArray(1) } }],
    ['the name of a tensor must be a string, got 1', TypeError, new Map([[1, { shape: [2], data }]])],
    ['the name of a tensor is __metadata__, which is reserved', RangeError, { __metadata__: { shape: [2], data } }],
    ['the name of a tensor is __proto__, which is reserved', RangeError, new Map([['__proto__', { shape: [2], data }]])],
    ['the name of a tensor has half of a surrogate pair', RangeError, { '\ud800': { shape: [2], data } }],
    ['metadata must be an object, got "x"', TypeError, {}, 'x'],
    ['metadata["k"] must be a string, got 1', TypeError, {}, { k: 1 }],
    ['metadata["k"] has half of a surrogate pair', RangeError, {}, { k: '\udc00' }],
    ['metadata must have at most 10000 keys, got 10001', RangeError, {}, Object.fromEntries(Array.from({ length: 10_001 }, (_, i) => [i, '']))],
  ])('%s', (message, type, tensors, metadata) => {
    expect(() => writeTensors(untyped(tensors), untyped(metadata))).toThrow(type);
    expect(() => writeTensors(untyped(tensors), untyped(metadata))).toThrow(`writeTensors: ${message}`);
  }); // biome-ignore format: a table

  it('more tensors and longer headers than readTensors accepts', () => {
    const empty = { shape: [0], data: new Uint8Array() };
    const many = new Map(Array.from({ length: 100_001 }, (_, i) => [String(i), empty]));
    expect(() => writeTensors(many)).toThrow('tensors must have at most 100000 entries, got 100001');
    many.delete('0');
    expect(readTensors(writeTensors(many)).tensors.size).toBe(100_000);
    expect(() => writeTensors({}, { long: 'x'.repeat(100_000_000) })).toThrow(
      'writeTensors: the header must have at most 100000000 bytes, names and metadata make it 100000028',
    );
  });
});
