// Runs through batches, logs each, and keeps the state on disk. A second start resumes.
//   node interrupted-loader.mjs <path without extension> [slowly]

import { appendFileSync, existsSync, readFileSync, renameSync, truncateSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { BatchGenerator } from '../../dist/index.js';

const [path, slowly] = process.argv.slice(2);
const data = Array.from({ length: 50 }, (_, i) => ({
  input: `in ${i % 31}`,
  output: `out ${i % 37}`,
  inputEmb: [Math.cos(i), Math.sin(i)],
  outputEmb: [Math.sin(2 * i), Math.cos(3 * i)],
}));
const batches = new BatchGenerator(data, {
  batchSize: 8,
  seed: 3,
  noDuplicates: true,
  negativeMining: { strategy: 'random' },
});
if (existsSync(`${path}.json`)) {
  const { logged, ...state } = JSON.parse(readFileSync(`${path}.json`, 'utf8'));
  batches.loadStateDict(state);
  // What was logged after the state was kept is done again.
  truncateSync(`${path}.log`, logged);
}
let logged = existsSync(`${path}.log`) ? readFileSync(`${path}.log`).length : 0;
for (const { epoch, step, batch } of batches.epochs(3)) {
  const line = `${JSON.stringify([epoch, step, batch.examples.map(({ input }) => input), batch.negatives])}\n`;
  appendFileSync(`${path}.log`, line);
  logged += line.length;
  writeFileSync(`${path}.new`, JSON.stringify({ ...batches.stateDict(), logged }));
  renameSync(`${path}.new`, `${path}.json`);
  if (slowly) {
    process.stdout.write(`${step}\n`);
    await sleep(20);
  }
}
