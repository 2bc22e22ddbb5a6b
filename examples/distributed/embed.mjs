// Embeds a corpus on several workers, and writes a safetensors file for each shard.
//
//   node embed.mjs --workers 2 --data pairs.jsonl --out embeddings

import { createHash } from 'node:crypto';
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
  const shards = parts.map(({ from, to }) => ({ path, changed, from, to, model: encoder.name }));
  const files = shards.map(fileOf);
  await mkdir(flags.out, { recursive: true });
  const there = (await readdir(flags.out)).filter(name => name.endsWith('.safetensors'));
  const other = there.find(name => !files.includes(name));
  if (other) throw new Error(`--out has ${other} of another run`);

  const missing = shards.map((_, i) => i).filter(i => !there.includes(files[i]));
  await mapShards(
    queue,
    'embed',
    missing.map(i => shards[i]),
    {
      blobs,
      signal,
      async onProgress({ index, result, done, total }) {
        console.log(`${done} of ${total} shards`);
        if (!result) return;
        await writeWhole(join(flags.out, files[missing[index]]), await blobs.get(result.blob));
        await blobs.delete([result.blob]);
      },
    },
  );
  const rows = missing.reduce((sum, i) => sum + parts[i].rows, 0);
  const seconds = (performance.now() - start) / 1000;
  console.log(`${rows} rows in ${seconds.toFixed(1)} s, ${(rows / seconds).toFixed(1)} rows per second`);
});

/** A name that no other shard has, so that a file says that its shard is done. */
function fileOf(shard, i) {
  const hash = createHash('sha256').update(JSON.stringify(shard)).digest('hex').slice(0, 8);
  return `shard-${String(i).padStart(5, '0')}-${hash}.safetensors`;
}
