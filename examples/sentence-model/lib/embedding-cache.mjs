import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { writeWhole } from './files.mjs';

// Format of the file: MAGIC, `dim` and the number of entries as uint32, the SHA-256 of the entries, then the entries.
// An entry is a key of 16 bytes and `dim` int16 numbers. Rows have unit length, so their numbers are between -1 and 1,
// and int16 keeps them to 1.5e-5. 512 numbers take 1 KiB, where JSON takes 10.
const MAGIC = Buffer.from('embeddings 1\n\0\0\0');
const HEADER_BYTES = MAGIC.length + 8 + 32;
const KEY_BYTES = 16;
const SCALE = 32_767;

/** A long run saves its rows this often, so that an interrupted run does not lose all of them. */
const SAVE_INTERVAL_MS = 20_000;

/**
 * An encoder that stores its rows in a file, by model and text. A row that is read from the file has the same numbers
 * as the row that was computed.
 *
 * @param encoder `{ name, dim, embed(texts) }` with rows of unit length.
 * @param path The file. `save` creates it. A damaged file is replaced.
 * @returns `{ name, dim, computed, embed(texts), save() }`. `embed` returns one Float32Array per text, so the result
 *   fits `embedder` of `DataPreprocessor`. `computed` counts the texts that were not in the file.
 */
export async function cachedEncoder(encoder, path) {
  const { name, dim } = encoder;
  const rows = await readEntries(path, dim);
  const keyOf = text => createHash('sha256').update(`${name}\n${text}`).digest('latin1').slice(0, KEY_BYTES);
  let unsaved = 0;
  let lastSaved = performance.now();

  async function embed(texts) {
    const keys = texts.map(keyOf);
    const missing = new Map(keys.map((key, i) => [key, texts[i]]).filter(([key]) => !rows.has(key)));
    if (missing.size > 0) {
      const computed = await encoder.embed([...missing.values()]);
      for (const [i, key] of [...missing.keys()].entries()) rows.set(key, pack(computed[i]));
      unsaved += missing.size;
      cached.computed += missing.size;
      if (performance.now() - lastSaved > SAVE_INTERVAL_MS) await save();
    }
    return keys.map(key => unpack(rows.get(key)));
  }

  async function save() {
    if (unsaved > 0) await writeWhole(path, entriesOf(rows, dim));
    unsaved = 0;
    lastSaved = performance.now();
  }

  const cached = { name, dim, computed: 0, embed, save };
  return cached;
}

function pack(row) {
  return Int16Array.from(row, value => Math.round(SCALE * value));
}

function unpack(packed) {
  return Float32Array.from(packed, value => value / SCALE);
}

function entriesOf(rows, dim) {
  const body = Buffer.concat(
    [...rows].flatMap(([key, packed]) => [Buffer.from(key, 'latin1'), Buffer.from(packed.buffer)]),
  );
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header);
  header.writeUInt32LE(dim, MAGIC.length);
  header.writeUInt32LE(rows.size, MAGIC.length + 4);
  digestOf(body).copy(header, MAGIC.length + 8);
  return Buffer.concat([header, body]);
}

async function readEntries(path, dim) {
  const rows = new Map();
  let bytes;
  try {
    bytes = await readFile(path);
  } catch (error) {
    if (error.code === 'ENOENT') return rows;
    throw error;
  }
  const entryBytes = KEY_BYTES + 2 * dim;
  const body = bytes.subarray(HEADER_BYTES);
  const isWhole =
    bytes.length >= HEADER_BYTES &&
    bytes.subarray(0, MAGIC.length).equals(MAGIC) &&
    bytes.readUInt32LE(MAGIC.length) === dim &&
    bytes.readUInt32LE(MAGIC.length + 4) * entryBytes === body.length &&
    digestOf(body).equals(bytes.subarray(MAGIC.length + 8, HEADER_BYTES));
  if (!isWhole) {
    console.error(`"${path}" is not a whole file of rows of ${dim} numbers; all embeddings are computed anew`);
    return rows;
  }
  for (let start = 0; start < body.length; start += entryBytes) {
    const key = body.toString('latin1', start, start + KEY_BYTES);
    rows.set(key, new Int16Array(Uint8Array.from(body.subarray(start + KEY_BYTES, start + entryBytes)).buffer));
  }
  return rows;
}

function digestOf(bytes) {
  return createHash('sha256').update(bytes).digest();
}
