import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, mock, test } from 'node:test';
import { cachedEncoder } from '../lib/embedding-cache.mjs';

const TEXTS = ['one', 'two', 'three', 'one'];
let folder;
let path;
let notes;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'embedding-cache-'));
});
after(() => rm(folder, { recursive: true }));
beforeEach(async context => {
  path = join(folder, context.name.replaceAll(/\W+/g, '-'), 'embeddings');
  notes = mock.method(console, 'error', () => {}).mock;
});
afterEach(() => mock.restoreAll());

/** An encoder with a different row for each text. `asked` lists the texts that it embedded. */
function countingEncoder(name = 'model@1') {
  const asked = [];
  const embed = async texts => {
    asked.push(...texts);
    return texts.map(text => [Math.cos(text.length), Math.sin(text.length), 0, text.charCodeAt(0) / 256]);
  };
  return { name, dim: 4, embed, asked };
}

async function savedRows(texts = TEXTS) {
  const cached = await cachedEncoder(countingEncoder(), path);
  const rows = await cached.embed(texts);
  await cached.save();
  return rows;
}

test('returns the row of each text, and calls the model once per text', async () => {
  const encoder = countingEncoder();
  const cached = await cachedEncoder(encoder, path);
  const rows = await cached.embed(TEXTS);
  const expected = await countingEncoder().embed(TEXTS);
  for (const [i, row] of rows.entries()) {
    assert.ok(row instanceof Float32Array);
    row.forEach((value, j) => {
      assert.ok(Math.abs(value - expected[i][j]) < 2e-5, `row ${i}`);
    });
  }
  assert.deepEqual(encoder.asked, ['one', 'two', 'three']);
  assert.equal(cached.computed, 3);
});

test('returns the same numbers from the file, without the model', async () => {
  const rows = await savedRows();
  const encoder = countingEncoder();
  const cached = await cachedEncoder(encoder, path);
  assert.deepEqual(await cached.embed(TEXTS), rows);
  assert.deepEqual(encoder.asked, []);
  assert.equal(notes.callCount(), 0);
});

test('calls the model only for new texts, and keeps the old ones', async () => {
  await savedRows(['one', 'two']);
  const encoder = countingEncoder();
  const cached = await cachedEncoder(encoder, path);
  await cached.embed(['four', 'two']);
  await cached.save();
  assert.deepEqual(encoder.asked, ['four']);

  const later = countingEncoder();
  await (await cachedEncoder(later, path)).embed(['one', 'two', 'four']);
  assert.deepEqual(later.asked, []);
});

test('does not return the row of another model', async () => {
  await savedRows();
  const encoder = countingEncoder('model@2');
  await (await cachedEncoder(encoder, path)).embed(['one']);
  assert.deepEqual(encoder.asked, ['one']);
});

test('takes 16 bytes per text and two bytes per number', async () => {
  await savedRows();
  const { size } = await stat(path);
  await savedRows(['one', 'two', 'three', 'four', 'five']);
  assert.equal((await stat(path)).size - size, 2 * (16 + 2 * 4));
});

test('computes damaged rows again, and says so', async () => {
  await savedRows();
  const whole = await readFile(path);
  const flipped = at => whole.map((byte, i) => (i === at ? byte ^ 1 : byte));
  const damaged = [
    ...[0, 10, 56, whole.length - 1].map(length => whole.subarray(0, length)),
    ...[3, 16, 20, 30, 60, whole.length - 1].map(flipped),
    Buffer.concat([whole, Buffer.alloc(24)]),
  ];
  for (const bytes of damaged) {
    await writeFile(path, bytes);
    const encoder = countingEncoder();
    await (await cachedEncoder(encoder, path)).embed(TEXTS);
    assert.deepEqual(encoder.asked, ['one', 'two', 'three']);
  }
  assert.equal(notes.callCount(), damaged.length);
});

test('leaves no part of a file where it cannot write', async () => {
  const cached = await cachedEncoder(countingEncoder(), path);
  await cached.embed(TEXTS);
  await mkdir(join(path, 'a folder in its place'), { recursive: true });
  await assert.rejects(cached.save());
  assert.deepEqual(await readdir(join(path, '..')), ['embeddings']);
});
