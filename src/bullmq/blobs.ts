import { createHash, timingSafeEqual } from 'node:crypto';
import { inWords, wrongType } from '../internal/validate/messages.js';
import { checkObject } from '../internal/validate/option-checks.js';

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
export const MOST_KEY_LENGTH = 500;

/** Bytes of a SHA-256 digest. */
const DIGEST = 32;
/** Bytes that {@link sealed} adds. */
export const SEAL_BYTES = DIGEST;

/** The bytes with their SHA-256 digest in front. */
export function sealed(bytes: Uint8Array): Buffer {
  return Buffer.concat([digestOf(bytes), bytes]);
}

/** The bytes of {@link sealed}. @throws Error if they are damaged. */
export function unsealed(call: string, key: string, stored: Uint8Array): Uint8Array {
  const bytes = stored.subarray(DIGEST);
  const isWhole = stored.length >= DIGEST && timingSafeEqual(stored.subarray(0, DIGEST), digestOf(bytes));
  if (!isWhole) throw new Error(`${call}: the bytes of "${key}" are damaged: their checksum differs`);
  return bytes;
}

function digestOf(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

export function checkKey(call: string, key: unknown): asserts key is string {
  if (typeof key !== 'string') throw wrongType(call, 'key', 'a string', key);
  if (key.length === 0 || key.length > MOST_KEY_LENGTH)
    throw new RangeError(`${call}: key must have 1 to ${MOST_KEY_LENGTH} characters, got ${key.length}`);
}

export function checkBytes(call: string, bytes: unknown, maxBytes: number): asserts bytes is Uint8Array {
  if (!(bytes instanceof Uint8Array)) throw wrongType(call, 'bytes', 'a Uint8Array', bytes);
  checkSize(call, 'bytes', bytes.length, maxBytes);
}

export function checkSize(call: string, name: string, size: number, maxBytes: number): void {
  if (size > maxBytes)
    throw new RangeError(`${call}: ${name} has ${inWords(size, 'byte')}, more than maxBytes ${maxBytes}`);
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
