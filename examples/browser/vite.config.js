import { readNodePairs } from '../api-search/pairs.mjs';

/** The first set of pairs: descriptions and signatures of Node.js's declarations, read when the page is built. */
const firstPairs = {
  name: 'first-pairs',
  resolveId: id => (id === 'virtual:first-pairs' ? id : undefined),
  load(id) {
    if (id !== 'virtual:first-pairs') return undefined;
    const lines = readNodePairs().map(({ input, output }) => JSON.stringify({ input, output }));
    return `export default ${JSON.stringify(lines.join('\n'))}`;
  },
};

export default {
  base: './',
  plugins: [firstPairs],
  worker: { format: 'es' },
  build: { target: 'es2022', chunkSizeWarningLimit: 1500 },
};
