// Compares checkpoints with JSON files of the same states, in time and in bytes.

import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AdamW, LoRAAdapter, loadCheckpoint, saveCheckpoint } from 'microlora-training-utils';
import { measure } from './measure.mjs';

export function runCheckpoint() {
  console.log('\ncheckpoint: an adapter of 384 and its AdamW state, saved and loaded');
  const folder = mkdtempSync(join(tmpdir(), 'bench-'));
  const [path, json] = [join(folder, 'state.safetensors'), join(folder, 'state.json')];
  for (const rank of [4, 32, 128]) {
    const query = new LoRAAdapter({ dim: 384, rank, seed: 1 });
    const optimizer = new AdamW(new Map([['query', query]]));
    const rows = Array.from({ length: 8 }, (_, i) => Float32Array.from({ length: 384 }, (_, j) => Math.sin(i * j)));
    for (let i = 0; i < 2; i++) {
      const { gradA, gradB } = query.trace(rows).backward(rows);
      optimizer.step(new Map([['query', { gradA, gradB }]]));
    }
    const parts = { query, optimizer };
    const save = measure({
      checkpoint: () => saveCheckpoint(path, parts),
      json: () => writeFileSync(json, JSON.stringify({ query, optimizer: optimizer.stateDict() })),
    });
    const load = measure({
      checkpoint: () => loadCheckpoint(path, parts),
      json: () => {
        const state = JSON.parse(readFileSync(json, 'utf8'));
        query.loadStateDict(state.query);
        optimizer.loadStateDict(state.optimizer);
      },
    });
    const sizes = [path, json].map(file => statSync(file).size);
    console.log(
      `rank ${rank}: ${(sizes[0] / 1e6).toFixed(2)} MB of ${(sizes[1] / 1e6).toFixed(2)} MB as JSON;`,
      `save ${save.checkpoint.toFixed(2)} ms (with fsync), JSON ${save.json.toFixed(2)} ms;`,
      `load ${load.checkpoint.toFixed(2)} ms, JSON ${load.json.toFixed(2)} ms`,
    );
  }
  rmSync(folder, { recursive: true });
}
