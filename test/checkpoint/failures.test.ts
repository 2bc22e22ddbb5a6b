import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { LoRAAdapter, loadCheckpoint, saveCheckpoint } from '../../src/index.js';

/** Replacements of functions of `node:fs`, by name. */
const broken = new Map<string, (...args: never[]) => unknown>();
const calls: string[] = [];

vi.mock('node:fs', async importOriginal => {
  const original = await importOriginal<typeof fs>();
  const watched = (name: keyof typeof fs): object => ({
    [name]: (...args: never[]) => {
      calls.push(name);
      const call = broken.get(name) ?? (original[name] as (...given: never[]) => unknown);
      return call(...args);
    },
  });
  const names = ['openSync', 'writeSync', 'fsyncSync', 'closeSync', 'renameSync', 'fchmodSync'] as const;
  return Object.assign({}, original, ...names.map(watched));
});

const folder = fs.mkdtempSync(join(tmpdir(), 'failures-'));
const path = join(folder, 'state');
afterAll(() => fs.rmSync(folder, { recursive: true }));
afterEach(() => {
  broken.clear();
  calls.length = 0;
});

const parts = (seed: number): { query: LoRAAdapter } => ({ query: new LoRAAdapter({ dim: 50, rank: 8, seed }) });
const failing = (): never => {
  throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
};

describe('when the file system fails in mid-save', () => {
  it.each(['writeSync', 'fsyncSync', 'renameSync', 'fchmodSync'])(
    'at %s, the earlier file stays, and no other file',
    name => {
      saveCheckpoint(path, parts(1));
      const before = fs.readFileSync(path);
      let left = name === 'writeSync' ? 1 : 0;
      const { writeSync } = fs;
      broken.set(name, (...args) => {
        if (left-- <= 0) return failing();
        // A full disk first writes a half.
        broken.delete(name);
        const [descriptor, bytes] = args as unknown as [number, Uint8Array];
        const written = writeSync(descriptor, bytes, 0, 100);
        broken.set(name, failing);
        return written;
      });
      expect(() => saveCheckpoint(path, parts(2))).toThrow('ENOSPC');
      expect(fs.readFileSync(path).equals(before)).toBe(true);
      expect(fs.readdirSync(folder)).toEqual(['state']);
    },
  );

  it('continues after writes of a few bytes', () => {
    const { writeSync } = fs;
    broken.set('writeSync', (...args) => {
      const [descriptor, bytes, offset] = args as unknown as [number, Uint8Array, number];
      const own = broken.get('writeSync')!;
      broken.delete('writeSync');
      const written = writeSync(descriptor, bytes, offset, Math.min(777, bytes.length - offset));
      broken.set('writeSync', own);
      return written;
    });
    saveCheckpoint(path, parts(3));
    broken.clear();
    const read = parts(4);
    loadCheckpoint(path, read);
    expect(read.query.stateDict()).toEqual(parts(3).query.stateDict());
  });

  it('works where the folder cannot be opened', () => {
    const { openSync } = fs;
    broken.set('openSync', (...args) => {
      const [file, flags] = args as unknown as [string, string];
      if (file === folder) return failing();
      const own = broken.get('openSync')!;
      broken.delete('openSync');
      const descriptor = openSync(file, flags);
      broken.set('openSync', own);
      return descriptor;
    });
    saveCheckpoint(path, parts(5));
    expect(fs.readdirSync(folder)).toEqual(['state']);
  });
});

it('syncs the file before the rename, and the folder after it', () => {
  fs.rmSync(path, { force: true });
  saveCheckpoint(path, parts(1));
  expect(calls).toEqual([
    'openSync',
    'writeSync',
    'fsyncSync',
    'closeSync',
    'renameSync',
    'openSync',
    'fsyncSync',
    'closeSync',
  ]);
});
