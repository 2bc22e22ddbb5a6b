import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Blobs, folderBlobs, redisBlobs } from '../../src/bullmq.js';
import { hasRedis, RedisServer } from '../support/redis.js';

const untyped = (value: unknown): never => value as never;

function itStores(make: (options: { maxBytes?: number }) => Blobs, label: string): void {
  it('returns what was put, whatever key and bytes', async () => {
    const blobs = make({});
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(fc.string({ minLength: 1, maxLength: 300, unit: 'grapheme' }), fc.uint8Array({ maxLength: 50 })),
        async entries => {
          const all = Object.entries(entries).filter(([key]) => key.length <= 300);
          for (const [key, bytes] of all) await blobs.put(key, bytes);
          for (const [key, bytes] of all) {
            expect(await blobs.has(key)).toBe(true);
            expect([...(await blobs.get(key))!]).toEqual([...bytes]);
          }
          await blobs.delete(all.map(([key]) => key));
          for (const [key] of all) expect([await blobs.has(key), await blobs.get(key)]).toEqual([false, undefined]);
        },
      ),
      { numRuns: 30 },
    );
  });

  it('replaces bytes, keeps keys apart that differ in case, and skips missing keys when it deletes', async () => {
    const blobs = make({});
    await blobs.put('a/B', Uint8Array.of(1));
    await blobs.put('a/b', Uint8Array.of(2));
    await blobs.put('a/b', Uint8Array.of(3));
    await blobs.delete(['missing']);
    await blobs.delete([]);
    expect([await blobs.get('a/B'), await blobs.get('a/b')].map(bytes => [...bytes!])).toEqual([[1], [3]]);
  });

  it('refuses bad keys and bytes, and sizes above its limit in both directions', async () => {
    const [large, small] = [make({}), make({ maxBytes: 3 })];
    await large.put('large', new Uint8Array(4));
    await expect(small.get('large')).rejects.toThrow(`${label}.get: "large" has 4 bytes, more than maxBytes 3`);
    await expect(small.put('x', new Uint8Array(4))).rejects.toThrow(`${label}.put: bytes has 4 bytes`);
    await expect(small.put('', new Uint8Array(1))).rejects.toThrow(`${label}.put: key must have 1 to 500 characters`);
    await expect(small.put('x', untyped([1]))).rejects.toThrow(`${label}.put: bytes must be a Uint8Array`);
    await expect(small.get(untyped(3))).rejects.toThrow(`${label}.get: key must be a string, got 3`);
    await expect(small.has('x'.repeat(501))).rejects.toThrow(
      `${label}.has: key must have 1 to 500 characters, got 501`,
    );
    await expect(small.has('\ud800')).rejects.toThrow(`${label}.has: key has half of a surrogate pair`);
    await expect(small.delete(untyped('abc'))).rejects.toThrow(`${label}.delete: keys must be an array, got "abc"`);
    await expect(small.delete(untyped([4]))).rejects.toThrow(`${label}.delete: key must be a string, got 4`);
    expect(() => make({ maxBytes: 0 })).toThrow(`${label}: maxBytes must be an integer of at least 1, got 0`);
  });

  it('keeps values of just its limit under the longest keys, and returns bytes on which views of floats fit', async () => {
    const blobs = make({ maxBytes: 16 });
    const [key, other] = [`${'x'.repeat(499)}a`, `${'x'.repeat(499)}b`];
    await blobs.put(key, new Uint8Array(Float64Array.of(1, 2).buffer));
    await blobs.put(other, Uint8Array.of(1));
    const { buffer, byteOffset } = (await blobs.get(key))!;
    expect([...new Float64Array(buffer, byteOffset, 2)]).toEqual([1, 2]);
    await blobs.delete([key, other]);
  });
}

describe('folderBlobs', () => {
  const folder = mkdtempSync(join(tmpdir(), 'blobs-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  itStores(options => folderBlobs(join(folder, 'new', 'one'), options), 'folderBlobs');

  it('leaves no half-written files, notices damage, and forgets what has expired', async () => {
    const path = join(folder, 'two');
    const blobs = folderBlobs(path, { ttlSeconds: 100 });
    await blobs.put('whole', Uint8Array.of(1, 2, 3));
    const [name] = readdirSync(path);
    expect(readdirSync(path)).toHaveLength(1);
    const file = join(path, name!);
    const stored = readFileSync(file);
    for (const at of [0, 31, 32, stored.length - 1]) {
      const damaged = Buffer.from(stored);
      damaged[at]! ^= 4;
      writeFileSync(file, damaged);
      await expect(blobs.get('whole')).rejects.toThrow('folderBlobs.get: the bytes of "whole" are damaged');
    }
    writeFileSync(file, stored);
    const old = new Date(Date.now() - 101_000);
    utimesSync(file, old, old);
    expect([await blobs.has('whole'), await blobs.get('whole')]).toEqual([false, undefined]);
    await folderBlobs(path, { ttlSeconds: 100 }).put('other', Uint8Array.of(1));
    expect(readdirSync(path)).toHaveLength(1);
  });

  it('names files so that every file system keeps them apart', async () => {
    const path = join(folder, 'three');
    const blobs = folderBlobs(path);
    const keys = ['a/b', 'A/b', 'B/b', '..', '*', 'é', `${'k'.repeat(195)}`, 'k'.repeat(196), 'K'.repeat(300)];
    for (const key of keys) await blobs.put(key, Uint8Array.of(1));
    const names = readdirSync(path);
    expect(new Set(names.map(name => name.toLowerCase())).size).toBe(keys.length);
    for (const name of names) expect(name).toMatch(/^(?=.{6,205}$)[a-z0-9=%A-F-]+\.blob$/);
  });

  it('passes on what the file system says, and leaves no part behind', async () => {
    const path = join(folder, 'four');
    const blobs = folderBlobs(path);
    mkdirSync(join(path, 'key.blob'), { recursive: true });
    writeFileSync(join(path, 'key.blob', 'inside'), '');
    await expect(blobs.get('key')).rejects.toThrow('EISDIR');
    await expect(blobs.put('key', Uint8Array.of(1))).rejects.toThrow(/EISDIR|ENOTEMPTY/);
    expect(readdirSync(path)).toEqual(['key.blob']);
    writeFileSync(join(folder, 'file'), '');
    await expect(folderBlobs(join(folder, 'file')).get('key')).rejects.toThrow('ENOTDIR');
  });

  it.each<[string, unknown[]]>([
    ['folder must be a path, got 3', [3]],
    ['folder must be a path, got ""', ['']],
    ['unknown option "ttl"; did you mean ttlSeconds?', ['x', { ttl: 3 }]],
    ['ttlSeconds must be an integer of at least 1, got 0', ['x', { ttlSeconds: 0 }]],
  ])('refuses %s', (message, args) => {
    expect(() => folderBlobs(...(args as [string]))).toThrow(`folderBlobs: ${message}`);
  });
});

describe.skipIf(!hasRedis)('redisBlobs on a real Redis', () => {
  let redis: RedisServer;
  let client: Redis;
  beforeAll(async () => {
    redis = await RedisServer.start();
    client = redis.client();
    return async () => {
      client.disconnect();
      await redis.stop();
    };
  });
  itStores(options => redisBlobs(client, options), 'redisBlobs');

  it('lets values expire, notices damage, and keeps to its prefix', async () => {
    const blobs = redisBlobs(client, { ttlSeconds: 50, prefix: 'mine:' });
    await blobs.put('key', Uint8Array.of(1, 2));
    expect(await client.ttl('mine:key')).toBeGreaterThan(45);
    await client.setrange('mine:key', 33, 'x');
    await expect(blobs.get('key')).rejects.toThrow('redisBlobs.get: the bytes of "key" are damaged');
    await client.set('mine:key', 'short');
    await expect(blobs.get('key')).rejects.toThrow('redisBlobs.get: the bytes of "key" are damaged');
  });

  it('waits while Redis is away', async () => {
    const blobs = redisBlobs(client);
    await blobs.put('key', Uint8Array.of(9));
    await redis.kill();
    const read = blobs.get('key');
    await new Promise(resolve => setTimeout(resolve, 300));
    await redis.restart();
    expect([...(await read)!]).toEqual([9]);
  });

  it('has a prefix of its own, and refuses one that is no text', async () => {
    await redisBlobs(client).put('key', Uint8Array.of(1));
    expect(await client.exists('blobs:key')).toBe(1);
    expect(() => redisBlobs(client, { prefix: untyped(1) })).toThrow('redisBlobs: prefix must be a string, got 1');
    expect(() => redisBlobs(client, { ttlSeconds: 0.5 })).toThrow('redisBlobs: ttlSeconds must be an integer');
  });

  it('refuses a client without the commands', () => {
    expect(() => redisBlobs(untyped({ set() {} }))).toThrow(
      'redisBlobs: client.getrangeBuffer must be a function, as a client of ioredis has, got undefined',
    );
    expect(() => redisBlobs(untyped(null))).toThrow('redisBlobs: client must be an object, got null');
  });
});
