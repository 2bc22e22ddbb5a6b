import { DataPreprocessor, readJsonl, writeTensors } from 'microlora-training-utils';
import { encoder } from '../lib/encoder.mjs';

/** Embeds the pairs in a range of bytes of a file, and returns a safetensors file with a row for each. */
export default async function embed({ path, from, to, model }) {
  if (model !== encoder.name) throw new Error(`this worker has the model ${encoder.name}, the coordinator ${model}`);
  const preprocessor = new DataPreprocessor({ embedder: encoder, tokens: false });
  const examples = await preprocessor.process(readJsonl(path, { from, to }));
  const inputs = matrixOf(examples.map(({ inputEmb }) => inputEmb));
  const outputs = matrixOf(examples.map(({ outputEmb }) => outputEmb));
  return writeTensors({ inputs, outputs }, { model, rows: String(examples.length) });
}

function matrixOf(rows) {
  const data = new Float32Array(rows.length * encoder.dim);
  for (const [i, row] of rows.entries()) data.set(row, i * encoder.dim);
  return { shape: [rows.length, encoder.dim], data };
}
