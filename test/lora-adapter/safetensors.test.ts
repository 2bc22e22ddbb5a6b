import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { type Adapter, type AdapterConfig, LoRAAdapter } from '../../src/index.js';

const { fromSafetensors, toSafetensors } = LoRAAdapter;

/** A file made by hand: the length and the text of the header, then the entries as hexadecimal bytes. */
function file(header: string | object, entries = '', length?: bigint): Uint8Array {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const size = new Uint8Array(8);
  new DataView(size.buffer).setBigUint64(0, length ?? BigInt(text.length), true);
  return Uint8Array.from([...size, ...text, ...Buffer.from(entries.replaceAll(' ', ''), 'hex')]);
}

/** The header entry of a tensor. */
const tensor = (shape: number[], data_offsets: number[], dtype = 'F32'): object => ({ dtype, shape, data_offsets });
const [A, B] = ['base_model.model.q.lora_A.weight', 'base_model.model.q.lora_B.weight'];
/** An adapter of rank 1, from 2 to 1. The entries are 1, 2 and 3. */
const small = { [A]: tensor([1, 2], [0, 8]), [B]: tensor([1, 1], [8, 12]) };
const numbers = '0000803f 00000040 00004040';
const alpha = { lora_alpha: 8 };

/** The bytes after the header. */
function entriesOf(bytes: Uint8Array): Uint8Array {
  const { byteOffset, byteLength, buffer } = bytes;
  return bytes.subarray(8 + Number(new DataView(buffer, byteOffset, byteLength).getBigUint64(0, true)));
}

function plain(adapters: ReadonlyMap<string, Adapter>): unknown {
  const rows = (matrix: Adapter['loraA']): number[][] => matrix.map(row => Array.from(row));
  return Array.from(adapters, ([name, { loraA, loraB, scaling }]) => [name, rows(loraA), rows(loraB), scaling]);
}

describe('the layout', () => {
  const adapter = { loraA: [[1, 2], [3, 4], [5, -6]], loraB: [[0.5], [-0]], scaling: 2 }; // biome-ignore format: a matrix
  const header =
    '{"__metadata__":{"peft_type":"LORA","r":"2","lora_alpha":"4","target_modules":"[\\"layer.q\\"]",' +
    '"rank_pattern":"{}","alpha_pattern":"{}","format":"pt"},' +
    '"base_model.model.layer.q.lora_A.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},' +
    '"base_model.model.layer.q.lora_B.weight":{"dtype":"F32","shape":[1,2],"data_offsets":[24,32]}}';
  // lora_A is 1 3 5 | 2 4 -6, lora_B is 0.5 -0.
  const entries = '0000803f 00004040 0000a040  00000040 00008040 0000c0c0  0000003f 00000080';

  it('equals the format byte for byte, with both matrices transposed', () => {
    const bytes = toSafetensors(new Map([['layer.q', adapter]]));
    expect(bytes.length).toBe(352 + 32);
    expect(Buffer.from(bytes).toString('latin1')).toBe(
      Buffer.from(file(header.padEnd(344), entries)).toString('latin1'),
    );
    expect([...bytes.subarray(0, 8)]).toEqual([0x58, 1, 0, 0, 0, 0, 0, 0]);
    expect(plain(fromSafetensors(bytes))).toEqual([['layer.q', adapter.loraA, adapter.loraB, 2]]);
  });

  it('stores different ranks and alphas as PEFT does, and scalings that no alpha gives', () => {
    const of = (rank: number, scaling: number): Adapter => ({
      loraA: [Array.from({ length: rank }, () => 1)],
      loraB: Array.from({ length: rank }, () => [1]),
      scaling,
    });
    const bytes = toSafetensors(
      new Map([
        ['a.b', of(2, 4)],
        ['c+', of(3, 7 / 3)],
        // 1 / 49 · 49 is not 1.
        ['e', of(49, 1 / 49)],
        ['d', of(3, 0.1)],
      ]),
    );
    const { __metadata__ } = JSON.parse(Buffer.from(bytes.subarray(8, -entriesOf(bytes).length)).toString()) as {
      __metadata__: Record<string, string>;
    };
    expect(__metadata__).toMatchObject({
      r: '2',
      lora_alpha: '8',
      target_modules: '["a.b","c+","e","d"]',
      rank_pattern: '{"^c\\\\+":3,"^e":49,"^d":3}',
      alpha_pattern: '{"^c\\\\+":7,"^e":1,"^d":0.30000000000000004}',
      scaling_pattern: '{"^d":0.1}',
    });
    expect(Array.from(fromSafetensors(bytes).values(), ({ scaling }) => scaling)).toEqual([4, 7 / 3, 1 / 49, 0.1]);
  });

  it('may start anywhere in a buffer', () => {
    const bytes = file(small, numbers);
    const shifted = new Uint8Array(bytes.length + 3).subarray(3);
    shifted.set(bytes);
    expect(plain(fromSafetensors(shifted, alpha))).toEqual([['q', [[1], [2]], [[3]], 8]]);
  });
});

const names = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 8 }),
  fc.constantFrom('__proto__', 'constructor', 'a.b', 'b', '^b', 'q.lora_A.weight', '.', '\\.', '\u2028', '0'),
);
const scalings = fc.oneof(
  fc.constantFrom(0, 1, -2, 0.1, 1 / 3, 5e-324, 1e300),
  fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e300, max: 1e300 }).map(value => value || 0),
);
const matrix = (height: number, width: number): fc.Arbitrary<number[][]> =>
  fc.array(
    fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), { minLength: width, maxLength: width }),
    { minLength: height, maxLength: height },
  ); // biome-ignore format: one expression
const adapterMaps = fc
  .uniqueArray(
    fc.tuple(
      names,
      fc
        .tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 4 }))
        .chain(([dim, rank, outDim]) =>
          fc.record({ loraA: matrix(dim, rank), loraB: matrix(rank, outDim), scaling: scalings }),
        ),
    ),
    { minLength: 1, maxLength: 4, selector: ([name]) => name },
  )
  .map(entries => new Map<string, Adapter>(entries));

describe('a round trip', () => {
  it('keeps names, float32 weights and scalings to the bit', () => {
    fc.assert(
      fc.property(adapterMaps, adapters => {
        const bytes = toSafetensors(adapters);
        const restored = fromSafetensors(bytes);
        expect(plain(restored)).toEqual(plain(adapters));
        expect([...restored.values()].every(adapter => adapter instanceof LoRAAdapter)).toBe(true);
        expect(Buffer.compare(toSafetensors(restored), bytes)).toBe(0);
      }),
      { numRuns: 200 },
    );
  });

  it('rounds float64 weights to float32', () => {
    const restored = fromSafetensors(toSafetensors(new Map([['q', { loraA: [[0.1]], loraB: [[1e-60]], scaling: 1 }]])));
    expect(plain(restored)).toEqual([['q', [[Math.fround(0.1)]], [[0]], 1]]);
  });
});

describe('files of PEFT', () => {
  it('need the alpha of adapter_config.json', () => {
    const bytes = file({ __metadata__: { format: 'pt' }, ...small }, numbers);
    expect(() => fromSafetensors(bytes)).toThrow(
      'LoRAAdapter.fromSafetensors: metadata has no lora_alpha for "q"; pass what adapter_config.json holds as config',
    );
    const config = { peft_type: 'LORA', r: 1, lora_alpha: 16, rank_pattern: {}, alpha_pattern: null, bias: 'none' };
    expect(fromSafetensors(bytes, config).get('q')!.scaling).toBe(16);
  });

  it.each<[string, number, AdapterConfig]>([
    ['lora_alpha over the rank', 4, { lora_alpha: 8 }],
    ['over its root with use_rslora', 8 / Math.SQRT2, { lora_alpha: 8, use_rslora: true }],
    ['an alpha for the end of the name', 5, { lora_alpha: 8, alpha_pattern: { q: 10 } }],
    ['an alpha for more of the name', 5, { lora_alpha: 8, alpha_pattern: { '0.q': 10 } }],
    ['an alpha for the whole name', 5, { lora_alpha: 8, alpha_pattern: { '^layers\\.0\\.q': 10 } }],
    ['the first that fits', 5, { lora_alpha: 8, alpha_pattern: { q: 10, '^layers\\.0\\.q': 12 } }],
    ['the first that fits, in reverse order', 6, { lora_alpha: 8, alpha_pattern: { '^layers.0.q': 12, q: 10 } }],
    ['a rank in rank_pattern', 4, { lora_alpha: 8, r: 16, rank_pattern: { q: 2 } }],
  ])('scale by %s', (_, scaling, config) => {
    const bytes = file(
      {
        'base_model.model.layers.0.q.lora_A.weight': tensor([2, 1], [0, 8]),
        'base_model.model.layers.0.q.lora_B.weight': tensor([1, 2], [8, 16]),
      },
      numbers + numbers.slice(0, 8),
    );
    expect(fromSafetensors(bytes, config).get('layers.0.q')!.scaling).toBeCloseTo(scaling, 14);
  });

  it('may have half precision', () => {
    const half = { [A]: tensor([4, 1], [0, 8], 'F16'), [B]: tensor([1, 4], [8, 16], 'BF16') };
    // 1, -2, 65504 and the smallest above 0; then 1, -2, the largest and -0.
    const bytes = file(half, '003c 00c0 ff7b 0100  803f 00c0 7f7f 0080');
    const [[, loraA, loraB]] = plain(fromSafetensors(bytes, alpha)) as [[string, number[][], number[][]]];
    expect(loraA).toEqual([[1, -2, 65504, 2 ** -24]]);
    expect(loraB).toEqual([[1], [-2], [(2 - 2 ** -7) * 2 ** 127], [-0]]);
  });
});

describe('the configuration in the metadata', () => {
  const scalingBy = (metadata: Record<string, string>, config?: AdapterConfig): number => {
    const bytes = file(
      { __metadata__: metadata, [A]: tensor([4, 1], [0, 16]), [B]: tensor([1, 4], [16, 32]) },
      '0000803f'.repeat(8),
    );
    return fromSafetensors(bytes, config).get('q')!.scaling;
  };

  it.each<[number, Record<string, string>]>([
    [4, { lora_alpha: '16' }],
    [8, { lora_alpha: '16', use_rslora: 'true' }],
    [8, { lora_alpha: '16.0', use_rslora: 'True' }],
    [4, { lora_alpha: '16', use_rslora: 'False', use_dora: 'False', arrow_config: 'None', lora_bias: 'false' }],
    [4, { lora_alpha: '16', alora_invocation_tokens: '[]' }],
    [5, { lora_alpha: '16', use_rslora: 'true', alpha_pattern: '{"q":10}' }],
    [5, { lora_alpha: '16', use_rslora: 'true', rank_pattern: '{"q": 4}', scaling_pattern: '{"^q":5}', r: '9' }],
    [4, { lora_alpha: '16', rank_pattern: 'null', alpha_pattern: 'None' }],
  ])('scales by %d: %o', (scaling, metadata) => {
    expect(scalingBy(metadata)).toBe(scaling);
  });

  it('is overridden by the argument', () => {
    expect(scalingBy({ lora_alpha: '16', use_rslora: 'true' }, { lora_alpha: 4 })).toBe(1);
  });

  it.each([
    ['metadata.use_rslora must have a value at character 0, got "yes"', { use_rslora: 'yes' }],
    ['metadata.use_rslora must be true or false, got 1', { use_rslora: '1' }],
    ['metadata.use_rslora must be true or false, got "[1]"', { use_rslora: '[1]' }],
    ['metadata.use_dora must be false or absent, as only plain LoRA is supported, got true', { use_dora: 'true' }],
    ['metadata.use_dora must be false or absent, as only plain LoRA is supported, got true', { use_dora: 'True' }],
    ['metadata.use_dora must have a value at character 0, got "constructor"', { use_dora: 'constructor' }],
    ['metadata.alpha_pattern has the key "v", which fits no adapter', { alpha_pattern: '{"q":1,"v":2}' }],
  ])('%s', (message, metadata) => {
    expect(() => scalingBy({ lora_alpha: '16', ...metadata })).toThrow(`LoRAAdapter.fromSafetensors: ${message}`);
  });

  it('still reports DoRA beside another configuration', () => {
    expect(() => scalingBy({ use_dora: 'true' }, { lora_alpha: 4 })).toThrow('metadata.use_dora must be false');
  });
});

describe('the text of adapter_config.json', () => {
  const bytes = file(
    {
      'base_model.model.layers.0.lora_A.weight': tensor([1, 1], [0, 4]),
      'base_model.model.layers.0.lora_B.weight': tensor([1, 1], [4, 8]),
      'base_model.model.layers.10.lora_A.weight': tensor([1, 1], [8, 12]),
      'base_model.model.layers.10.lora_B.weight': tensor([1, 1], [12, 16]),
    },
    '0000803f'.repeat(4),
  );
  const scalingsBy = (config: AdapterConfig | string): number[] =>
    Array.from(fromSafetensors(bytes, config).values(), ({ scaling }) => scaling);

  it('keeps the order of keys that look like integers, which JSON.parse puts first', () => {
    const text = '{"lora_alpha":8,"alpha_pattern":{"layers.10":10,"10":12,"0":14,"layers.0":16}}';
    expect(Object.keys((JSON.parse(text) as { alpha_pattern: object }).alpha_pattern)[0]).toBe('0');
    expect(scalingsBy(text)).toEqual([14, 10]);
  });

  it('is required where the parsed object leaves the first key open', () => {
    expect(() => scalingsBy({ lora_alpha: 8, alpha_pattern: { 'layers.0': 16, 0: 14 } })).toThrow(
      'LoRAAdapter.fromSafetensors: several keys of config.alpha_pattern fit "layers.0", and JSON.parse lost their order; pass the ' +
        'text of adapter_config.json as config',
    );
    // Here the first key is certain.
    expect(scalingsBy({ lora_alpha: 8, alpha_pattern: { 0: 14, 10: 12 } })).toEqual([14, 12]);
    expect(scalingsBy({ lora_alpha: 8, alpha_pattern: { 'layers.0': 16, 10: 12 } })).toEqual([16, 12]);
    expect(scalingsBy({ lora_alpha: 8, alpha_pattern: { 'layers.0': 16, 0: 16 } })).toEqual([16, 8]);
    expect(scalingsBy({ lora_alpha: 8, alpha_pattern: { 'layers.0': 16, '^layers\\.0': 3 } })).toEqual([16, 8]);
  });

  it('gives the same as the parsed text, with any other contents', () => {
    const config = {
      auto_mapping: null,
      peft_type: 'LORA',
      r: 1,
      lora_alpha: 4.5,
      use_rslora: true,
      use_dora: false,
      bias: 'none',
      arrow_config: null,
      alora_invocation_tokens: [],
      rank_pattern: {},
      alpha_pattern: { 10: 3 },
      target_modules: ['0', '10'],
      loftq_config: { nested: [{ 'a"]': [-1.5e3, true, ''] }, []] },
    };
    expect(scalingsBy(JSON.stringify(config, null, 2))).toEqual([4.5, 3]);
    expect(scalingsBy(config)).toEqual([4.5, 3]);
  });

  it.each([
    ['config must have \'{\' at character 0, got "[]"', '[]'],
    ['config must have a value at character 5, got "nul}"', '{"a":nul}'],
    ['config must have a value at character 5, got "}"', '{"a":}'],
    ['config must have \'}\' at character 6, got "]"', '{"a":1]'],
    ['config must have \']\' at character 7, got "}"', '{"a":[1}'],
    ['config must have its end at character 2, got "{}"', '{}{}'],
    ['config has the key "r" twice', '{"r":1,"r":2}'],
    ['config must have a value of at most 64 levels at character 70, got', `{"a":${'['.repeat(1e6)}`],
    ['config.lora_alpha must be a finite number, got "x"', '{"lora_alpha":"x"}'],
    ['config.lora_alpha must be a finite number, got Infinity', '{"lora_alpha":1e999}'],
    ['config.use_dora must be false or absent, as only plain LoRA is supported, got true', '{"use_dora":true}'],
    [
      'config.kasa_config must be false or absent, as only plain LoRA is supported, got "{"beta":1}"',
      '{"kasa_config":{"beta":1}}',
    ],
    ['config.alpha_pattern has the key "1", which fits no adapter', '{"lora_alpha":1,"alpha_pattern":{"1":1}}'],
  ])('%s', (message, text) => {
    expect(() => scalingsBy(text)).toThrow(`LoRAAdapter.fromSafetensors: ${message}`);
  });
});

describe('patterns', () => {
  it('give each adapter the first key that the regular expression of PEFT matches', () => {
    const part = fc.constantFrom('a', 'b', '0', '1', 'a-b', 'é', '+');
    const name = fc.array(part, { minLength: 1, maxLength: 3 }).map(parts => parts.join('.'));
    const escaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
    const key = fc.tuple(fc.boolean(), name).map(([isWhole, text]) => `${isWhole ? '^' : ''}${escaped(text)}`);
    let [cases, fitting] = [0, 0];
    fc.assert(
      fc.property(
        fc.uniqueArray(name, { minLength: 1, maxLength: 6 }),
        fc.uniqueArray(fc.tuple(key, fc.integer({ min: 1, max: 9 })), { maxLength: 5, selector: ([text]) => text }),
        (names, entries) => {
          cases++;
          const header: Record<string, object> = {};
          names.forEach((each, i) => {
            header[`base_model.model.${each}.lora_A.weight`] = tensor([1, 1], [8 * i, 8 * i + 4]);
            header[`base_model.model.${each}.lora_B.weight`] = tensor([1, 1], [8 * i + 4, 8 * i + 8]);
          });
          const bytes = file(header, '0000803f'.repeat(2 * names.length));
          const pattern = entries.map(([text, value]) => `${JSON.stringify(text)}:${value}`).join();
          const read = (): number[] =>
            Array.from(
              fromSafetensors(bytes, `{"lora_alpha":100,"alpha_pattern":{${pattern}}}`).values(),
              ({ scaling }) => scaling,
            );
          const fits = (text: string, each: string): boolean => new RegExp(`^(.*\\.)?(${text})$`).test(each);
          const idle = entries.find(([text]) => !names.some(each => fits(text, each)));
          if (idle) expect(read).toThrow(`alpha_pattern has the key "${idle[0]}", which fits no adapter`);
          else {
            fitting++;
            expect(read()).toEqual(names.map(each => entries.find(([text]) => fits(text, each))?.[1] ?? 100));
          }
        },
      ),
      { numRuns: 1000 },
    );
    expect(fitting).toBeGreaterThan(cases / 10);
  });
});

describe('a damaged file', () => {
  const field = (key: string, change: object): object => ({ ...small, [key]: { ...small[key], ...change } });
  const text = JSON.stringify(small);

  it.each<[string, Uint8Array, AdapterConfig?]>([
    ['bytes must have at least 8 entries, got 7', new Uint8Array(7)],
    ['bytes are no safetensors file, but seem to be JSON; LoRAAdapter.from', Buffer.from('{}')],
    ['bytes are no safetensors file, but seem to be JSON; LoRAAdapter.from', Buffer.from(' \n[{"loraA": [[1]]}]')],
    ['bytes are no safetensors file, but seem to be an HTML page', Buffer.from('<!doctype html><title>404</title>')],
    [
      "bytes are no safetensors file, but seem to be Python's pickle",
      Buffer.of(0x80, 2, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9),
    ],
    [
      "bytes are no safetensors file, but seem to be a zip archive, or PyTorch's",
      Buffer.from('PK\u0003\u0004 and so on'),
    ],
    ['bytes are no safetensors file, but seem to be gzip; decompress it first', gzipSync(file('{}'))],
    [
      'bytes are no safetensors file, but seem to be a pointer of Git LFS; run git lfs pull',
      Buffer.from('version https://git-lfs.github.com/spec/v1'),
    ],
    ['bytes are no safetensors file, but seem to be UTF-16', Buffer.from('\uFEFF{"loraA": 1}', 'utf16le')],
    ['the header length must be at most 3, got 4', file('{}', '00', 4n)],
    ['the header length must be at most 2, got 123', file('{}', '', 123n)],
    ['the header length must be at most 2, got 640', file('{}', '', 640n)],
    ['the header length must be at most 3, got 18446744073709552000', file('{}', '00', 2n ** 64n - 1n)],
    ["the header must have '{' at character 0, got its end", file('')],
    ['the header must have \'{\' at character 0, got "[{}]"', file('[{}]')],
    ['the header must have \'{\' at character 0, got "\ufeff{}"', file('\ufeff{}')],
    ['the header is not UTF-8', file('{"', 'ff', 3n)],
    ['the header must have its end at character 3, got "{}"', file('{} {}')],
    ['the header must have a string at character 1, got "a:1}"', file('{a:1}')],
    ['the header must have a string at character 1, got ""a\n"', file('{"a\n":1}')],
    ['the header must have a string at character 1, got ""', file('{"')],
    ['the header must have a string at character 1, got ""\\"', file('{"\\')],
    ['the header must have a string of whole characters at character 1', file('{"\\ud800":1}')],
    ["the header must have '{' at character 36, got", file(`{"${A}":${'['.repeat(1e5)}`)],
    ['the file has no adapter', file('{}'), alpha],
    ['bytes has 1 entry that belongs to no tensor', file('{}', '00')],
    [`the header has the key "${A}" twice`, file(`{"${A}":${JSON.stringify(small[A])},${text.slice(1)}`, numbers)],
    ['the header has the key "__proto__"', file('{"__proto__":{}}')],
    ['the header has the key "__proto__"', file('{"__metadata__":{"__proto__":""}}')],
    ['the header has the key "__metadata__" twice', file('{"__metadata__":{},"__metadata__":{}}')],
    ['the header must have a string at character 22, got "1}}"', file('{"__metadata__":{"r": 1}}')],
    [`${A}.dtype must be 'F32' | 'F16' | 'BF16', got "F64"`, file(field(A, { dtype: 'F64' }), numbers)],
    [`${A}.dtype must be 'F32' | 'F16' | 'BF16', got "toString"`, file(field(A, { dtype: 'toString' }), numbers)],
    [`${A} must have dtype, shape and data_offsets`, file(`{"${A}":{"dtype":"F32"}}`)],
    [`${A} has the field strides, which no tensor has`, file(field(A, { strides: 1 }), numbers)],
    [`${A}.shape[0] must be an integer of at least 1, got 0`, file(field(A, { shape: [0, 2] }), numbers)],
    [`${A}.shape[1] must be an integer of at least 1, got 0.5`, file(field(A, { shape: [1, 0.5] }), numbers)],
    [`${A}.shape[1] must be an integer of at least 1, got Infinity`, file(text.replace('[1,2]', '[1,1e999]'), numbers)],
    ["the header must have ',' at", file(field(A, { data_offsets: [2] }), numbers)],
    ["the header must have ']' at", file(field(A, { data_offsets: [0, 8, 1] }), numbers)],
    [`${A}.data_offsets[0] must be 0, where the last ended, got 4`, file(field(A, { data_offsets: [4, 12] }), numbers)],
    [`${B}.data_offsets[0] must be 8, where the last ended, got 4`, file(field(B, { data_offsets: [4, 8] }), numbers)],
    [`${B}.data_offsets[1] must be 12, got 16`, file(field(B, { data_offsets: [8, 16] }), numbers)],
    [
      `${A}.data_offsets[1] must be ${(2 ** 53 - 1) * 2 ** 54}, got 0`,
      file(field(A, { shape: [2 ** 53 - 1, 2 ** 52], data_offsets: [0, 0] })),
    ],
    [`${B} ends at byte`, file(small, numbers.slice(0, -2))],
    ['bytes has 4 entries that belong to no tensor', file(small, `${numbers}00000000`)],
    [`${A}[0][1] must be finite, got NaN`, file(small, '0000803f 0000c07f 00004040'), alpha],
    [`${B}[0][0] must be finite, got -Infinity`, file(small, '0000803f 0000803f 000080ff'), alpha],
    [`the file has no ${B}`, file({ [A]: small[A] }, numbers.slice(0, 17)), alpha],
    [`the file has no ${A}`, file({ [B]: tensor([1, 1], [0, 4]) }, numbers.slice(0, 8)), alpha],
    ['the file has q.lora_A.weight, which is neither', file({ 'q.lora_A.weight': tensor([1, 1], [0, 4]) }, '00000000')],
    [
      'base_model.model.q.lora_B.weight has 1 column, lora_A.weight has 2 rows',
      file(field(A, { shape: [2, 1] }), numbers),
      alpha,
    ],
    ...(
      [
        ['lora_A.weight', [2], '.shape must be that of a matrix, as LoRA on linear layers has, got [2]'],
        ['lora_A.weight', [1, 2, 1], '.shape must be that of a matrix, as LoRA on linear layers has, got [1, 2, 1]'],
        ['lora_A.weight', [], '.shape must be that of a matrix, as LoRA on linear layers has, got []'],
        ['lora_A.weight', Array(65).fill(1), '.shape has more than 64 numbers'],
        ['lora_magnitude_vector', [2], '; it belongs to DoRA, which is not supported'],
        ['lora_magnitude_vector.weight', [2], '; it belongs to DoRA, which is not supported'],
        ['lora_embedding_A', [1, 2], '; it belongs to LoRA on an embedding layer, which is not supported'],
        [
          'lora_A.default.weight',
          [1, 2],
          "; it has an adapter's name in it; save the file with PEFT's save_pretrained",
        ],
        ['lora_B.bias', [2], '; biases are not supported'],
        ['bias', [2], '; biases are not supported'],
        ['alpha', [], "; it is of kohya's format; convert the file to PEFT's"],
        ['lora_up.weight', [2, 1, 1, 1], "; it is of kohya's format; convert the file to PEFT's"],
        ['weight', [2], ''],
      ] as [string, number[], string][]
    ).map(([key, shape, problem]): [string, Uint8Array] => {
      const name = `base_model.model.q.${key}`;
      const rule = ', which is neither base_model.model.<name>.lora_A.weight nor lora_B.weight';
      const message = problem.startsWith('.') ? `${name}${problem}` : `the file has ${name}${rule}${problem}`;
      return [message, file({ [name]: tensor(shape, [0, 4]) }, '00000000')];
    }),
    [
      'config.alpha_pattern has the key ".0.q", which fits no adapter',
      file(small, numbers),
      { ...alpha, alpha_pattern: { q: 1, '.0.q': 10 } },
    ],
    ['config.rank_pattern has the key "^x"', file(small, numbers), { ...alpha, rank_pattern: { '^x': 1 } }],
    ['config.use_dora must be false or absent', file(small, numbers), { ...alpha, use_dora: true }],
    ['config.peft_type must be \'LORA\', got "IA3"', file(small, numbers), { peft_type: 'IA3' }],
    [
      'base_model.model.q.lora_A.weight has 1 row, config gives it rank 2',
      file(small, numbers),
      { ...alpha, rank_pattern: { q: 2 } },
    ],
    [
      'each key of config.alpha_pattern must be a plain name, got "(a+)+"',
      file(small, numbers),
      { ...alpha, alpha_pattern: { '(a+)+': 1 } },
    ],
    [
      'metadata.r must have a number at character 0, got "x"',
      file({ __metadata__: { r: 'x', lora_alpha: '1' }, ...small }, numbers),
    ],
    [
      'metadata.lora_alpha must have its end at character 1, got "xx"',
      file({ __metadata__: { lora_alpha: '1xx' }, ...small }, numbers),
    ],
    [
      'metadata.r must be an integer of at least 1, got -1',
      file({ __metadata__: { r: '-1', lora_alpha: '1' }, ...small }, numbers),
    ],
    [
      'metadata.rank_pattern has the key "^q" twice',
      file({ __metadata__: { lora_alpha: '1', rank_pattern: '{"^q":1,"^q":2}' }, ...small }, numbers),
    ],
  ])('%s', (message, bytes, config) => {
    expect(() => fromSafetensors(bytes, config)).toThrow(RangeError);
    expect(() => fromSafetensors(bytes, config)).toThrow(`LoRAAdapter.fromSafetensors: ${message}`);
  });

  it('is refused at the first metadata key above 10,000 and at the first tensor above 100,000', () => {
    const parse = vi.spyOn(JSON, 'parse');
    const metadata = (count: number): Uint8Array =>
      file(`{"__metadata__":{${Array.from({ length: count }, (_, i) => `"k${i}":""`)}}}`);
    expect(() => fromSafetensors(metadata(10_000), alpha)).toThrow(
      'LoRAAdapter.fromSafetensors: the file has no adapter',
    );
    const ofAll = parse.mock.calls.length;
    for (const count of [10_001, 1_000_000]) {
      parse.mockClear();
      expect(() => fromSafetensors(metadata(count))).toThrow(
        'LoRAAdapter.fromSafetensors: __metadata__ has more than 10000 keys',
      );
      // Each key and value is parsed by itself.
      expect(parse.mock.calls.length).toBe(ofAll + 1);
    }
    const tensors = Array.from({ length: 300_000 }, (_, i) => {
      const key = `base_model.model.${i >> 1}.lora_${i % 2 ? 'B' : 'A'}.weight`;
      return `"${key}":{"dtype":"F32","shape":[1,1],"data_offsets":[${4 * i},${4 * i + 4}]}`;
    });
    parse.mockClear();
    expect(() => fromSafetensors(file(`{${tensors}}`))).toThrow(
      'LoRAAdapter.fromSafetensors: the file has more than 100000 tensors',
    );
    // Each has a key, three field names and a dtype.
    expect(parse.mock.calls.length).toBe(5 * 100_000 + 1);
    parse.mockRestore();
  });

  it('causes no allocation larger than its bytes', () => {
    const decode = vi.spyOn(TextDecoder.prototype, 'decode');
    expect(() => fromSafetensors(file('{}', '', 99_999_999n))).toThrow('the header length must be at most 2');
    expect(decode).not.toHaveBeenCalled();
    decode.mockRestore();
    const huge = {
      [A]: tensor([2 ** 20, 2 ** 20], [0, 2 ** 42]),
      [B]: tensor([1, 2 ** 20], [2 ** 42, 2 ** 42 + 2 ** 22]),
    };
    const before = process.memoryUsage().arrayBuffers;
    expect(() => fromSafetensors(file(huge), alpha)).toThrow(`${A} ends at byte`);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 22);
  });

  it('may not have a header above 100 MB', () => {
    const bytes = new Uint8Array(100_000_009);
    new DataView(bytes.buffer).setBigUint64(0, 100_000_001n, true);
    expect(() => fromSafetensors(bytes)).toThrow('the header length must be at most 100000000, got 100000001');
  });
});

describe('any change of bytes gives a typed error or the adapters that the bytes then describe', () => {
  /** An accepted file gives the entries of its bytes, in their order. */
  function expectErrorOrEqual(bytes: Uint8Array): void {
    let adapters: Map<string, LoRAAdapter>;
    try {
      adapters = fromSafetensors(bytes);
    } catch (error) {
      expect(error instanceof RangeError || error instanceof TypeError, String(error)).toBe(true);
      expect((error as Error).message).toMatch(/^LoRAAdapter\.fromSafetensors: \S/);
      return;
    }
    const written = toSafetensors(adapters);
    expect(Buffer.compare(entriesOf(written), entriesOf(bytes))).toBe(0);
    expect(plain(fromSafetensors(written))).toEqual(plain(adapters));
  }

  const good = toSafetensors(
    new Map([
      ['layer.0', new LoRAAdapter({ dim: 3, rank: 2, seed: 1 })],
      ['b', new LoRAAdapter({ dim: 2, outDim: 1, rank: 3, alpha: 1, seed: 2 })],
    ]),
  );

  it('bytes set, cut off, cut out, doubled or added', () => {
    const change = fc.record({
      kind: fc.constantFrom('set', 'truncate', 'remove', 'repeat', 'extend'),
      place: fc.nat(good.length - 1),
      length: fc.integer({ min: 1, max: 12 }),
      value: fc.nat(255),
    });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), changes => {
        let bytes = Array.from(good);
        for (const { kind, place, length, value } of changes) {
          if (kind === 'set') bytes[Math.min(place, bytes.length - 1)] = value;
          if (kind === 'truncate') bytes.length = Math.min(bytes.length, place);
          if (kind === 'remove') bytes.splice(place, length);
          if (kind === 'repeat') bytes.splice(place, 0, ...bytes.slice(place, place + length));
          if (kind === 'extend') bytes = [...bytes, ...new Array<number>(length).fill(value)];
        }
        expectErrorOrEqual(Uint8Array.from(bytes));
      }),
      { numRuns: 3000 },
    );
  });

  it('tokens of the header replaced, with the length kept right', () => {
    const entries = Buffer.from(entriesOf(good)).toString('hex');
    const header = Buffer.from(good.subarray(8, good.length - entries.length / 2)).toString();
    const tokens = header.match(/"(?:[^"\\]|\\.)*"|[0-9]+|[{}[\],:]|\s+/g)!;
    expect(tokens.join('')).toBe(header);
    const token = fc.oneof(
      fc.constantFrom(...tokens),
      fc.constantFrom('', '-1', '1e400', '9007199254740993', '0.5', 'null', 'NaN', '"__proto__"', '"\\u0000"', '{}'),
      fc.nat(64).map(String),
    );
    const change = fc.tuple(fc.nat(tokens.length - 1), token);
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), changes => {
        const changed = [...tokens];
        for (const [place, value] of changes) changed[place] = value;
        expectErrorOrEqual(file(changed.join(''), entries));
      }),
      { numRuns: 3000 },
    );
  });
});

describe('toSafetensors', () => {
  it('refuses what fromSafetensors would refuse', () => {
    const adapter = { loraA: [[1]], loraB: [[1]], scaling: 1 };
    const many = new Map(Array.from({ length: 50_001 }, (_, i) => [`${i}`, adapter]));
    expect(() => toSafetensors(many)).toThrow(
      'LoRAAdapter.toSafetensors: adapters must have at most 50000 entries, got 50001',
    );
    many.delete('0');
    expect(fromSafetensors(toSafetensors(many)).size).toBe(50_000);
    const long = new Map([['x'.repeat(50_000_000), adapter]]);
    expect(() => toSafetensors(long)).toThrow(
      'LoRAAdapter.toSafetensors: the header must have at most 100000000 bytes',
    );
  });
});

describe('keys in a different order than their entries', () => {
  it('are read the same', () => {
    const adapters = new Map([1, 2].map(seed => [`layer${seed}`, new LoRAAdapter({ dim: 3, rank: 2, seed })]));
    const bytes = LoRAAdapter.toSafetensors(adapters);
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length))) as Record<string, unknown>;
    const turned = JSON.stringify(Object.fromEntries(Object.entries(header).reverse())).padEnd(length);
    const file = Uint8Array.from(bytes);
    file.set(new TextEncoder().encode(turned), 8);
    const read = LoRAAdapter.fromSafetensors(file);
    expect([...read.keys()].sort()).toEqual(['layer1', 'layer2']);
    for (const [name, adapter] of adapters) expect(read.get(name)!.toJSON()).toEqual(adapter.toJSON());
  });
});
