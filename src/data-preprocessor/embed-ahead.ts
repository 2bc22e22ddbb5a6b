import { checkArray, checkFinite, checkVector, describe } from '../internal/validate.js';
import type { Float32Row } from '../types.js';
import type { DataPreprocessorConfig, Embedder, EmbedderObject } from './options.js';
import type { Run } from './run.js';
import { toUnitLength } from './unit-length.js';

/** Rows of a caller's embedder for all texts of a chunk: cached ones, and new ones for the others. */
export async function embedAhead(
  embedder: Embedder,
  texts: ReadonlySet<string>,
  cache: Map<string, Float32Array>,
  config: DataPreprocessorConfig,
  run: Run,
): Promise<Map<string, Float32Array>> {
  const embedded = new Map<string, Float32Array>();
  const embed = async (missing: readonly string[]): Promise<void> => {
    for (let start = 0; start < missing.length; start += config.embedBatchSize) {
      const batch = missing.slice(start, start + config.embedBatchSize);
      // A copy, as the embedder may keep or change what it is given.
      const returned = await run.pace.untilAborted(embedder([...batch]));
      const rows = checkedRows(run.call, returned, batch, config.embeddingDim ?? run.rowLength);
      run.rowLength = rows[0]!.length;
      for (const [i, row] of rows.entries()) {
        embedded.set(batch[i]!, config.normalizeEmbeddings ? toUnitLength(row) : row);
      }
      if (run.pace.isDue()) await run.pace.pause();
    }
  };
  const missing: string[] = [];
  for (const text of texts) {
    // What is cached now may have left by the time it is needed.
    const cached = cache.get(text);
    if (cached) embedded.set(text, cached);
    else missing.push(text);
  }
  // As long as no length is settled, the cached rows may be a failed call's and of another one: the embedder tells.
  const isSettled = (config.embeddingDim ?? run.rowLength) !== undefined;
  const [probe] = texts;
  if (!isSettled && missing.length === 0 && probe !== undefined) {
    cache.delete(probe);
    missing.push(probe);
  }
  await embed(missing);
  const dim = config.embeddingDim ?? run.rowLength;
  const stale = [...texts].filter(text => embedded.get(text)!.length !== dim);
  for (const text of stale) cache.delete(text);
  await embed(stale);
  return embedded;
}

/** The row of one text, where the embedder's method gives it at once. */
export function embedOne(embedder: EmbedderObject, text: string, config: DataPreprocessorConfig): Float32Row {
  const returned = embedder.embed([text]);
  if (typeof (returned as PromiseLike<unknown> | undefined)?.then === 'function') {
    // Nobody waits for it.
    Promise.resolve(returned).catch(() => {});
    throw notEmbedded(text);
  }
  const [row] = checkedRows('_embed', returned, [text], config.embeddingDim);
  return config.normalizeEmbeddings ? toUnitLength(row!) : row!;
}

export function notEmbedded(text: string): Error {
  return new Error(`_embed: ${describe(text)} is not embedded yet; the embedder runs in process()`);
}

/** Copies of the rows as float32, in which larger numbers than its largest are not finite. */
function checkedRows(call: string, rows: unknown, texts: readonly string[], dim: number | undefined): Float32Row[] {
  const embedder = `${call}: embedder`;
  checkArray(embedder, 'its result', rows);
  if (rows.length !== texts.length)
    throw new RangeError(`${embedder} returned ${rows.length} rows for ${texts.length} texts`);
  let expected = dim;
  // `map` would pass over the holes of a sparse array.
  return Array.from(rows, (row, i) => {
    const name = `row ${i} (${describe(texts[i])})`;
    checkVector(embedder, name, row);
    const copy = new Float32Array(row);
    checkFinite(embedder, name, copy);
    expected ??= row.length;
    if (row.length !== expected)
      throw new RangeError(`${embedder}: ${name} has ${row.length} entries, expected ${expected}`);
    return copy;
  });
}
