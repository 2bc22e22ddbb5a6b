// Finds an API from its description: trains an adapter so that a description lands near the signature it belongs to.
//
//   npm run demo
//   node examples/api-search.mjs --data pairs.jsonl --epochs 20

import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import {
  AdamW,
  BatchGenerator,
  DataPreprocessor,
  LoRAAdapter,
  LossComputer,
  LRSchedulers,
  readJsonl,
} from 'microlora-training-utils';
import { readDomAndEcmaScriptPairs, readNodePairs } from './api-pairs.mjs';

const HELP = `Finds an API from its description.

Trains one adapter on the declarations of DOM and ECMAScript and one on those of Node.js, and prints how often a
description that was held out finds its signature, before and after.

Usage: node examples/api-search.mjs [options]

  --data <file>   train on the pairs of a JSON Lines file instead: {"input": "a query", "output": "its answer"}
  --epochs <n>    passes over the training pairs (default 10)
  --rank <n>      rank of the adapter (default 8)
  --seed <n>      seed of the initial weights and of the order of the pairs (default 1)
  --json          print one JSON object with all numbers; progress and report go to standard error
  --help          print this text`;

const DIM = 384;
const BATCH_SIZE = 64;
const LEARNING_RATE = 3e-3;
const TEMPERATURE = 0.07;
const EXAMPLES_SHOWN = 5;
const ANSWERS_SHOWN = 3;

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
  const results = [];
  for (const [name, pairs] of data === undefined ? standardSets() : await userSet(data)) {
    results.push(await runSet(name, pairs, settings, screen));
  }
  if (json) console.log(JSON.stringify({ ...settings, pool: 'held-out answers', sets: results }, null, 2));
}

function standardSets() {
  return [
    ['DOM and ECMAScript', readDomAndEcmaScriptPairs()],
    ['Node.js', readNodePairs()],
  ];
}

async function userSet(path) {
  return [[basename(path), await readPairs(path)]];
}

/** Embeds the pairs, trains on four fifths of them, and measures and shows the others before and after. */
async function runSet(name, pairs, settings, screen) {
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

  screen.write(`\n${name}: ${count(training)} pairs to train on, ${count(heldOut)} held out\n`);
  screen.write(`Each held-out query ranks the ${count(candidates)} different answers of all held-out queries.\n\n`);
  const queries = heldOut.map(example => example.inputEmb);
  const before = findAll(queries, heldOut, candidates);
  const { adapter, losses } = train(training, settings, screen);
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
  return result;
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

/** Trains an adapter of the queries with InfoNCE: each answer against the other answers of its batch. */
function train(examples, { epochs, rank, seed }, screen) {
  const batches = new BatchGenerator(examples, { batchSize: BATCH_SIZE, seed });
  const adapter = new LoRAAdapter({ dim: DIM, rank, alpha: 2 * rank, seed });
  const optimizer = new AdamW(new Map([['query', adapter]]));
  const totalSteps = batches.length * epochs;
  const warmupSteps = Math.round(totalSteps / 10);
  const showProgress = progressOn(screen, epochs, totalSteps);
  const losses = new Array(epochs).fill(0);

  for (const { epoch, step, batch } of batches.epochs(epochs)) {
    const queries = adapter.forward(batch.anchors);
    const { loss, gradients } = LossComputer.contrastive(queries, batch.positives, null, {
      temperature: TEMPERATURE,
      ids: batch.examples.map(example => example.output), // Equal answers are not each other's negatives.
      gradients: true,
    });
    const learningRate = LRSchedulers.warmupCosine(LEARNING_RATE, step, totalSteps, { warmupSteps });
    optimizer.step(new Map([['query', adapter.backward(gradients)]]), learningRate);

    losses[epoch] += (loss * batch.size) / examples.length;
    showProgress({ epoch, step, loss, learningRate, epochLoss: batches.remaining === 0 ? losses[epoch] : undefined });
  }
  return { adapter, losses };
}

/** On a terminal one line that keeps changing, elsewhere a line an epoch. */
function progressOn(screen, epochs, totalSteps) {
  const start = performance.now();
  let lastShown = -Infinity;
  return ({ epoch, step, loss, learningRate, epochLoss }) => {
    const isDone = step + 1 === totalSteps;
    const now = performance.now();
    if (screen.isTTY ? !isDone && now - lastShown < 100 : epochLoss === undefined) return;
    lastShown = now;
    const seconds = Math.ceil((((now - start) / (step + 1)) * (totalSteps - step - 1)) / 1000);
    const line = [
      `epoch ${String(epoch + 1).padStart(String(epochs).length)}/${epochs}`,
      `loss ${(epochLoss ?? loss).toFixed(4)}`,
      `learning rate ${learningRate.toExponential(1)}`,
      `${seconds} s left`,
    ].join('   ');
    screen.write(screen.isTTY ? `\r  ${line}\x1b[K${isDone ? '\n' : ''}` : `  ${line}\n`);
  };
}

/** For each query the rank of the right answer among the candidates, from 1, and the best answers. */
function findAll(queries, examples, candidates) {
  return queries.map((query, i) => {
    const answers = answersTo(query, candidates);
    return { rank: answers.indexOf(examples[i].output) + 1, top: answers.slice(0, ANSWERS_SHOWN) };
  });
}

/** All candidates, best first. Their rows have unit length, so the dot product orders them as the cosine does. */
function answersTo(query, candidates) {
  return Array.from(candidates, ([answer, embedding]) => ({ answer, score: dot(query, embedding) }))
    .sort((a, b) => b.score - a.score)
    .map(({ answer }) => answer);
}

function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

function metricsOf(found) {
  const mean = score => found.reduce((sum, { rank }) => sum + score(rank), 0) / found.length;
  return {
    recallAt1: mean(rank => (rank <= 1 ? 1 : 0)),
    recallAt10: mean(rank => (rank <= 10 ? 1 : 0)),
    mrr: mean(rank => 1 / rank),
  };
}

/** A few queries, evenly spread over those whose right answer rose or fell, or over all where those are too few. */
function examplesOf(heldOut, before, after) {
  const all = heldOut.map(({ input, output }, i) => ({ input, output, before: before[i], after: after[i] }));
  const moved = all.filter(example => example.before.rank !== example.after.rank);
  const choice = moved.length >= EXAMPLES_SHOWN ? moved : all;
  const shown = Math.min(EXAMPLES_SHOWN, choice.length);
  return Array.from({ length: shown }, (_, i) => choice[Math.floor(((i + 0.5) * choice.length) / shown)]);
}

function reportOf({ before, after, examples }) {
  const percent = share => `${(100 * share).toFixed(1)} %`;
  const row = (label, from, to) => `  ${label.padEnd(12)}${from.padStart(9)}${to.padStart(9)}`;
  return `${[
    '',
    row('', 'before', 'after'),
    row('recall@1', percent(before.recallAt1), percent(after.recallAt1)),
    row('recall@10', percent(before.recallAt10), percent(after.recallAt10)),
    row('MRR', before.mrr.toFixed(3), after.mrr.toFixed(3)),
    ...examples.flatMap(exampleLines),
  ].join('\n')}\n`;
}

function exampleLines({ input, output, before, after }) {
  const answerLines = ({ rank, top }, label) => [
    `    ${label}, found at rank ${rank}:`,
    ...top.map((answer, i) => `    ${answer === output ? '*' : ' '} ${i + 1}. ${shorten(answer)}`),
  ];
  return [
    '',
    `  "${shorten(input)}"`,
    `    belongs to ${shorten(output)}`,
    ...answerLines(before, 'before'),
    ...answerLines(after, 'after'),
  ];
}

function shorten(text, length = 100) {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
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
        data: { type: 'string' },
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
