import { charactersOf } from './characters.js';

export function toBase64(bytes: Uint8Array): string {
  return btoa(charactersOf(bytes));
}

/** The bytes of base64; none where the text is not base64. */
export function fromBase64(text: string): Uint8Array {
  try {
    return Uint8Array.from(atob(text), character => character.charCodeAt(0));
  } catch {
    return new Uint8Array(0);
  }
}
