import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { sentenceEncoder } from '../lib/sentence-encoder.mjs';

test('the model loads while WebAssembly is slow to start', async () => {
  const { instantiate } = WebAssembly;
  WebAssembly.instantiate = async (...args) => {
    await sleep(1000);
    return instantiate(...args);
  };
  const { dim, embed } = sentenceEncoder();
  const [row] = await embed(['Where is the drill?']);
  assert.equal(row.length, dim);
});
