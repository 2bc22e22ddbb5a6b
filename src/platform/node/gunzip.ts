import { pipeline, Readable } from 'node:stream';

/** Decompressed gzip. @throws {@link DamagedGzip}, and what the source throws, while reading. */
export async function* gunzip(packed: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  const { createGunzip } = await import('node:zlib');
  try {
    // Errors of the source come out of the last stream, where they are thrown.
    yield* pipeline(Readable.from(packed), createGunzip(), () => {});
  } catch (cause) {
    // The codes of zlib: a file that is cut off, or damaged.
    if (cause instanceof Error && 'code' in cause && String(cause.code).startsWith('Z_'))
      throw new DamagedGzip(cause.message, { cause });
    throw cause;
  }
}

export class DamagedGzip extends Error {}
