import { createHash } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { LoRAAdapter, Retriever } from 'microlora-training-utils';
import { UserError } from './command-line.mjs';
import { cachedEncoder } from './embedding-cache.mjs';
import { writeWhole } from './files.mjs';

const ADAPTERS = 'adapters.safetensors';
const ANSWERS = 'answers.json';
const EMBEDDINGS = 'answers.embeddings';

/**
 * Saves everything that a search needs: the adapters, the answers, and the embeddings of the answers, which save time.
 * `answers.json` is written last and holds the hash of the adapters, so files of two runs are never mixed.
 *
 * @param encoder The encoder that has the embeddings of the answers.
 */
export async function saveModel(folder, { adapters, answers, encoder }) {
  const bytes = LoRAAdapter.toSafetensors(adapters);
  await rm(join(folder, EMBEDDINGS), { force: true });
  const embeddings = await cachedEncoder(encoder, join(folder, EMBEDDINGS));
  await embeddings.embed(answers);
  await embeddings.save();
  await writeWhole(join(folder, ADAPTERS), bytes);
  const description = { encoder: encoder.name, adapters: hashOf(bytes), answers };
  await writeWhole(join(folder, ANSWERS), `${JSON.stringify(description, null, 2)}\n`);
}

/**
 * The search over a saved model.
 *
 * @param encoder The sentence encoder that the adapters were trained on.
 * @returns `{ size, search(query, k) }`: the number of answers, and a function that returns `[{ answer, score }]`, best
 *   first.
 * @throws UserError when the folder does not hold a whole model, or holds a model of another encoder.
 */
export async function loadModel(folder, encoder) {
  const { bytes, description } = await readModel(folder);
  const { answers } = description;
  if (description.encoder !== encoder.name) {
    const trained = `"${folder}" was trained on ${description.encoder}`;
    throw new UserError(`${trained}, and ${encoder.name} is installed; train again`);
  }
  if (description.adapters !== hashOf(bytes)) {
    throw new UserError(`"${folder}" holds files of different runs; train again`);
  }
  const adapters = LoRAAdapter.fromSafetensors(bytes);
  const embeddings = await cachedEncoder(encoder, join(folder, EMBEDDINGS));
  const retriever = new Retriever(adapters.get('answer').forward(await embeddings.embed(answers)));

  async function search(query, k) {
    const rows = adapters.get('query').forward(await encoder.embed([query]));
    const { indices, scores } = retriever.search(rows, k);
    return Array.from(indices[0], (index, i) => ({ answer: answers[index], score: Number(scores[0][i].toFixed(4)) }));
  }

  return { size: answers.length, search };
}

async function readModel(folder) {
  try {
    const [bytes, json] = await Promise.all([
      readFile(join(folder, ADAPTERS)),
      readFile(join(folder, ANSWERS), 'utf8'),
    ]);
    return { bytes, description: JSON.parse(json) };
  } catch (error) {
    if (error.code === 'ENOENT') throw new UserError(`there is no trained model in "${folder}"; run train.mjs first`);
    throw new UserError(`cannot read the model in "${folder}": ${error.message}`);
  }
}

function hashOf(bytes) {
  return createHash('sha256').update(bytes).digest('hex');
}
