// Embeds a corpus on several workers, and writes a safetensors file for each shard.
//
//   node embed.mjs --workers 2 --data pairs.jsonl --out embeddings

import { mkdir, readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { splitJsonl } from 'microlora-training-utils';
import { mapShards } from 'microlora-training-utils/bullmq';
import { writeWhole } from '../sentence-model/lib/files.mjs';
import { countOf, withWorkers } from './lib/cluster.mjs';
import { encoder } from './lib/encoder.mjs';

const NAME = `node embed.mjs: embeds pairs with the sentence model on several workers.

  --data <file>   JSON Lines of { "input": "...", "output": "..." } (default: faq.jsonl of ../sentence-model)
  --rows <n>      most pairs of a shard (default: 100)
  --out <folder>  where the shards go (default: embeddings)`;
const FLAGS = {
  data: { type: 'string', default: fileURLToPath(new URL('../sentence-model/faq.jsonl', import.meta.url)) },
  rows: { type: 'string', default: '100' },
  out: { type: 'string', default: 'embeddings' },
};

await withWorkers(NAME, FLAGS, async ({ queue, blobs, signal, flags }) => {
  const path = resolve(flags.data);
  const start = performance.now();
  const parts = await splitJsonl(path, { rows: countOf(flags, 'rows') });
  const { mtimeMs: changed } = await stat(path); // A changed file has other shards, also if its ranges are the same.
  const files = parts.map((_, i) => `shard-${String(i).padStart(5, '0')}.safetensors`);
  await mkdir(flags.out, { recursive: true });
  const other = (await readdir(flags.out)).find(name => name.endsWith('.safetensors') && !files.includes(name));
  if (other) throw new Error(`--out has ${other} of another run`);

  const shards = parts.map(({ from, to }) => ({ path, changed, from, to, model: encoder.name }));
  const results = await mapShards(queue, 'embed', shards, {
    blobs,
    signal,
    onProgress: ({ done, total }) => console.log(`${done} of ${total} shards`),
  });
  for (const [i, { blob }] of results.entries()) await writeWhole(join(flags.out, files[i]), await blobs.get(blob));
  await blobs.delete(results.map(({ blob }) => blob));
  const rows = parts.reduce((sum, part) => sum + part.rows, 0);
  const seconds = (performance.now() - start) / 1000;
  console.log(`${rows} rows in ${seconds.toFixed(1)} s, ${(rows / seconds).toFixed(1)} rows per second`);
});
