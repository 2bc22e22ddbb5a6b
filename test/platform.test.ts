import { readdirSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import * as nodeBase64 from '../src/platform/node/base64.js';
import * as nodeEventEmitter from '../src/platform/node/event-emitter.js';
import * as nodeFiles from '../src/platform/node/files.js';
import * as nodeGunzip from '../src/platform/node/gunzip.js';
import * as nodeNextTurn from '../src/platform/node/next-turn.js';
import * as nodeObjectTypes from '../src/platform/node/object-types.js';
import * as nodeSha256 from '../src/platform/node/sha256.js';
import * as nodeWarn from '../src/platform/node/warn.js';
import * as nodeWorkers from '../src/platform/node/workers.js';
import * as webBase64 from '../src/platform/web/base64.js';
import * as webEventEmitter from '../src/platform/web/event-emitter.js';
import * as webFiles from '../src/platform/web/files.js';
import * as webGunzip from '../src/platform/web/gunzip.js';
import * as webNextTurn from '../src/platform/web/next-turn.js';
import * as webObjectTypes from '../src/platform/web/object-types.js';
import * as webSha256 from '../src/platform/web/sha256.js';
import * as webWarn from '../src/platform/web/warn.js';
import * as webWorkers from '../src/platform/web/workers.js';

const node = {
  ...nodeBase64,
  ...nodeEventEmitter,
  ...nodeFiles,
  ...nodeGunzip,
  ...nodeNextTurn,
  ...nodeObjectTypes,
  ...nodeSha256,
  ...nodeWarn,
  ...nodeWorkers,
};
const web = {
  ...webBase64,
  ...webEventEmitter,
  ...webFiles,
  ...webGunzip,
  ...webNextTurn,
  ...webObjectTypes,
  ...webSha256,
  ...webWarn,
  ...webWorkers,
};

const anyText = fc.string({ unit: 'binary' });
/** With lone surrogates. */
const anyCodeUnits = fc.array(fc.integer({ min: 0, max: 0xffff })).map(units => String.fromCharCode(...units));

describe('the web platform', () => {
  it('has the modules and the exports of the Node platform', () => {
    const modulesOf = (platform: string) => readdirSync(new URL(`../src/platform/${platform}`, import.meta.url));
    const shared = (platform: string) =>
      modulesOf(platform).filter(file => !['load.ts', 'characters.ts'].includes(file));
    expect(shared('web')).toEqual(shared('node'));
    expect(Object.keys(web).sort()).toEqual(Object.keys(node).sort());
  });

  it('hashes texts and bytes to the bits of node:crypto', () => {
    fc.assert(
      fc.property(fc.oneof(anyText, anyCodeUnits, fc.uint8Array({ maxLength: 300 })), data => {
        expect(web.sha256(data)).toBe(node.sha256(data));
        expect(web.sha256(data)).toHaveLength(32);
      }),
    );
  });

  it('writes and reads base64 as Buffer does', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 20_000 }), bytes => {
        const text = web.toBase64(bytes);
        expect(text).toBe(node.toBase64(bytes));
        expect([...web.fromBase64(text)]).toEqual([...bytes]);
      }),
      { numRuns: 30 },
    );
    expect([...web.fromBase64('no base64: é')]).toEqual([]);
  });

  it.each([
    ['node', node],
    ['web', web],
  ])('unpacks gzip, however it is cut: %s', async (_, { gunzip }) => {
    await fc.assert(
      fc.asyncProperty(anyText, fc.integer({ min: 1, max: 40 }), async (text, size) => {
        expect(await textOf(gunzip(cut(gzipSync(text), size)))).toBe(Buffer.from(text).toString());
      }),
      { numRuns: 30 },
    );
  });

  it.each([
    ['node', node],
    ['web', web],
  ])('tells damaged gzip from a source that fails: %s', async (_, { gunzip, DamagedGzip }) => {
    const packed = gzipSync('a text that is long enough to be cut off');
    await expect(textOf(gunzip(cut(packed.subarray(0, -12), 5)))).rejects.toThrow(DamagedGzip);
    const failing = async function* (): AsyncGenerator<Uint8Array> {
      yield packed.subarray(0, 15);
      throw new Error('the source fails');
    };
    await expect(textOf(gunzip(failing()))).rejects.toThrow('the source fails');
  });

  it.each([
    ['node', node],
    ['web', web],
  ])('closes a source that is not read to its end: %s', async (_, { gunzip }) => {
    let isClosed = false;
    const packed = gzipSync(Buffer.alloc(2 ** 20, 'abcdefghij'));
    const source = async function* (): AsyncGenerator<Uint8Array> {
      try {
        yield* cut(packed, 100);
      } finally {
        isClosed = true;
      }
    };
    for await (const chunk of gunzip(source())) {
      expect(chunk.length).toBeGreaterThan(0);
      break;
    }
    await vi.waitFor(() => expect(isClosed).toBe(true));
  });

  it('gives other work of the thread its turn', async () => {
    const order: string[] = [];
    setImmediate(() => order.push('other'));
    for (let turn = 0; turn < 5; turn++) await web.nextTurn();
    order.push('this');
    expect(order).toEqual(['other', 'this']);
  });

  it('has events with the methods of node:events', () => {
    const emitter = new web.EventEmitter();
    const heard: unknown[] = [];
    const hear = (value: number): void => void heard.push(value);
    emitter.on('a', hear);
    emitter.once('a', value => heard.push(-value));
    emitter.prependListener('a', value => heard.push(`first ${value}`));
    expect(emitter.emit('a', 1)).toBe(true);
    expect(emitter.emit('a', 2)).toBe(true);
    emitter.off('a', hear);
    emitter.removeAllListeners('a');
    expect(emitter.emit('a', 3)).toBe(false);
    expect(heard).toEqual(['first 1', 1, -1, 'first 2', 2]);
    const methods = Object.keys(node.EventEmitter.prototype).filter(name => /^[a-z]/.test(name));
    expect(methods.filter(name => !(name in emitter))).toEqual([]);
  });

  it('knows built-in classes as node:util does', () => {
    const values = [
      ...[[], {}, null, 1, 'a', new Map(), new Set(), new WeakMap(), new WeakSet(), new Date(), /a/, Promise.resolve()],
      ...[new Uint8Array(1), new Float64Array(1), Buffer.from('a'), new ArrayBuffer(1), new SharedArrayBuffer(1)],
      ...[new DataView(new ArrayBuffer(1)), Object(1), Object('a'), Object(1n), Object(Symbol.iterator), Object(true)],
      ...[(function* () {})(), (async function* () {})(), new (class extends Map {})(), () => {}],
    ];
    for (const [name, isKind] of Object.entries(web.types)) {
      const expected = node.types[name as 'isMap'];
      for (const value of values)
        expect(isKind(value), `${name} of ${Object.prototype.toString.call(value)}`).toBe(expected(value));
    }
  });

  it('says that there are no files, and what to do', () => {
    expect(() => web.bytesOfFile('readJsonl', 'pairs.jsonl')).toThrow(
      'readJsonl: there are no files in this runtime; pass a ReadableStream, a Blob, a File or a Response instead of pairs.jsonl',
    );
    expect(() => web.toPath('saveCheckpoint', 'a.safetensors')).toThrow(
      'saveCheckpoint: there are no files in this runtime; use packCheckpoint and unpackCheckpoint instead of a.safetensors',
    );
  });

  it('warns on the console', () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
    web.warn('It is slow.', 'SlowKernelsWarning');
    expect(warn).toHaveBeenCalledWith('SlowKernelsWarning: It is slow.');
    warn.mockRestore();
  });
});

async function* cut(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array, void, undefined> {
  for (let i = 0; i < bytes.length; i += size) yield bytes.subarray(i, i + size);
}

async function textOf(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts).toString();
}
