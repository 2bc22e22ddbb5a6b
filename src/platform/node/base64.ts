export function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

/** The bytes of base64. Other characters are skipped or end it. */
export function fromBase64(text: string): Uint8Array {
  return Buffer.from(text, 'base64');
}
