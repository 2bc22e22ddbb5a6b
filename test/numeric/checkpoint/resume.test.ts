import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { loadCheckpoint, type Stateful, saveCheckpoint } from '../../../src/index.js';

const folder = mkdtempSync(join(tmpdir(), 'checkpoint-resume-'));
afterAll(() => rmSync(folder, { recursive: true }));

interface Training {
  partsOf(): Record<string, Stateful>;
  steps(parts: Record<string, Stateful>): Generator<number>;
}

const support = (name: string): string => fileURLToPath(new URL(`../../support/${name}`, import.meta.url));
const training = (await import(support('checkpointed-training.mjs'))) as Training;

/** All states as one text. */
function textOf(parts: Record<string, Stateful>): string {
  return JSON.stringify(Object.entries(parts).map(([name, part]) => [name, part.stateDict()]));
}

/** Runs steps, and returns the states after the last step. */
function trained(parts: Record<string, Stateful>, count: number): string {
  const steps = training.steps(parts);
  for (let i = 0; i < count; i++) steps.next();
  return textOf(parts);
}

/** A fixed sequence of numbers in [0, 1). */
function drawsOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function closed(child: ChildProcess): Promise<NodeJS.Signals | null> {
  return new Promise(resolve => child.on('close', (_, signal) => resolve(signal)));
}

describe('a stopped training resumes and reaches the same bits', () => {
  it('after any step', () => {
    const path = join(folder, 'any');
    const unbroken = training.partsOf();
    const steps = training.steps(unbroken);
    const [total, files] = [13, 14];
    for (let i = 0; i < files; i++) {
      saveCheckpoint(`${path}.${i}`, unbroken);
      if (i < total) steps.next();
    }
    const expected = textOf(unbroken);
    for (let i = 0; i < files; i++) {
      const resumed = training.partsOf();
      loadCheckpoint(`${path}.${i}`, resumed);
      expect(trained(resumed, total - i)).toBe(expected);
    }
  });

  it('after kills of its process at any moments, with a whole file each time', async () => {
    const path = join(folder, 'killed');
    const draw = drawsOf(11);
    let done = 0;
    for (let kills = 0; kills < 24; kills++) {
      const child = spawn(process.execPath, [support('checkpointed-training.mjs'), path], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const end = closed(child);
      let printed = '';
      child.stdout!.on('data', text => {
        printed += String(text);
      });
      await new Promise(resolve => child.stdout!.once('data', resolve));
      await sleep(draw() * 25);
      child.kill('SIGKILL');
      expect(await end).toBe('SIGKILL');

      const parts = training.partsOf();
      loadCheckpoint(path, parts);
      const { steps } = parts['keep']!.stateDict() as { steps: number };
      // It resumed, and lost no step that was reported as saved. The last line may be half a number.
      expect(steps).toBeGreaterThan(done);
      expect(steps).toBeGreaterThan(Number(printed.split('\n').at(-2)));
      done = steps;
    }
    const resumed = training.partsOf();
    loadCheckpoint(path, resumed);
    expect(textOf(resumed)).toBe(trained(training.partsOf(), done));
  });
});

it('several writers of one path do not mix their files', async () => {
  const path = join(folder, 'shared');
  const children = [1, 2, 3].map(value =>
    spawn(process.execPath, [support('saving-loop.mjs'), path, String(value)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    }),
  );
  const ends = children.map(closed);
  await Promise.all(children.map(child => new Promise(resolve => child.stdout!.once('data', resolve))));
  while (!existsSync(path)) await sleep(5);
  const seen = new Set<number>();
  const part = {
    stateDict: () => null,
    loadStateDict: ({ value, rows }: { value: number; rows: Float32Array[] }) => {
      seen.add(value);
      if (rows.length !== 40 + 10 * value || !rows.every(row => row.every(each => each === value)))
        throw new Error('mixed');
    },
  };
  for (let i = 0; i < 400 && (i < 100 || seen.size < 3); i++) {
    loadCheckpoint(path, { part });
    await sleep(1);
  }
  for (const child of children) child.kill('SIGKILL');
  for (const end of ends) expect(await end).toBe('SIGKILL');
  loadCheckpoint(path, { part });
  expect([...seen].sort()).toEqual([1, 2, 3]);
  // Files that killed writers may leave have names that tell their origin.
  const left = readdirSync(folder).filter(name => name.startsWith('.shared'));
  for (const name of left) expect(name).toMatch(/^\.shared\.[0-9a-f]{16}\.tmp$/);
  expect(readFileSync(path).length).toBeGreaterThan(50 * 500 * 4);
});
