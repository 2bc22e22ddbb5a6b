import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Queue } from 'bullmq';
import { readTensors, splitJsonl } from 'microlora-training-utils';
import { QUEUE, startRedis } from '../lib/cluster.mjs';
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
  assert.deepEqual(files, ['shard-00000.safetensors', 'shard-00001.safetensors', 'shard-00002.safetensors']);
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

test('embed.mjs finds the shards of a run that failed', async t => {
  const { data, out } = await corpus(t, 6);
  const ends = [];
  t.after(async () => {
    for (const end of ends.reverse()) await end();
  });
  const url = await startRedis(ends);
  const flags = ['--workers', '1', '--redis', url, '--data', data, '--rows', '3', '--out', out];
  const inTheWay = join(out, 'shard-00001.safetensors');
  await mkdir(inTheWay, { recursive: true });
  const failed = start('embed.mjs', ...flags);
  assert.equal(await failed.ended, 1, failed.output);
  assert.match(failed.output, /EISDIR/);

  await rmdir(inTheWay);
  const between = Date.now();
  const run = start('embed.mjs', ...flags);
  assert.equal(await run.ended, 0, run.output);
  assert.equal((await readdir(out)).length, 2);
  const queue = new Queue(QUEUE, { connection: { url } });
  ends.push(() => queue.close());
  const jobs = await queue.getCompleted();
  assert.equal(jobs.length, 2);
  for (const { finishedOn } of jobs) assert.ok(finishedOn < between);
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
