import { build } from 'esbuild';

const from = process.argv[2];
for (const [name, code] of [
  ['schedules', `import { LRSchedulers } from '${from}'; console.log(LRSchedulers.cosine(1,2,3))`],
  ['losses', `import { LossComputer } from '${from}'; console.log(LossComputer)`],
  [
    'train',
    `import { LossComputer, LoRAAdapter, AdamW } from '${from}'; console.log(LossComputer, LoRAAdapter, AdamW)`,
  ],
  ['all', `import * as all from '${from}'; console.log(all)`],
]) {
  const r = await build({
    stdin: { contents: code, resolveDir: '/work/wt/web' },
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'node',
    write: false,
    metafile: true,
  });
  const inputs = Object.entries(Object.values(r.metafile.outputs)[0].inputs)
    .map(([p, { bytesInOutput: b }]) => [b, p])
    .filter(([b]) => b > 0)
    .sort((a, b) => b[0] - a[0]);
  console.log(name, r.outputFiles[0].contents.length);
  for (const [b, p] of inputs.slice(0, +process.argv[3] || 0)) console.log('   ', b, p);
}
