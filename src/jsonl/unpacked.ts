import { DamagedGzip, gunzip } from '#platform/gunzip';
import { joinBytes } from '../internal/bytes.js';
import { seemsToBe } from '../internal/seems.js';

/** What a stream gives: bytes or text. */
export type Chunk = Uint8Array | string;

type Chunks = AsyncGenerator<Chunk, void, undefined>;

/** As many bytes tell all formats apart that are recognised. */
const HEAD = 24;

/**
 * The stream, decompressed if it starts as gzip does. It is closed when the loop over it ends.
 *
 * @param label Which stream it is, for messages.
 * @throws RangeError that says what the stream seems to be where that can be no JSON Lines.
 */
export async function* unpacked(stream: AsyncIterable<Chunk>, label: string): Chunks {
  const chunks = passed(stream);
  try {
    const { head, whole } = await peeked(chunks);
    yield* isGzip(head) ? gunzipped(whole, label) : linesOnly(whole, seemsToBe(head), label);
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

/** The stream's first bytes, and the stream whole. */
async function peeked(chunks: Chunks): Promise<{ head: Uint8Array; whole: Chunks }> {
  const start = await startOf(chunks);
  const head = joinBytes(start.filter(chunk => chunk instanceof Uint8Array));
  return { head, whole: joined(start, chunks) };
}

function isGzip(head: Uint8Array): boolean {
  return head[0] === 0x1f && head[1] === 0x8b;
}

/** The stream, unless it seems to be something else than JSON Lines. */
function linesOnly(chunks: Chunks, seems: string | undefined, label: string): Chunks {
  if (seems !== undefined) throw new RangeError(`readJsonl: source${label} seems to be ${seems}`);
  return chunks;
}

async function* joined(start: readonly Chunk[], rest: Chunks): Chunks {
  yield* start;
  yield* rest;
}

/** The bytes of gzip. Where they are UTF-16, gzip again or another format, the error says so. */
async function* gunzipped(packed: Chunks, label: string): Chunks {
  try {
    const { head, whole } = await peeked(gunzip(packed as AsyncIterable<Uint8Array>));
    const seems = isGzip(head) ? 'gzip inside gzip; decompress it once' : seemsToBe(head);
    yield* linesOnly(whole, seems, label);
  } catch (cause) {
    if (!(cause instanceof DamagedGzip)) throw cause;
    throw new RangeError(`readJsonl: source${label} is damaged gzip: ${cause.message}`, { cause });
  }
}
