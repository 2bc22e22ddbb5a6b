// Mutation scores, part after part: `npm run mutation -- optimizers lora-adapter`. Without names, those of all parts.
// What starts with a dash, and all that follows, goes to Stryker: `-- optimizers --mutate src/optimizers.ts:70-75`.
import { spawnSync } from 'node:child_process';
import { existsSync, renameSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const PARTS = [
  'batch-generator',
  'ewc-manager',
  'gradient-checkpointer',
  'lora-adapter',
  'loss-computer',
  'lr-schedulers',
  'optimizers',
  'tasks',
];

const REPORT = 'reports/mutation/mutation.json';
const stryker = fileURLToPath(new URL('../../node_modules/@stryker-mutator/core/bin/stryker.js', import.meta.url));
const given = process.argv.slice(2);
const firstOption = given.findIndex(each => each.startsWith('-'));
const names = firstOption < 0 ? given : given.slice(0, firstOption);
const options = firstOption < 0 ? [] : given.slice(firstOption);
const unknown = names.find(name => !PARTS.includes(name));
if (unknown !== undefined) throw new RangeError(`no part ${unknown}; there are ${PARTS.join(', ')}`);

for (const part of names.length > 0 ? names : PARTS) {
  const mutate = [`src/${part}.ts`, `src/${part}/**/*.ts`, '!src/**/types.ts'].join(',');
  const { status } = spawnSync(
    process.execPath,
    [stryker, 'run', 'test/mutation/stryker.config.json', '--mutate', mutate, ...options],
    {
      stdio: 'inherit',
      env: { ...process.env, MUTATION_PART: part },
    },
  );
  if (status !== 0) process.exitCode = 1;
  else if (existsSync(REPORT)) renameSync(REPORT, `reports/mutation/${part}.json`);
}
