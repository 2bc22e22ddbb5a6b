import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readTensors, splitJsonl } from 'microlora-training-utils';
import { encoder } from '../lib/encoder.mjs';
import embed from '../tasks/embed.mjs';

function start(...args) {
  const [script, ...flags] = args;
  const child = spawn(process.execPath, [fileURLToPath(new URL(`../${script}`, import.meta.url)), ...flags]);
  const run = { child, output: '' };
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', data => {
      run.output += data;
    });
  }
  run.ended = once(child, 'close').then(([code]) => code);
  return run;
}

test('train.mjs prints the same weights for two workers and one process', async () => {
  const run = start('train.mjs', '--workers', '2', '--steps', '3');
  assert.equal(await run.ended, 0, run.output);
  const hashes = Array.from(run.output.matchAll(/weights (\w{16})/g), match => match[1]);
  assert.equal(hashes.length, 2, run.output);
  assert.equal(hashes[0], hashes[1]);
});

test('train.mjs ends at Ctrl-C, and leaves no process behind', async () => {
  const run = start('train.mjs', '--workers', '1', '--steps', '1000');
  while (!run.output.includes('step 2')) await new Promise(resolve => setTimeout(resolve, 50));
  run.child.kill('SIGINT');
  assert.equal(await run.ended, 1);
  assert.match(run.output, /stopped\n$/);
});

/** A folder with the first pairs of the questions of `examples/sentence-model`. */
async function corpus(t, count) {
  const folder = await mkdtemp(join(tmpdir(), 'distributed-test-'));
  t.after(() => rm(folder, { recursive: true }));
  const lines = await readFile(new URL('../../sentence-model/faq.jsonl', import.meta.url), 'utf8');
  const pairs = lines.split('\n').slice(0, count);
  const data = join(folder, 'pairs.jsonl');
  await writeFile(data, pairs.join('\n'));
  return { data, out: join(folder, 'out'), pairs: pairs.map(line => JSON.parse(line)) };
}

test('embed.mjs writes the rows of one process', async t => {
  const { data, out, pairs } = await corpus(t, 25);
  const run = start('embed.mjs', '--workers', '2', '--data', data, '--rows', '10', '--out', out);
  assert.equal(await run.ended, 0, run.output);
  assert.match(run.output, /3 of 3 shards\n25 rows in /);

  const files = (await readdir(out)).sort();
  assert.equal(files.length, 3);
  for (const [i, file] of files.entries()) assert.match(file, new RegExp(`^shard-0000${i}-\\w{8}\\.safetensors$`));
  const shards = await Promise.all(files.map(file => readFile(join(out, file))));
  for (const [i, { from, to }] of (await splitJsonl(data, { rows: 10 })).entries()) {
    const alone = await embed({ path: data, from, to, model: encoder.name });
    assert.ok(shards[i].equals(alone), `the bits of ${files[i]} are those of one process`);
  }

  // The model pads texts to the longest of their batch. So the last bits depend on the batch.
  const tensors = shards.map(bytes => readTensors(bytes).tensors);
  for (const side of ['input', 'output']) {
    const whole = (await encoder.embed(pairs.map(pair => pair[side]))).flat();
    const rows = tensors.flatMap(file => [...file.get(`${side}s`).data]);
    assert.equal(rows.length, 25 * encoder.dim);
    for (const [i, value] of rows.entries()) assert.ok(Math.abs(value - whole[i]) < 1e-6);
  }
});

test('embed.mjs goes on after Ctrl-C, and embeds only what is missing', async t => {
  const { data, out } = await corpus(t, 20);
  const flags = ['--workers', '1', '--data', data, '--rows', '1', '--out', out];
  const stopped = start('embed.mjs', ...flags);
  while (!stopped.output.includes('1 of 20 shards')) await new Promise(resolve => setTimeout(resolve, 10));
  stopped.child.kill('SIGINT');
  assert.equal(await stopped.ended, 1, stopped.output);
  const before = await readdir(out);
  assert.ok(before.length >= 1 && before.length < 20, stopped.output);

  const missing = 20 - before.length;
  for (const rows of [missing, 0]) {
    const run = start('embed.mjs', ...flags);
    assert.equal(await run.ended, 0, run.output);
    assert.match(run.output, new RegExp(`(^|\\n)${rows} rows in `));
  }
  assert.equal((await readdir(out)).length, 20);

  const other = start('embed.mjs', ...flags.with(flags.indexOf('--rows') + 1, '2'));
  assert.equal(await other.ended, 1);
  assert.match(other.output, /^--out has shard-\d{5}-\w{8}.safetensors of another run\n$/);
});

test('fisher.mjs gets the Fisher of one process from the shards', async () => {
  const run = start('fisher.mjs', '--workers', '2');
  assert.equal(await run.ended, 0, run.output);
  const [, difference] = /largest relative difference: (\S+)\n$/.exec(run.output);
  assert.ok(Number(difference) < 1e-6, run.output);
});

test('flags that cannot be are named', async () => {
  const run = start('sweep.mjs', '--workers', 'none');
  assert.equal(await run.ended, 1);
  assert.equal(run.output, '--workers must be a whole number from 1, not "none"\n');
});
