// Saves the same parts in a loop, all numbers of which are the same: reader tests whether writers of one path mix.
//   node saving-loop.mjs <path of the checkpoint> <the number>

import { saveCheckpoint } from '../../dist/index.js';

const [path, text] = process.argv.slice(2);
const value = Number(text);
const part = {
  // A different size for each writer.
  stateDict: () => ({ value, rows: Array.from({ length: 40 + 10 * value }, () => new Float32Array(500).fill(value)) }),
  loadStateDict: () => {},
};
process.stdout.write('ready\n');
for (;;) saveCheckpoint(path, { part });
