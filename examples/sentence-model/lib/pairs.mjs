import { createHash } from 'node:crypto';
import { readJsonl, splitPairs } from 'microlora-training-utils';
import { UserError } from './command-line.mjs';

/** Reads the pairs of a JSON Lines file: `{ input: a query, output: its answer }`. */
export async function readPairs(path) {
  const pairs = [];
  try {
    for await (const pair of readJsonl(path)) pairs.push(pair);
  } catch (error) {
    if (error.code === undefined) throw new UserError(error.message); // The message names the bad line and the file.
    throw new UserError(`cannot read "${path}": ${error.code === 'ENOENT' ? 'there is no such file' : error.message}`);
  }
  if (pairs.length === 0) throw new UserError(`"${path}" holds no pairs`);
  for (const [i, pair] of pairs.entries()) {
    for (const field of ['input', 'output']) {
      if (typeof pair[field] === 'string' && pair[field].trim() !== '') continue;
      throw new UserError(`record ${i + 1} of "${path}" needs a non-empty string as its "${field}"`);
    }
  }
  return pairs;
}

/**
 * Holds out a fifth of the inputs for the test, chosen by a hash, so the choice does not depend on the seed. A tenth of
 * the others is for validation.
 */
export function split(examples, seed) {
  const heldOut = examples.filter(isHeldOut);
  const others = examples.filter(example => !isHeldOut(example));
  if (heldOut.length === 0 || others.length === 0 || new Set(examples.map(({ output }) => output)).size < 2) {
    const counts = `${others.length} to train on and ${heldOut.length} to test with`;
    throw new UserError(`${examples.length} pairs, ${counts}, are too few, or have one answer alone; add more pairs`);
  }
  try {
    return { ...splitPairs(others, { validation: 0.1, by: 'input', seed }), heldOut };
  } catch (error) {
    throw new UserError(`${error.message}; add more pairs`);
  }
}

function isHeldOut({ input }) {
  return createHash('sha256').update(input).digest().readUInt32BE() % 5 === 0;
}

/**
 * A search task: each distinct input once, with the indices of all its answers.
 *
 * @param answers All answers to choose from.
 * @returns `{ texts, rows, relevant }`, one entry per input.
 */
export function questionsOf(examples, answers) {
  const indexOf = new Map(answers.map((answer, i) => [answer, i]));
  const questions = new Map();
  for (const { input, inputEmb, output } of examples) {
    if (!questions.has(input)) questions.set(input, { row: inputEmb, relevant: new Set() });
    questions.get(input).relevant.add(indexOf.get(output));
  }
  const found = [...questions.values()];
  return {
    texts: [...questions.keys()],
    rows: found.map(({ row }) => row),
    relevant: found.map(({ relevant }) => [...relevant]),
  };
}
