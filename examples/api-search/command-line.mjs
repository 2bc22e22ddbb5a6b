import { parseArgs } from 'node:util';
import { EPOCHS, RANK } from './recipe.mjs';
import { UserError } from './user-error.mjs';

export const HELP = `Finds an API by its description.

Trains on the declarations of DOM and ECMAScript, and on those of Node.js.
Prints how often a held-out description finds its signature: with a text index,
with the untrained embedding and with the trained embedding. Then the adapters
of the first set learn the second set too, with and without a penalty on
forgetting.

Usage: node examples/api-search.mjs [options]
       node examples/api-search.mjs --search <query> --model <file>

  --data <file>     train on the pairs of a JSON Lines file instead:
                    {"input": "a query", "output": "its answer"};
                    given twice, the adapters of the first file also learn
                    the second file
  --epochs <n>      passes over the training pairs (default ${EPOCHS})
  --rank <n>        rank of the adapters (default ${RANK})
  --seed <n>        seed of the initial weights, of the split and of the order
                    of the pairs (default 1)
  --save <file>     save the model, for --search
  --report <file>   write a page about the training of the first set, and of
                    what it forgets when it learns the second one: HTML
  --search <query>  search the answers of a saved model
  --model <file>    the model that --save wrote
  --json            print one JSON object with all numbers; progress and report
                    go to standard error
  --help            print this text`;

const TRAINING_FLAGS = ['data', 'epochs', 'rank', 'seed', 'save', 'report'];

/** The options of the command line, checked. */
export function readOptions() {
  const { epochs, rank, seed, ...others } = parseCommandLine();
  const { search, model, help, data } = others;
  if (!help) {
    if (search === undefined && model !== undefined) throw mistake('--model is read with --search only');
    if (search !== undefined) {
      if (model === undefined) throw mistake('--search needs a --model to search');
      if (search.trim() === '') throw mistake('--search needs a query');
      const unused = TRAINING_FLAGS.find(flag => ({ ...others, epochs, rank, seed })[flag] !== undefined);
      if (unused) throw mistake(`--${unused} is for training and cannot be given with --search`);
    }
    if (data?.length > 2) throw mistake(`--data can be given twice at most, not ${data.length} times`);
  }
  return {
    ...others,
    epochs: wholeNumber('--epochs', epochs, EPOCHS, 1, 10_000),
    rank: wholeNumber('--rank', rank, RANK, 1, 1024),
    seed: wholeNumber('--seed', seed, 1, 0, 2 ** 32 - 1),
  };
}

function parseCommandLine() {
  try {
    const { values } = parseArgs({
      options: {
        data: { type: 'string', multiple: true },
        epochs: { type: 'string' },
        rank: { type: 'string' },
        seed: { type: 'string' },
        save: { type: 'string' },
        report: { type: 'string' },
        search: { type: 'string' },
        model: { type: 'string' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    return values;
  } catch (error) {
    const [sentence] = error.message.replace('is ambiguous', 'must not start with a dash').split(/\.\s|\n/);
    throw mistake(`${sentence} (--help lists the options)`);
  }
}

function wholeNumber(flag, text, byDefault, min, max) {
  if (text === undefined) return byDefault;
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw mistake(`${flag} must be a whole number from ${min} to ${max}, not "${text}"`);
}

function mistake(message) {
  return new UserError(message, 2);
}
