// Finds an API from its description: trains an adapter so that a description lands near the signature it belongs to.
//
//   npm run demo
//   node examples/api-search.mjs --data pairs.jsonl --epochs 20

import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { DataPreprocessor, LoRAAdapter, readJsonl } from 'microlora-training-utils';
import { learnOn } from './api-search/continual.mjs';
import { readDomAndEcmaScriptPairs, readNodePairs } from './api-search/pairs.mjs';
import { continualReportOf, reportOf } from './api-search/report.mjs';
import { findAll, metricsOf } from './api-search/search.mjs';
import { train } from './api-search/training.mjs';

const HELP = `Finds an API from its description.

Trains one adapter on the declarations of DOM and ECMAScript and one on those of Node.js, and prints how often a
description that was held out finds its signature, before and after. Then the first adapter learns the second task too,
with and without a penalty on forgetting.

Usage: node examples/api-search.mjs [options]

  --data <file>   train on the pairs of a JSON Lines file instead: {"input": "a query", "output": "its answer"};
                  given twice, the adapter of the first file learns the second too
  --epochs <n>    passes over the training pairs (default 10)
  --rank <n>      rank of the adapter (default 8)
  --seed <n>      seed of the initial weights and of the order of the pairs (default 1)
  --json          print one JSON object with all numbers; progress and report go to standard error
  --help          print this text`;

const DIM = 384;
const EXAMPLES_SHOWN = 5;

/** A mistake of the user's, told in one sentence: in the command line (exit code 2) or in the data (exit code 1). */
class UserError extends Error {
  constructor(message, exitCode) {
    super(message);
    this.exitCode = exitCode;
  }
}

// A closed pipe, as `| head` leaves it, is no failure.
process.stdout.on('error', error => process.exit(error.code === 'EPIPE' ? 0 : 1));

try {
  await main();
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(`api-search: ${error.message}`);
  process.exitCode = error.exitCode;
}

async function main() {
  const { help, json, data, ...settings } = readOptions();
  if (help) return console.log(HELP);

  const screen = json ? process.stderr : process.stdout;
  const tasks = [];
  for (const [name, pairs] of data === undefined ? standardSets() : await userSets(data)) {
    tasks.push(await taskOf(name, pairs));
  }
  const runs = tasks.map(task => runTask(task, settings, screen));
  const sets = runs.map(({ result }) => result);
  const output = { ...settings, pool: 'held-out answers', sets };
  if (tasks.length > 1) {
    output.continual = learnOn(tasks[0], tasks[1], runs[0].adapter, settings, screen);
    screen.write(continualReportOf(output.continual));
  }
  if (json) console.log(JSON.stringify(output, null, 2));
}

function standardSets() {
  return [
    ['DOM and ECMAScript', readDomAndEcmaScriptPairs()],
    ['Node.js', readNodePairs()],
  ];
}

async function userSets(paths) {
  const sets = [];
  for (const path of paths) sets.push([basename(path), await readPairs(path)]);
  return sets;
}

/** Embeds the pairs and holds a fifth of them out. */
async function taskOf(name, pairs) {
  const distinct = withoutRepeats(pairs);
  const preprocessor = new DataPreprocessor({ embedder: 'ngram', embeddingDim: DIM });
  const examples = await preprocessor.process(distinct);
  const training = examples.filter(example => !isHeldOut(example));
  const heldOut = examples.filter(isHeldOut);
  const candidates = new Map(heldOut.map(({ output, outputEmb }) => [output, outputEmb]));
  if (training.length === 0 || candidates.size < 2) {
    const split = `${training.length} to train on and ${heldOut.length} to test on`;
    throw new UserError(`${name}: the split leaves ${split}, too few to rank two answers; add more pairs`, 1);
  }
  return { name, pairs, training, heldOut, candidates };
}

/** Trains an adapter, and measures and shows the held-out pairs before and after. */
function runTask({ name, pairs, training, heldOut, candidates }, settings, screen) {
  screen.write(`\n${name}: ${count(training)} pairs to train on, ${count(heldOut)} held out\n`);
  screen.write(`Each held-out query ranks the ${count(candidates)} different answers of all held-out queries.\n\n`);
  const queries = heldOut.map(example => example.inputEmb);
  const before = findAll(queries, heldOut, candidates);
  const { rank, seed } = settings;
  const adapter = new LoRAAdapter({ dim: DIM, rank, alpha: 2 * rank, seed });
  const losses = train(adapter, training, settings, screen);
  const after = findAll(adapter.forward(queries), heldOut, candidates);

  const result = {
    name,
    pairs: pairs.length,
    training: training.length,
    heldOut: heldOut.length,
    candidates: candidates.size,
    before: metricsOf(before),
    after: metricsOf(after),
    losses,
    examples: examplesOf(heldOut, before, after),
  };
  screen.write(reportOf(result));
  return { adapter, result };
}

/** The first pair of each input: overloads and the typed arrays repeat descriptions, and a query needs one answer. */
function withoutRepeats(pairs) {
  const seen = new Set();
  return pairs.filter(({ input }) => !seen.has(input) && seen.add(input));
}

/** A fifth of the pairs, chosen by a hash of the input: the same ones in every run, whatever the seed. */
function isHeldOut({ input }) {
  return createHash('sha256').update(input).digest().readUInt32BE() % 5 === 0;
}

/** A few queries, evenly spread over those whose right answer rose or fell, or over all where those are too few. */
function examplesOf(heldOut, before, after) {
  const all = heldOut.map(({ input, output }, i) => ({ input, output, before: before[i], after: after[i] }));
  const moved = all.filter(example => example.before.rank !== example.after.rank);
  const choice = moved.length >= EXAMPLES_SHOWN ? moved : all;
  const shown = Math.min(EXAMPLES_SHOWN, choice.length);
  return Array.from({ length: shown }, (_, i) => choice[Math.floor(((i + 0.5) * choice.length) / shown)]);
}

function count(collection) {
  return (collection.length ?? collection.size).toLocaleString('en');
}

async function readPairs(path) {
  const pairs = [];
  try {
    for await (const pair of readJsonl(path)) pairs.push(pair);
  } catch (error) {
    if (error.code === undefined) throw new UserError(error.message, 1); // A bad line: the message names it and the file.
    throw new UserError(
      `cannot read "${path}": ${error.code === 'ENOENT' ? 'there is no such file' : error.message}`,
      1,
    );
  }
  if (pairs.length === 0) throw new UserError(`"${path}" holds no pairs`, 1);
  for (const [i, pair] of pairs.entries()) {
    for (const field of ['input', 'output']) {
      if (typeof pair[field] === 'string' && pair[field] !== '') continue;
      throw new UserError(`record ${i + 1} of "${path}" needs a non-empty string as its "${field}"`, 1);
    }
  }
  return pairs;
}

function readOptions() {
  const { epochs, rank, seed, ...others } = parseCommandLine();
  return {
    ...others,
    epochs: wholeNumber('--epochs', epochs, 1, 10_000),
    rank: wholeNumber('--rank', rank, 1, DIM),
    seed: wholeNumber('--seed', seed, 0, 2 ** 32 - 1),
  };
}

function parseCommandLine() {
  try {
    const { values } = parseArgs({
      options: {
        data: { type: 'string', multiple: true },
        epochs: { type: 'string', default: '10' },
        rank: { type: 'string', default: '8' },
        seed: { type: 'string', default: '1' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    return values;
  } catch (error) {
    const [sentence] = error.message.replace('is ambiguous', 'must not start with a dash').split(/\.\s|\n/);
    throw new UserError(`${sentence} (--help lists the options)`, 2);
  }
}

function wholeNumber(flag, text, min, max) {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw new UserError(`${flag} must be a whole number from ${min} to ${max}, not "${text}"`, 2);
}
