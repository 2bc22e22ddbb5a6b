import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

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

test('flags that cannot be are named', async () => {
  const run = start('sweep.mjs', '--workers', 'none');
  assert.equal(await run.ended, 1);
  assert.equal(run.output, '--workers must be a whole number from 1, not "none"\n');
});
