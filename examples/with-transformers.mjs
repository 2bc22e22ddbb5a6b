// Uses a transformers.js model as embedder, and prints the answer that is nearest to each question.
//
//   npm install @huggingface/transformers
//   node examples/with-transformers.mjs [model]
//
// The model is downloaded once. By default it is Xenova/all-MiniLM-L6-v2 (384 floats per row).

import { pathToFileURL } from 'node:url';
import { DataPreprocessor, LossComputer } from 'microlora-training-utils';

/**
 * Makes an embedder from a feature-extraction pipeline. A text's row is the mean over its tokens, scaled to length 1.
 */
export function embedderFrom(extractor) {
  return async texts => {
    const tensor = await extractor(texts, { pooling: 'mean', normalize: true });
    return tensor.tolist(); // one row of numbers per text
  };
}

const PAIRS = [
  { input: 'List the files of a folder', output: 'ls -la' },
  { input: 'Show how much space is left on the disk', output: 'df -h' },
  { input: 'Find text in all files below here', output: 'grep -r text .' },
];

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { pipeline } = await import('@huggingface/transformers').catch(error => {
    if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
    console.error('with-transformers: @huggingface/transformers is missing; npm install @huggingface/transformers');
    process.exit(1);
  });
  const extractor = await pipeline('feature-extraction', process.argv[2] ?? 'Xenova/all-MiniLM-L6-v2');
  const preprocessor = new DataPreprocessor({ embedder: embedderFrom(extractor), embedBatchSize: 32 });
  const rows = await preprocessor.process(PAIRS);
  for (const { input, inputEmb } of rows) {
    const score = row => LossComputer._cosineSimilarity(inputEmb, row.outputEmb);
    const [nearest] = [...rows].sort((a, b) => score(b) - score(a));
    console.log(`${input} → ${nearest.output} (${score(nearest).toFixed(2)})`);
  }
  await extractor.dispose();
}
