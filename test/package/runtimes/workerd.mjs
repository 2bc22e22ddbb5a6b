// `node workerd.mjs <bundle> [<kernels.wasm>]`: trains in workerd, with a compiled module where one is given. Prints what
// was returned and the warnings as JSON.

import { readFileSync } from 'node:fs';
import { Miniflare } from 'miniflare';

const [bundle, wasm] = process.argv.slice(2);
const main = `
  import { twentySteps, useKernelModule } from './bundle.mjs';
  ${wasm ? `import module from './kernels.wasm';` : 'const module = undefined;'}
  const logged = [];
  console.warn = line => logged.push(line);
  export default {
    async fetch() {
      if (module) useKernelModule(module);
      return Response.json({ ...(await twentySteps()), logged });
    },
  };`;
const modules = [
  { type: 'ESModule', path: 'main.mjs', contents: main },
  { type: 'ESModule', path: 'bundle.mjs', contents: readFileSync(bundle, 'utf8') },
  ...(wasm ? [{ type: 'CompiledWasm', path: 'kernels.wasm', contents: readFileSync(wasm) }] : []),
];
const miniflare = new Miniflare({ compatibilityDate: '2026-01-01', modules });
const response = await miniflare.dispatchFetch('http://localhost/');
const text = await response.text();
await miniflare.dispose();
if (!response.ok) throw new Error(text);
console.log(text);
