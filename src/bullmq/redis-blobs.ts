import { checkKnownNames } from '../internal/known-names.js';
import { wrongType } from '../internal/validate/messages.js';
import { checkCount, checkObject } from '../internal/validate/option-checks.js';
import {
  type Blobs,
  checkBytes,
  checkKey,
  checkSize,
  DEFAULT_MAX_BYTES,
  SEAL_BYTES,
  sealed,
  unsealed,
} from './blobs.js';
import { untilConnected } from './until-connected.js';

/** What `redisBlobs` needs of a client. A client of the package `ioredis` has it. */
export interface RedisClient {
  set(key: string, value: Buffer, expiry: 'EX', seconds: number): Promise<unknown>;
  getrangeBuffer(key: string, start: number, end: number): Promise<Buffer>;
  strlen(key: string): Promise<number>;
  del(...keys: string[]): Promise<number>;
}

export interface RedisBlobsOptions {
  /**
   * Seconds until bytes are deleted. Each `put` starts them anew.
   *
   * @default 86400, a day
   */
  ttlSeconds?: number;
  /**
   * Most bytes of one value, in both directions. Redis itself takes up to 512 MiB.
   *
   * @default 256 MiB
   */
  maxBytes?: number;
  /**
   * What the keys in Redis begin with.
   *
   * @default 'blobs:'
   */
  prefix?: string;
}

/**
 * A store of bytes in Redis. Values are binary, have a checksum, and expire. No more than `maxBytes` are read of a value.
 *
 * @param client A client of `ioredis`.
 * @throws TypeError or RangeError for wrong arguments.
 */
export function redisBlobs(client: RedisClient, options: RedisBlobsOptions = {}): Blobs {
  const call = 'redisBlobs';
  checkObject(call, 'client', client);
  for (const method of ['set', 'getrangeBuffer', 'strlen', 'del'] as const)
    if (typeof client[method] !== 'function')
      throw wrongType(call, `client.${method}`, 'a function, as a client of ioredis has', client[method]);
  checkKnownNames(call, options, ['ttlSeconds', 'maxBytes', 'prefix']);
  const { ttlSeconds = 86_400, maxBytes = DEFAULT_MAX_BYTES, prefix = 'blobs:' } = options;
  checkCount(call, 'ttlSeconds', ttlSeconds);
  checkCount(call, 'maxBytes', maxBytes);
  if (typeof prefix !== 'string') throw wrongType(call, 'prefix', 'a string', prefix);

  return {
    async put(key, bytes) {
      checkKey(`${call}.put`, key);
      checkBytes(`${call}.put`, bytes, maxBytes);
      await untilConnected(() => client.set(prefix + key, sealed(bytes), 'EX', ttlSeconds));
    },
    async get(key) {
      checkKey(`${call}.get`, key);
      // One byte more than is allowed shows that there is more.
      const stored = await untilConnected(() => client.getrangeBuffer(prefix + key, 0, SEAL_BYTES + maxBytes));
      if (stored.length === 0) return undefined;
      if (stored.length > SEAL_BYTES + maxBytes) {
        const size = await untilConnected(() => client.strlen(prefix + key));
        checkSize(`${call}.get`, `"${key}"`, size - SEAL_BYTES, maxBytes);
      }
      return unsealed(`${call}.get`, key, stored);
    },
    async has(key) {
      checkKey(`${call}.has`, key);
      return (await untilConnected(() => client.strlen(prefix + key))) > 0;
    },
    async delete(keys) {
      for (const key of keys) checkKey(`${call}.delete`, key);
      if (keys.length > 0) await untilConnected(() => client.del(...keys.map(key => prefix + key)));
    },
  };
}
