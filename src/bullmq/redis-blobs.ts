import { checkKnownNames } from '../internal/known-names.js';
import { wrongType } from '../internal/validate/messages.js';
import { checkCount, checkObject } from '../internal/validate/option-checks.js';
import { type Blobs, checkedBlobs, DEFAULT_MAX_BYTES } from './blobs.js';
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
  if (typeof prefix !== 'string') throw wrongType(call, 'prefix', 'a string', prefix);

  return checkedBlobs(call, maxBytes, {
    async write(key, stored) {
      await untilConnected(() => client.set(prefix + key, stored, 'EX', ttlSeconds));
    },
    async read(key, most) {
      // One byte more than is allowed shows that there is more.
      const stored = await untilConnected(() => client.getrangeBuffer(prefix + key, 0, most));
      if (stored.length > most) return untilConnected(() => client.strlen(prefix + key));
      return stored.length > 0 ? stored : undefined;
    },
    async has(key) {
      return (await untilConnected(() => client.strlen(prefix + key))) > 0;
    },
    async delete(keys) {
      await untilConnected(() => client.del(...keys.map(key => prefix + key)));
    },
  });
}
