import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { LRSchedulers } from '../src/index.js';

const examples = new URL('../examples/', import.meta.url);

describe('the picture of all schedules', () => {
  let drawn: string;
  beforeAll(async () => {
    const script = fileURLToPath(new URL('schedules-picture.mjs', examples));
    drawn = (await promisify(execFile)(process.execPath, [script])).stdout;
  });

  it('is the one that the functions give', () => {
    const kept = readFileSync(new URL('schedules.svg', examples), 'utf8');
    expect(kept === drawn, 'node examples/schedules-picture.mjs > examples/schedules.svg').toBe(true);
  });

  it('shows every schedule', () => {
    const titles = Array.from(drawn.matchAll(/<text class="name"[^>]*>(\w+)</g), match => match[1]);
    expect(titles.sort()).toEqual([...Object.keys(LRSchedulers), 'ReduceLROnPlateau', 'sequence'].sort());
  });
});
