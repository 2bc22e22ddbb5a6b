import { sha256 as hashOf } from '@noble/hashes/sha2.js';
import { charactersOf } from './characters.js';

/** The 32 bytes of the SHA-256, as characters. A text is hashed as UTF-8. */
export function sha256(data: string | Uint8Array): string {
  return charactersOf(hashOf(typeof data === 'string' ? new TextEncoder().encode(data) : data));
}
