import type * as Crypto from 'node:crypto';
import { load } from './load.js';

let crypto: typeof Crypto | undefined;

/** The 32 bytes of the SHA-256, as characters. A text is hashed as UTF-8. */
export function sha256(data: string | Uint8Array): string {
  // With it, this package takes a fifth longer to import.
  crypto ??= load('node:crypto') as typeof Crypto;
  // From Node 20.12 on there is `hash`, which takes a third of the time.
  return crypto.hash
    ? crypto.hash('sha256', data, 'binary')
    : crypto.createHash('sha256').update(data).digest('binary');
}
