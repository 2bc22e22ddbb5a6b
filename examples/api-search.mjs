// Finds an API by its description: trains adapters so that a description is close to its signature.
//
//   npm run demo
//   node examples/api-search.mjs --data pairs.jsonl --save model.json
//   npm run demo -- --report report.html
//   node examples/api-search.mjs --search "wait for all promises" --model model.json

import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { Retriever, readJsonl } from 'microlora-training-utils';
import { HELP, readOptions } from './api-search/command-line.mjs';
import { learnOn } from './api-search/continual.mjs';
import { compare } from './api-search/held-out.mjs';
import { checkWritable, loadModel, saveModel, writeWhole } from './api-search/model-file.mjs';
import { pageOf, recorderOf } from './api-search/page.mjs';
import { lookupOf, newAdapters, prepare, train } from './api-search/recipe.mjs';
import { continualReportOf, headerOf, progressOn, reportOf, searchReportOf } from './api-search/report.mjs';
import { fileProblem, UserError } from './api-search/user-error.mjs';

const ANSWERS_FOUND = 10;

// A closed pipe, such as that of `| head`, is not an error.
process.stdout.on('error', error => process.exit(error.code === 'EPIPE' ? 0 : 1));

try {
  await main();
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(`api-search: ${error.message}`);
  process.exitCode = error.exitCode;
}

async function main() {
  const { help, search, ...options } = readOptions();
  if (help) console.log(HELP);
  else if (search === undefined) await learn(options);
  else find(search, options);
}

/** Trains on one or two sets of pairs, and shows the results. */
async function learn({ json, data, save, report, ...settings }) {
  for (const path of [save, report]) if (path !== undefined) checkWritable(path);
  const screen = json ? process.stderr : process.stdout;
  const tasks = [];
  for (const [name, pairs] of data === undefined ? await standardSets() : await userSets(data)) {
    tasks.push(await taskOf(name, pairs, settings));
  }
  const runs = tasks.map((task, i) => runTask(task, settings, screen, report !== undefined && i === 0));
  const output = { ...settings, pool: 'held-out answers', sets: runs.map(({ result }) => result) };
  const [first, second] = tasks;
  const model = { embedder: first.embedder, adapters: runs[0].adapters, answers: answersOf(tasks) };
  if (second) {
    const moved = await taskOf(second.name, second.pairs, settings, first.embedder);
    const { report: continual, adapters } = learnOn(first, moved, runs[0].adapters, settings, screen);
    screen.write(continualReportOf(continual));
    output.continual = continual;
    model.adapters = adapters;
  }
  if (save !== undefined) {
    const megabytes = (saveModel(save, model) / 1e6).toFixed(1);
    const which = second ? 'the adapters that learned both sets\nwith the function penalty' : 'the trained adapters';
    const answers = model.answers.length.toLocaleString('en');
    screen.write(`\nSaved (${megabytes} MB): the embedder, ${which} and ${answers} answers. Search them:\n\n`);
    screen.write(`  node examples/api-search.mjs --search "a query" --model ${save}\n`);
  }
  if (report !== undefined) {
    writeWhole(report, pageOf(first, runs[0], output.continual, settings));
    screen.write(`\nA page about the training is in ${report}\n`);
  }
  if (json) console.log(JSON.stringify(output, null, 2));
}

/** Searches the answers of a saved model. */
function find(query, { json, model: path }) {
  const { embedder, adapters, answers } = loadModel(path);
  const retriever = new Retriever(adapters.get('answer').forward(embedder.embed(answers)));
  const { indices, scores } = retriever.search(adapters.get('query').forward(embedder.embed([query])), ANSWERS_FOUND);
  const results = Array.from(indices[0], (candidate, i) => ({ answer: answers[candidate], score: scores[0][i] }));
  if (json) console.log(JSON.stringify({ query, results }, null, 2));
  else process.stdout.write(searchReportOf(results));
}

/** The default sets. Their reader is imported here, because the compiler takes a while to load. */
async function standardSets() {
  const { readDomAndEcmaScriptPairs, readNodePairs } = await import('./api-search/pairs.mjs');
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

/** Holds a fifth of the pairs out, and prepares the others for training. */
async function taskOf(name, pairs, settings, embedder) {
  const distinct = withoutRepeats(pairs);
  const rest = distinct.filter(pair => !isHeldOut(pair));
  const held = distinct.filter(isHeldOut);
  const tooFew = () =>
    new UserError(
      `${name}: the split leaves ${rest.length} to train on and ${held.length} to test on, too few; add more pairs`,
    );
  if (rest.length < 2 || new Set(held.map(({ output }) => output)).size < 2) throw tooFew();
  let task;
  try {
    task = await prepare(rest, settings, embedder);
  } catch (error) {
    // `splitPairs` keeps inputs that differ only in case together, so there may be too few groups.
    throw error.message.startsWith('splitPairs: the number of groups') ? tooFew() : error;
  }
  return { name, pairs, ...task, heldOut: { pairs: held, ...lookupOf(task.embedder, held) } };
}

/** Trains adapters, and measures and shows the held-out pairs. Keeps the course of the training where it is wanted. */
function runTask(task, settings, screen, isRecorded) {
  const { name, pairs, embedder, training, validation, heldOut } = task;
  screen.write(headerOf(task));
  const adapters = newAdapters(embedder.dim, settings);
  const show = progressOn(screen, settings.epochs);
  const { course, record } = recorderOf(heldOut, adapters);
  const trained = train(adapters, task, settings, progress => {
    show(progress);
    if (isRecorded) record(progress);
  });
  const { evaluations, result: compared } = compare(heldOut, adapters);
  const result = {
    name,
    pairs: pairs.length,
    training: training.length,
    validation: validation.length,
    heldOut: heldOut.pairs.length,
    candidates: heldOut.answers.length,
    ...trained,
    ...compared,
  };
  screen.write(reportOf(result));
  return { adapters, result, course, evaluations };
}

/** The different answers of all pairs. */
function answersOf(tasks) {
  return [...new Set(tasks.flatMap(({ pairs }) => pairs.map(({ output }) => output)))];
}

/** The first pair of each input. Overloads and typed arrays repeat descriptions, and a query needs one answer. */
function withoutRepeats(pairs) {
  const seen = new Set();
  return pairs.filter(({ input }) => !seen.has(input) && seen.add(input));
}

/** Whether a pair is in the held-out fifth. A hash of the input decides, so it does not depend on the seed. */
function isHeldOut({ input }) {
  return createHash('sha256').update(input).digest().readUInt32BE() % 5 === 0;
}

async function readPairs(path) {
  const pairs = [];
  try {
    for await (const pair of readJsonl(path)) pairs.push(pair);
  } catch (error) {
    if (error.code === undefined) throw new UserError(error.message); // The message names the bad line and the file.
    throw new UserError(`cannot read "${path}": ${fileProblem(error)}`);
  }
  if (pairs.length === 0) throw new UserError(`"${path}" holds no pairs`);
  for (const [i, pair] of pairs.entries()) {
    for (const field of ['input', 'output']) {
      if (typeof pair[field] === 'string' && pair[field] !== '') continue;
      throw new UserError(`record ${i + 1} of "${path}" needs a non-empty string as its "${field}"`);
    }
  }
  return pairs;
}
