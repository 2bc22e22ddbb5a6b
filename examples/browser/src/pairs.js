import { readJsonl } from 'microlora-training-utils';

/** Fewest pairs that can be split into training, validation and held-out pairs. */
const FEWEST = 30;

/**
 * Reads pairs from text or a file.
 *
 * @throws Error whose message says what is wrong, and in which line.
 */
export async function readPairs(source) {
  const pairs = [];
  for await (const pair of readJsonl(typeof source === 'string' ? new Blob([source]) : source)) {
    for (const field of ['input', 'output']) {
      if (typeof pair[field] !== 'string' || pair[field].trim() === '')
        throw new Error(`Pair ${pairs.length + 1} has no text in "${field}".`);
    }
    pairs.push({ input: pair.input, output: pair.output });
  }
  const inputs = new Set(pairs.map(({ input }) => input)).size;
  if (inputs < FEWEST)
    throw new Error(
      `There ${inputs === 1 ? 'is 1 pair' : `are ${inputs} different inputs`}. At least ${FEWEST} are needed.`,
    );
  return pairs;
}
