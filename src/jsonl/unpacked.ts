import { pipeline, Readable } from 'node:stream';
import { seemsToBe } from '../internal/seems.js';

/** What a stream gives: bytes or text. */
export type Chunk = Uint8Array | string;

type Chunks = AsyncGenerator<Chunk, void, undefined>;

/** As many bytes tell all formats apart that are recognised. */
const HEAD = 24;

/**
 * The stream, decompressed where it starts as gzip does. It is closed however the loop over it ends.
 *
 * @param label Which stream it is, for messages.
 * @throws RangeError that says what the stream seems to be where that can be no JSON Lines.
 */
export async function* unpacked(stream: AsyncIterable<Chunk>, label: string): Chunks {
  const chunks = passed(stream);
  try {
    const start = await startOf(chunks);
    const head = Buffer.concat(start.filter(chunk => chunk instanceof Uint8Array));
    const whole = joined(start, chunks);
    const isGzip = head[0] === 0x1f && head[1] === 0x8b;
    const advice = isGzip ? undefined : seemsToBe(head);
    if (advice !== undefined) throw new RangeError(`readJsonl: source${label} seems to be ${advice}`);
    yield* isGzip ? gunzipped(whole, label) : whole;
  } finally {
    await chunks.return();
  }
}

async function* passed(stream: AsyncIterable<Chunk>): Chunks {
  for await (const chunk of stream) yield chunk;
}

/** Chunks until there are enough bytes, or one that is text. */
async function startOf(chunks: Chunks): Promise<Chunk[]> {
  const start: Chunk[] = [];
  let length = 0;
  while (length < HEAD) {
    const { done, value } = await chunks.next();
    if (done) break;
    start.push(value);
    if (!(value instanceof Uint8Array)) break;
    length += value.length;
  }
  return start;
}

async function* joined(start: readonly Chunk[], rest: Chunks): Chunks {
  yield* start;
  yield* rest;
}

/** The bytes of gzip. Where they are UTF-16, gzip again or another format, the error says so. */
async function* gunzipped(packed: Chunks, label: string): Chunks {
  const { createGunzip } = await import('node:zlib');
  try {
    // Errors of the source come out of the last stream, where they are thrown.
    const chunks: Chunks = pipeline(Readable.from(packed), createGunzip(), () => {})[Symbol.asyncIterator]() as Chunks;
    const start = await startOf(chunks);
    const head = Buffer.concat(start as Uint8Array[]);
    const isGzip = head[0] === 0x1f && head[1] === 0x8b;
    const advice = isGzip ? 'gzip inside gzip; decompress it once' : seemsToBe(head);
    if (advice !== undefined) throw new RangeError(`readJsonl: source${label} seems to be ${advice}`);
    yield* joined(start, chunks);
  } catch (cause) {
    // The codes of zlib: a file that is cut off, or damaged.
    if (!(cause instanceof Error && 'code' in cause && String(cause.code).startsWith('Z_'))) throw cause;
    throw new RangeError(`readJsonl: source${label} is damaged gzip: ${cause.message}`, { cause });
  }
}
