import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import {
  AdamW,
  LoRAAdapter,
  loadCheckpoint,
  NgramEmbedder,
  packCheckpoint,
  readTensors,
  SGD,
  type Stateful,
  saveCheckpoint,
  unpackCheckpoint,
  writeTensors,
} from '../src/index.js';

const root = mkdtempSync(join(tmpdir(), 'checkpoint-'));
afterAll(() => rmSync(root, { recursive: true }));
let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(root, 'test-'));
  path = join(folder, 'state.safetensors');
});

const untyped = (value: unknown): never => value as never;

/** Holds any state. */
class Box implements Stateful {
  state: unknown;
  constructor(state?: unknown) {
    this.state = state;
  }
  stateDict(): unknown {
    return this.state;
  }
  loadStateDict(state: unknown): void {
    this.state = state;
  }
}

function throughFile(state: unknown): unknown {
  saveCheckpoint(path, { box: new Box(state) });
  const box = new Box();
  loadCheckpoint(path, { box });
  return box.state;
}

function training(seed: number, rank = 4, dim = 24): { query: LoRAAdapter; optimizer: AdamW; step: () => void } {
  const query = new LoRAAdapter({ dim, rank, seed });
  const optimizer = new AdamW(new Map([['query', query]]));
  const rows = Array.from({ length: 6 }, (_, i) => Array.from({ length: dim }, (_, j) => Math.sin(i * j + seed)));
  const step = (): void => {
    const { gradA, gradB } = query.trace(rows).backward(rows);
    optimizer.step(new Map([['query', { gradA, gradB }]]));
  };
  return { query, optimizer, step };
}

describe('a checkpoint', () => {
  it('takes at most a quarter of the size of the JSON', () => {
    const { query, optimizer, step } = training(1, 128, 384);
    step();
    step();
    saveCheckpoint(path, { query, optimizer });
    const json = JSON.stringify({ query: query.stateDict(), optimizer: optimizer.stateDict() });
    expect(statSync(path).size / json.length).toBeLessThan(0.25);
    // 3 numbers of 4 bytes for each weight.
    expect(statSync(path).size).toBeLessThan(3 * 4 * 2 * 128 * 384 + 2000);
  });

  it('is a safetensors file whose tensors are named by their place in the state', () => {
    const { query, optimizer, step } = training(1);
    step();
    saveCheckpoint(pathToFileURL(path), { query, optimizer });
    const { tensors, metadata } = readTensors(readFileSync(path));
    expect([...tensors.keys()]).toEqual(
      expect.arrayContaining(['/query/loraA', '/optimizer/adapters/query/loraB/second']),
    );
    const { shape, data, dtype } = tensors.get('/query/loraA')!;
    expect([dtype, shape]).toEqual(['F32', [24, 4]]);
    expect(Array.from(data as Float32Array)).toEqual(query.loraA.flatMap(row => Array.from(row)));
    expect(metadata['format']).toBe('microlora-training-utils checkpoint');
  });

  it('loads parts in any order, although an optimizer’s state belongs to the weights', () => {
    const { query, optimizer, step } = training(1);
    step();
    saveCheckpoint(path, { query, optimizer });
    for (const reversed of [false, true]) {
      const other = training(2);
      const parts = reversed
        ? { optimizer: other.optimizer, query: other.query }
        : { query: other.query, optimizer: other.optimizer };
      loadCheckpoint(path, parts);
      expect(other.query.stateDict()).toEqual(query.stateDict());
      expect(other.optimizer.stateDict()).toEqual(optimizer.stateDict());
    }
  });

  it('replaces an earlier file, keeps its permissions and links to it, and leaves no other file', () => {
    saveCheckpoint(path, { box: new Box(1) });
    chmodSync(path, 0o600);
    const link = join(folder, 'link');
    symlinkSync(path, link);
    saveCheckpoint(link, { box: new Box(2) });
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const box = new Box();
    loadCheckpoint(path, { box });
    expect(box.state).toBe(2);
    expect(readdirSync(folder).sort()).toEqual(['link', 'state.safetensors']);
  });
});

describe('states survive', () => {
  const number = fc.oneof(fc.double(), fc.float(), fc.integer());
  const anyState = fc.letrec(tie => ({
    state: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      fc.constantFrom(null, true, false, 0, 1.5, '', 'text', '\ud800', 'a/b~c'),
      fc.array(number.filter(Number.isFinite), { maxLength: 40, size: 'max' }).map(row => row.map(each => each + 0)),
      fc
        .tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 9 }))
        .chain(([height, width]) =>
          fc.array(fc.array(number.filter(Number.isFinite), { minLength: width, maxLength: width }), {
            minLength: height,
            maxLength: height,
          }),
        )
        .map(rows => rows.map(row => row.map(each => each + 0))),
      fc.array(tie('state'), { maxLength: 4 }),
      fc.dictionary(
        fc.oneof(fc.string(), fc.constantFrom('a/b', '~', '~1', '', '0', '\udc00', 'length')),
        tie('state'),
        {
          maxKeys: 4,
        },
      ),
    ),
  })).state;

  it('as they survive JSON, where JSON loses nothing', () => {
    fc.assert(
      fc.property(anyState, state => {
        expect(throughFile(state)).toEqual(JSON.parse(JSON.stringify(state)));
      }),
      { numRuns: 300 },
    );
  });

  it('with the numbers of matrices to the bit, which JSON does not keep: signed zeros, infinities, NaN', () => {
    const special = [0, -0, Infinity, -Infinity, Number.NaN, 0.1, Math.fround(0.1), 5e-324, 1e300, 2 ** 53 - 1];
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.double(), fc.constantFrom(...special)), { minLength: 16, maxLength: 40 }),
        row => {
          expect(throughFile({ row, rows: [row, row] })).toEqual({ row, rows: [row, row] });
          const isFloat32 = row.every(each => Object.is(Math.fround(each), each));
          expect(readTensors(readFileSync(path)).tensors.get('/box/row')!.dtype).toBe(isFloat32 ? 'F32' : 'F64');
        },
      ),
    );
  });

  it('with typed arrays, and rows of typed arrays, in their own types', () => {
    const state = {
      a: Float32Array.of(0.1, -0),
      b: new Float64Array([0.1]),
      c: BigInt64Array.of(-(2n ** 63n)),
      empty: new Uint8Array(),
      rows: [Float32Array.of(1, 2), Float32Array.of(3, 4)],
      integers: [Int32Array.of(1), Int32Array.of(2)],
      ragged: [Float32Array.of(1), Float32Array.of(2, 3)],
      mixed: [Float32Array.of(1), Float64Array.of(2)],
      short: [[1, 2], [3]],
      none: [],
      noEntries: [[], []],
    };
    expect(throughFile(state)).toEqual(state);
  });

  it('with objects that have toJSON as JSON writes them, and with keys such as toString and __proto__', () => {
    const date = new Date(0);
    expect(throughFile({ date })).toEqual({ date: '1970-01-01T00:00:00.000Z' });
    const row = Array.from({ length: 20 }, (_, i) => i);
    const state = JSON.parse(JSON.stringify({ toString: row, x: 1 }).replace('x', '__proto__')) as object;
    const read = throughFile(state) as object;
    expect(Object.entries(read)).toEqual([['toString', row], ['__proto__', 1]]); // biome-ignore format: pairs
    const nested = JSON.parse(`{"__proto__":${JSON.stringify(row)}}`) as object;
    const again = throughFile(nested) as object;
    expect(Object.entries(again)).toEqual([['__proto__', row]]);
    expect(Object.getPrototypeOf(again)).toBe(Object.prototype);
  });
});

describe('saveCheckpoint refuses', () => {
  const cyclic: Record<string, unknown> = {};
  cyclic['self'] = cyclic;
  it.each<[string, ErrorConstructor, unknown]>([
    ['parts must be an object, got null', TypeError, null],
    ['parts must be an object, got an array of 1', TypeError, [new Box()]],
    ['parts is empty', RangeError, {}],
    ['parts["a"] must be an object, got 1', TypeError, { a: 1 }],
    ['parts["a"].stateDict must be a function, got undefined', TypeError, { a: {} }],
    ['parts["a"].loadStateDict must be a function, got undefined', TypeError, { a: { stateDict: () => 1 } }],
    ['/a/b is a Map, which JSON cannot hold', TypeError, { a: new Box({ b: new Map() }) }],
    ['/a/0 is 1n, which JSON cannot hold', TypeError, { a: new Box([1n]) }],
    ['is more than 64 levels deep', RangeError, { a: new Box(cyclic) }],
    [
      'has half of a surrogate pair, and holds a typed array',
      RangeError,
      { a: new Box({ '\ud800': new Uint8Array(1) }) },
    ],
  ])('%s', (message, type, parts) => {
    expect(() => saveCheckpoint(path, untyped(parts))).toThrow(type);
    expect(() => saveCheckpoint(path, untyped(parts))).toThrow(/^saveCheckpoint: /);
    expect(() => saveCheckpoint(path, untyped(parts))).toThrow(message);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('a path that is not a path, is a folder, is in a missing folder, or is a device', () => {
    const parts = { box: new Box(1) };
    expect(() => saveCheckpoint(untyped(1), parts)).toThrow(
      new TypeError('saveCheckpoint: path must be a path, got 1'),
    );
    expect(() => saveCheckpoint('', parts)).toThrow('saveCheckpoint: path is empty');
    expect(() => saveCheckpoint(folder, parts)).toThrow(`saveCheckpoint: ${folder} is a folder, not a file`);
    expect(() => saveCheckpoint(join(folder, 'no', 'x'), parts)).toThrow('does not exist');
    writeFileSync(path, '');
    expect(() => saveCheckpoint(join(path, 'x'), parts)).toThrow('does not exist');
    expect(() => saveCheckpoint('/dev/null', parts)).toThrow('/dev/null is a device or pipe, not a file');
    expect(statSync('/dev/null').isCharacterDevice()).toBe(true);
  });

  it('more matrices than a file may have', () => {
    const rows = Array.from({ length: 100_001 }, () => new Uint8Array(1));
    const state = Object.fromEntries(rows.map((row, i) => [i, row]));
    expect(() => saveCheckpoint(path, { a: new Box(state) })).toThrow(
      'saveCheckpoint: the states have 100001 matrices, at most 100000 are allowed',
    );
  });
});

describe('loadCheckpoint refuses', () => {
  const parts = (): Record<string, Stateful> => {
    const { query, optimizer } = training(2);
    return { query, optimizer };
  };
  beforeEach(() => {
    const { query, optimizer, step } = training(1);
    step();
    saveCheckpoint(path, { query, optimizer });
  });

  function expectRefusal(given: Record<string, Stateful>, message: string, type: ErrorConstructor = RangeError): void {
    const before = JSON.stringify(Object.values(given).map(part => part.stateDict()));
    expect(() => loadCheckpoint(path, given)).toThrow(type);
    expect(() => loadCheckpoint(path, given)).toThrow(`loadCheckpoint: ${message}`);
    expect(JSON.stringify(Object.values(given).map(part => part.stateDict()))).toBe(before);
  }

  it('missing and extra parts, by name', () => {
    const { query, optimizer } = parts();
    expectRefusal({ query: query! }, 'the file has the part "optimizer", which parts has not');
    expectRefusal({ query: query!, optimizer: optimizer!, ewc: new Box(1) }, 'parts has "ewc", which the file has not; it has "query", "optimizer"'); // biome-ignore format: one message
    expectRefusal({}, 'parts is empty');
  });

  it('a missing file, a folder, or a file of another kind', () => {
    const given = parts();
    expect(() => loadCheckpoint(join(folder, 'none'), given)).toThrow(
      new RangeError(`loadCheckpoint: there is no file at ${join(folder, 'none')}`),
    );
    expect(() => loadCheckpoint(folder, given)).toThrow(`loadCheckpoint: ${folder} is a folder, not a file`);
    for (const [bytes, message] of [
      ['', 'bytes must have at least 8 entries, got 0'],
      ['{"query": {}}', 'bytes are no safetensors file, but seem to be JSON; parse it with JSON.parse'],
      [LoRAAdapter.toSafetensors(new Map([['q', training(1).query]])), `${path} is a safetensors file, but not one that saveCheckpoint wrote`],
    ] as const) {
      writeFileSync(path, bytes);
      expectRefusal(given, message);
    } // biome-ignore format: a table
  });

  it('a file that was cut off, at every byte', () => {
    const bytes = readFileSync(path);
    const given = parts();
    const before = JSON.stringify(given['query']!.stateDict());
    const metadata = 8 + Number(bytes.readBigUInt64LE(0));
    for (let length = 0; length < bytes.length; length += length < metadata + 100 ? 7 : 97) {
      writeFileSync(path, bytes.subarray(0, length));
      expect(() => loadCheckpoint(path, given)).toThrow(/^loadCheckpoint: (?:bytes must have at least 8|.*cut off)/);
    }
    expect(JSON.stringify(given['query']!.stateDict())).toBe(before);
  });

  it('the state of another training, with the part’s name and reason', () => {
    const { query, optimizer } = parts();
    const cause = 'LoRAAdapter.loadStateDict: state is of rank 4, the adapter of rank 5';
    expectRefusal(
      { optimizer: new Box(1), query: new LoRAAdapter({ dim: 24, rank: 5 }) },
      `part "query" refuses its state: ${cause}`,
    );
    const sgd = new SGD(new Map([['query', query as LoRAAdapter]]));
    expectRefusal({ query: query!, optimizer: sgd }, 'part "optimizer" refuses its state: SGD.loadStateDict: state.optimizer must be \'SGD\', got "AdamW"'); // biome-ignore format: one message
    expectRefusal({ query: new NgramEmbedder(), optimizer: optimizer! }, 'part "query" refuses its state: NgramEmbedder', TypeError); // biome-ignore format: one message
  });

  it('and says so where a part does not accept its own earlier state', () => {
    let loads = 0;
    const query = {
      stateDict: () => 'before',
      loadStateDict: () => {
        if (loads++ > 0) throw new Error('once only');
      },
    };
    const optimizer = {
      stateDict: () => 'before',
      loadStateDict: (state: unknown) => {
        if (state !== 'before') throw 'a text';
      },
    };
    expect(() => loadCheckpoint(path, { query, optimizer })).toThrow(
      'loadCheckpoint: part "optimizer" refuses its state: "a text"; part "query" refuses what it had before: once only',
    );
  });

  it('files that saveCheckpoint would not write', () => {
    const format = 'microlora-training-utils checkpoint';
    const metadata = { format, version: '1', states: '{"a":{"m":null}}', forms: '{}' };
    const tensor = { shape: [2], data: Float32Array.of(1, 2) };
    const box = new Box('before');
    for (const [message, changed, tensors] of [
      [`${path} is of version "2", this library reads version 1`, { version: '2' }, {}],
      ['the states of the file are not JSON', { states: '{' }, {}],
      ['the states of the file are no object', { states: '[1]' }, {}],
      ['the forms of the file are not JSON', { forms: '' }, {}],
      ['the forms of the file must be an object', { forms: 'null' }, {}],
      ['the file has the tensor "/a/x", for which its states have no place', {}, { '/a/x': tensor }],
      ['the file has the tensor "/a/m/x", for which its states have no place', {}, { '/a/m/x': tensor }],
      ['the file has the tensor "/a/constructor/name"', {}, { '/a/constructor/name': tensor }],
      ['the file has the tensor "a"', {}, { a: tensor }],
      ['the file has the tensor "/a"', {}, { '/a': tensor }],
      ["the form of \"/a/m\" must be 'typed' | 'rows', got 1", { forms: '{"/a/m":1}' }, { '/a/m': tensor }],
      ['the tensor "/a/m" has the shape [2], which no state has', { forms: '{"/a/m":"rows"}' }, { '/a/m': tensor }],
      ['the tensor "/a/m" has the shape [], which', {}, { '/a/m': { shape: [], data: Float32Array.of(1) } }],
      ['the tensor "/a/m" has the shape [1, 1, 2], which', {}, { '/a/m': { ...tensor, shape: [1, 1, 2] } }],
      ['the tensor "/a/m" must be of F32 or F64', {}, { '/a/m': { shape: [1], data: Uint8Array.of(1) } }],
      ['the tensor "/a/m" has rows without entries', {}, { '/a/m': { shape: [9, 0], data: new Float32Array() } }],
    ] as const) {
      writeFileSync(path, writeTensors(tensors as never, { ...metadata, ...changed }));
      expect(() => loadCheckpoint(path, { a: box })).toThrow(`loadCheckpoint: ${message}`);
    } // biome-ignore format: a table
    expect(box.state).toBe('before');
  });

  it('changed bytes with a typed error, or loads the state that they then describe', () => {
    const bytes = readFileSync(path);
    const given = parts();
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }), edits => {
        const changed = Uint8Array.from(bytes);
        for (const [at, byte] of edits) changed[at] = byte;
        writeFileSync(path, changed);
        const before = JSON.stringify([given['query']!.stateDict(), given['optimizer']!.stateDict()]);
        try {
          loadCheckpoint(path, given);
        } catch (error) {
          expect(error instanceof RangeError || error instanceof TypeError, String(error)).toBe(true);
          expect((error as Error).message).toMatch(/^loadCheckpoint: \S/);
          expect(JSON.stringify([given['query']!.stateDict(), given['optimizer']!.stateDict()])).toBe(before);
        }
      }),
      { numRuns: 300 },
    );
  });
});

it('and creates no folder', () => {
  mkdirSync(join(folder, 'there'));
  saveCheckpoint(join(folder, 'there', 'x'), { box: new Box(1) });
  expect(readdirSync(join(folder, 'there'))).toEqual(['x']);
});

describe('packCheckpoint', () => {
  it('gives the bytes of the file, and unpackCheckpoint loads them', () => {
    const before = training(1);
    before.step();
    const { query, optimizer } = before;
    saveCheckpoint(path, { query, optimizer });
    const bytes = packCheckpoint({ query, optimizer });
    expect(Buffer.compare(bytes, readFileSync(path))).toBe(0);
    const after = training(2);
    unpackCheckpoint(bytes, { query: after.query, optimizer: after.optimizer });
    expect(after.query.stateDict()).toEqual(query.stateDict());
    expect(after.optimizer.stateDict()).toEqual(optimizer.stateDict());
  });

  it('names the call and what is wrong', () => {
    expect(() => packCheckpoint({})).toThrow('packCheckpoint: parts is empty');
    const { query } = training(1);
    expect(() => unpackCheckpoint(writeTensors({}), { query })).toThrow(
      'unpackCheckpoint: bytes is a safetensors file, but not one that saveCheckpoint wrote',
    );
    expect(() => unpackCheckpoint(untyped('a'), { query })).toThrow(/^unpackCheckpoint: /);
    expect(() => unpackCheckpoint(packCheckpoint({ query }), { answer: query })).toThrow(
      'unpackCheckpoint: the file has the part "query", which parts has not',
    );
  });
});
