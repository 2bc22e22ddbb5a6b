import { readDomAndEcmaScriptPairs } from '../api-search/pairs.mjs';

/** Number of pairs that the page starts with. */
const PAIRS = 1500;

/** The first set of pairs: descriptions and signatures of TypeScript's declarations, read when the page is built. */
const firstPairs = {
  name: 'first-pairs',
  resolveId: id => (id === 'virtual:first-pairs' ? id : undefined),
  load(id) {
    if (id !== 'virtual:first-pairs') return undefined;
    const all = readDomAndEcmaScriptPairs();
    const step = all.length / PAIRS;
    const pairs = Array.from({ length: PAIRS }, (_, i) => all[Math.floor(i * step)]);
    return `export default ${JSON.stringify(pairs.map(({ input, output }) => JSON.stringify({ input, output })).join('\n'))}`;
  },
};

export default {
  base: './',
  plugins: [firstPairs],
  worker: { format: 'es' },
  build: { target: 'es2022', chunkSizeWarningLimit: 1500 },
};
