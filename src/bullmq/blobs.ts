import { createHash, timingSafeEqual } from 'node:crypto';
import { describe, inWords, wrongType } from '../internal/validate/messages.js';
import { checkArray, checkCount, checkObject } from '../internal/validate/option-checks.js';

/**
 * A store of bytes by key that coordinator and workers share. `redisBlobs` and `folderBlobs` make one. A store of your own,
 * over object storage say, needs these four methods.
 */
export interface Blobs {
  /** Stores the bytes under the key. It replaces what is there. */
  put(key: string, bytes: Uint8Array): Promise<void>;
  /** The bytes of the key, or undefined if there are none. Rejects if the bytes are damaged. */
  get(key: string): Promise<Uint8Array | undefined>;
  /** Whether there are bytes under the key. */
  has(key: string): Promise<boolean>;
  /** Deletes the bytes of the keys. A key without bytes is skipped. */
  delete(keys: readonly string[]): Promise<void>;
}

export const DEFAULT_MAX_BYTES = 256 * 2 ** 20;
const MOST_KEY_LENGTH = 500;
/** Bytes of a SHA-256 digest. */
const DIGEST_BYTES = 32;

/** A store of bytes as they are. The keys were checked. */
export interface RawBlobs {
  write(key: string, stored: Buffer): Promise<void>;
  /** The bytes under the key, or their number if they are more than `most`. Undefined if there are none. */
  read(key: string, most: number): Promise<Uint8Array | number | undefined>;
  has(key: string): Promise<boolean>;
  delete(keys: readonly string[]): Promise<void>;
}

/** A store that checks its arguments, limits the size of values, and stores a SHA-256 digest in front of each. */
export function checkedBlobs(call: string, maxBytes: number, raw: RawBlobs): Blobs {
  checkCount(call, 'maxBytes', maxBytes);
  const checkSize = (method: string, name: string, size: number): void => {
    if (size > maxBytes)
      throw new RangeError(`${call}.${method}: ${name} has ${inWords(size, 'byte')}, more than maxBytes ${maxBytes}`);
  };
  return {
    async put(key, bytes) {
      checkKey(`${call}.put`, key);
      if (!(bytes instanceof Uint8Array)) throw wrongType(`${call}.put`, 'bytes', 'a Uint8Array', bytes);
      checkSize('put', 'bytes', bytes.length);
      await raw.write(key, Buffer.concat([digestOf(bytes), bytes]));
    },
    async get(key) {
      checkKey(`${call}.get`, key);
      const stored = await raw.read(key, DIGEST_BYTES + maxBytes);
      if (stored === undefined) return undefined;
      if (typeof stored === 'number') checkSize('get', `"${key}"`, stored - DIGEST_BYTES);
      // A copy begins at a multiple of 8 bytes, so that views of floats fit.
      else if (isWhole(stored)) return new Uint8Array(stored.subarray(DIGEST_BYTES));
      throw new Error(`${call}.get: the bytes of "${key}" are damaged: their checksum differs`);
    },
    async has(key) {
      checkKey(`${call}.has`, key);
      return raw.has(key);
    },
    async delete(keys) {
      checkArray(`${call}.delete`, 'keys', keys);
      for (const key of keys) checkKey(`${call}.delete`, key);
      if (keys.length > 0) await raw.delete(keys);
    },
  };
}

function isWhole(stored: Uint8Array): boolean {
  const [digest, bytes] = [stored.subarray(0, DIGEST_BYTES), stored.subarray(DIGEST_BYTES)];
  return digest.length === DIGEST_BYTES && timingSafeEqual(digest, digestOf(bytes));
}

function digestOf(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

function checkKey(call: string, key: unknown): asserts key is string {
  if (typeof key !== 'string') throw wrongType(call, 'key', 'a string', key);
  if (key.length === 0 || key.length > MOST_KEY_LENGTH)
    throw new RangeError(`${call}: key must have 1 to ${MOST_KEY_LENGTH} characters, got ${key.length}`);
  if (/\p{Surrogate}/u.test(key)) throw new RangeError(`${call}: key has half of a surrogate pair: ${describe(key)}`);
}

export function checkBlobs(call: string, blobs: unknown): asserts blobs is Blobs {
  checkObject(call, 'blobs', blobs);
  for (const method of ['put', 'get', 'has', 'delete'])
    if (typeof blobs[method] !== 'function')
      throw wrongType(call, `blobs.${method}`, 'a function, as redisBlobs and folderBlobs have', blobs[method]);
}

/** Float32 numbers as bytes. A view, no copy. */
export function bytesOf(flat: Float32Array): Uint8Array {
  return new Uint8Array(flat.buffer, flat.byteOffset, flat.byteLength);
}
