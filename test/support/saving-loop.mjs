// Saves parts with one repeated number in a loop. A reader can then tell whether writers of one path mix their files.
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
