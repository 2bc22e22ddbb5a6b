// Trains two adapters over a sentence model, so that queries find their answers, and saves the search for serve.mjs.
//
//   node train.mjs
//   node train.mjs --data pairs.jsonl --save model

import { mkdir } from 'node:fs/promises';
import { DataPreprocessor } from 'microlora-training-utils';
import { inExample, parseOptions, runCommand, wholeNumber } from './lib/command-line.mjs';
import { compare, tableOf } from './lib/comparison.mjs';
import { cachedEncoder } from './lib/embedding-cache.mjs';
import { questionsOf, readPairs, split } from './lib/pairs.mjs';
import { saveModel } from './lib/saved-model.mjs';
import { sentenceEncoder } from './lib/sentence-encoder.mjs';
import { train } from './lib/training.mjs';

const DEFAULTS = {
  data: inExample('faq.jsonl'),
  save: inExample('model'),
  cache: inExample('.cache/embeddings'),
  epochs: '20',
  rank: '32',
  seed: '1',
};

const HELP = `Trains two adapters over a sentence model, so that queries find their answers.

A fifth of the queries is held out. The table at the end says how often they find their answer among all answers: with
an untrained text index, with the model as it is, and with the trained adapters.

Usage: node train.mjs [options]

  --data <file>    pairs as JSON Lines, {"input": "a query", "output": "its answer"} (default ${DEFAULTS.data})
  --save <folder>  where to save what serve.mjs needs (default ${DEFAULTS.save})
  --cache <file>   where to remember embeddings (default ${DEFAULTS.cache})
  --epochs <n>     most passes over the training pairs (default ${DEFAULTS.epochs})
  --rank <n>       rank of the adapters (default ${DEFAULTS.rank})
  --seed <n>       seed of the weights, the order and the choice of validation pairs (default ${DEFAULTS.seed})
  --help           print this text`;

await runCommand('train', async () => {
  const { help, data, save, cache, epochs, rank, seed } = readOptions();
  if (help) return console.log(HELP);

  const pairs = await readPairs(data);
  await mkdir(save, { recursive: true }); // Done first, so that a failure comes before the work.
  const encoder = await cachedEncoder(sentenceEncoder(), cache);
  const examples = await embed(pairs, encoder);
  const parts = split(examples, seed);
  const rowOf = new Map(examples.map(({ output, outputEmb }) => [output, outputEmb]));
  const [answers, answerRows] = [[...rowOf.keys()], [...rowOf.values()]];
  const validation = questionsOf(parts.validation, answers);
  const heldOut = questionsOf(parts.heldOut, answers);
  console.log(`${count(parts.train)} pairs to train on, ${count(validation.texts)} queries to validate with`);

  const settings = { dim: encoder.dim, rank, epochs, seed };
  const { adapters, bestEpoch } = train(parts.train, validation, answerRows, settings, (epoch, loss, { recallAt }) => {
    const label = `epoch ${String(epoch).padStart(String(epochs).length)}/${epochs}`;
    console.log(`  ${label}   loss ${loss.toFixed(4)}   validation recall@1 ${(100 * recallAt[1]).toFixed(1)} %`);
  });
  if (bestEpoch > 0) console.log(`Epoch ${bestEpoch} validated best, and its weights are kept.`);
  else console.log('No epoch validated better than the untrained start, so the adapters change nothing.');

  console.log(`\n${count(heldOut.texts)} held-out queries rank all ${count(answers)} answers (95 % intervals):\n`);
  console.log(tableOf(compare(heldOut, answers, answerRows, adapters)));
  await saveModel(save, { adapters, answers, encoder });
  console.log(`\nSaved in "${save}". Search with: node ${inExample('serve.mjs')} --model ${save}`);
});

/** The pairs with their embeddings. The model embeds only the texts that are not in the cache. */
async function embed(pairs, encoder) {
  const start = performance.now();
  const preprocessor = new DataPreprocessor({ embedder: encoder, embedBatchSize: 256, deduplicate: true });
  const examples = await preprocessor.process(pairs, { onProgress: ({ read }) => showProgress(read, pairs.length) });
  await encoder.save();
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  const texts = new Set(pairs.flatMap(({ input, output }) => [input, output]));
  console.log(`${count(texts)} texts embedded in ${seconds} s, ${count(encoder.computed)} of them by the model`);
  return examples;
}

function showProgress(done, total) {
  if (process.stderr.isTTY) process.stderr.write(`\r  embedding: ${count(done)} of ${count(total)} pairs\x1b[K`);
}

function readOptions() {
  const options = Object.entries(DEFAULTS).map(([name, value]) => [name, { type: 'string', default: value }]);
  const { epochs, rank, seed, ...others } = parseOptions(Object.fromEntries(options));
  return {
    ...others,
    epochs: wholeNumber('--epochs', epochs, 1, 10_000),
    rank: wholeNumber('--rank', rank, 1, 512),
    seed: wholeNumber('--seed', seed, 0, 2 ** 32 - 1),
  };
}

function count(collection) {
  return (collection.length ?? collection.size ?? collection).toLocaleString('en');
}
