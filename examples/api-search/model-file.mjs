// Saves and loads everything that a search needs, in one JSON file.

import { accessSync, constants, existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { LoRAAdapter, NgramEmbedder } from 'microlora-training-utils';
import { fileProblem, UserError } from './user-error.mjs';

const FORMAT = 'api-search model';
const VERSION = 1;

/** Throws where a file could not be written, so that the error comes before the training. */
export function checkWritable(path) {
  const refuse = reason => {
    throw new UserError(`cannot write "${path}": ${reason}`);
  };
  const folder = dirname(path);
  if (!existsSync(folder)) refuse(`there is no folder "${folder}"`);
  try {
    accessSync(folder, constants.W_OK);
    if (existsSync(path)) accessSync(path, constants.W_OK);
  } catch (error) {
    refuse(fileProblem(error));
  }
  if (existsSync(path) && !statSync(path).isFile()) refuse('it is no file');
}

/**
 * Writes a model. An existing file stays whole until the new file is complete.
 *
 * @param model `{ embedder, adapters, answers }`.
 * @returns The size of the file in bytes.
 */
export function saveModel(path, { embedder, adapters, answers }) {
  const weights = Buffer.from(LoRAAdapter.toSafetensors(adapters)).toString('base64');
  const text = JSON.stringify({
    format: FORMAT,
    version: VERSION,
    embedder: embedder.stateDict(),
    adapters: weights,
    answers,
  });
  writeWhole(path, text);
  return Buffer.byteLength(text);
}

/** Writes a file. One that is there stays whole until the new one is. */
export function writeWhole(path, text) {
  try {
    writeFileSync(`${path}.new`, text);
    renameSync(`${path}.new`, path);
  } catch (error) {
    throw new UserError(`cannot write "${path}": ${fileProblem(error)}`);
  }
}

/** Reads a model that {@link saveModel} wrote. */
export function loadModel(path) {
  let text;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new UserError(`cannot read "${path}": ${fileProblem(error)}`);
  }
  try {
    return modelOf(JSON.parse(text));
  } catch (error) {
    throw new UserError(`"${path}" is no model that --save wrote: ${error.message}`);
  }
}

function modelOf(saved) {
  if (saved?.format !== FORMAT) throw new Error(`its "format" is not "${FORMAT}"`);
  if (saved.version !== VERSION) throw new Error(`its version is ${saved.version}, known is ${VERSION}`);
  const { answers } = saved;
  if (!Array.isArray(answers) || answers.length === 0 || !answers.every(answer => typeof answer === 'string')) {
    throw new Error('its "answers" are no list of texts');
  }
  const embedder = new NgramEmbedder({ dim: saved.embedder?.dim });
  embedder.loadStateDict(saved.embedder);
  const adapters = LoRAAdapter.fromSafetensors(Buffer.from(String(saved.adapters), 'base64'));
  for (const name of ['query', 'answer']) {
    const adapter = adapters.get(name);
    if (!adapter) throw new Error(`it has no adapter "${name}"`);
    if (adapter.dim !== embedder.dim || adapter.outDim !== embedder.dim) {
      throw new Error(`its adapter "${name}" does not fit rows of ${embedder.dim}`);
    }
  }
  return { embedder, adapters, answers };
}
