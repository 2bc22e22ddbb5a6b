import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { LRSchedulers } from '../src/index.js';

describe('pictures of the guides', () => {
  it.each(['schedules', 'recall'])('docs/%s.svg equals the output of its script', async name => {
    const kept = readFileSync(new URL(`../docs/${name}.svg`, import.meta.url), 'utf8');
    expect(kept === (await draw(name)), `node examples/${name}-picture.mjs > docs/${name}.svg`).toBe(true);
  });

  it('docs/schedules.svg shows every schedule', async () => {
    const titles = Array.from((await draw('schedules')).matchAll(/<text class="name"[^>]*>(\w+)</g), match => match[1]);
    expect(titles.sort()).toEqual([...Object.keys(LRSchedulers), 'ReduceLROnPlateau', 'sequence'].sort());
  });
});

async function draw(name: string): Promise<string> {
  const script = fileURLToPath(new URL(`../examples/${name}-picture.mjs`, import.meta.url));
  return (await promisify(execFile)(process.execPath, [script])).stdout;
}
