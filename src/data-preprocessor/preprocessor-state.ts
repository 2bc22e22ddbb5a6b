import type { RandomState } from '../internal/random.js';
import { checkArray, checkCount, checkNumber, checkObject, inWords } from '../internal/validate.js';
import type { Stateful } from '../types.js';
import type { DataPreprocessorConfig } from './options.js';

/**
 * Running counts over all calls. Work is counted as it is done: a call that fails or is left early has counted all that
 * it finished, whether or not it was handed out. A chunk is counted once its texts are embedded: first the examples that
 * it skips, then each example as it is finished.
 */
export interface PreprocessorStats {
  /** Number of examples processed. */
  processed: number;
  /** Number of examples skipped for their quality. */
  filtered: number;
  /** Number of examples skipped as repeats. Present with `deduplicate`. */
  duplicates?: number;
  /** Number of variations added. */
  augmented: number;
  /** Number of embeddings that came from the cache. */
  cacheHits: number;
}

/** The state of a `DataPreprocessor`: plain values, ready for JSON if the embedder's state is. */
export interface DataPreprocessorState {
  /** The vocabulary: its words, and the token of each. */
  words: string[];
  tokens: number[];
  /** Number of words, the next word's token. */
  vocabSize: number;
  /** The state of the generator of augmentation, four integers. Null without a `seed`. */
  random: RandomState | null;
  /** Length of the embeddings. Null before the first rows of a caller's embedder. */
  embeddingDim: number | null;
  /** The result of the embedder's `stateDict`. Null for an embedder without this method. */
  embedder: unknown;
  /** The counts. */
  stats: PreprocessorStats;
}

const CALL = 'DataPreprocessor.loadStateDict';
const COUNTS = ['processed', 'filtered', 'augmented', 'cacheHits', 'duplicates'] as const;

/** An embedder that has a state. */
export function statefulEmbedder(embedder: DataPreprocessorConfig['embedder']): Stateful | undefined {
  if (typeof embedder !== 'object') return undefined;
  const { stateDict, loadStateDict } = embedder as Partial<Stateful>;
  const isStateful = typeof stateDict === 'function' && typeof loadStateDict === 'function';
  return isStateful ? (embedder as object as Stateful) : undefined;
}

/**
 * Reads a state that may come from anywhere. It throws before it returns anything.
 *
 * @param isSeeded Whether the preprocessor that loads it has a `seed`.
 */
export function parseState(state: unknown, config: DataPreprocessorConfig, isSeeded: boolean): DataPreprocessorState {
  checkObject(CALL, 'state', state);
  const { words, tokens, random, embedder } = state;
  checkWords(words);
  checkArray(CALL, 'state.tokens', tokens);
  if (tokens.length !== words.length)
    throw new RangeError(`${CALL}: state.tokens has ${inWords(tokens.length, 'entry')}, state.words ${words.length}`);
  if (words.length > 0 && config.tokens === false)
    throw new RangeError(
      `${CALL}: state has a vocabulary of ${inWords(words.length, 'word')}, but tokens is false here`,
    );
  if ((random !== null) !== isSeeded)
    throw new RangeError(
      `${CALL}: state is of a preprocessor ${isSeeded ? 'without a' : 'with a'} seed, unlike this one`,
    );
  const isStateful = statefulEmbedder(config.embedder) !== undefined;
  if ((embedder !== null && embedder !== undefined) !== isStateful)
    throw new RangeError(
      `${CALL}: state is of an embedder ${isStateful ? 'without' : 'with'} a state of its own, unlike this one`,
    );
  return {
    words,
    tokens: tokens.map((token, i) => checkCount(CALL, `state.tokens[${i}]`, token, 0)),
    vocabSize: checkCount(CALL, 'state.vocabSize', state['vocabSize'], 0),
    random: random === null ? null : parseRandom(random),
    embeddingDim: parseDim(state['embeddingDim'], config.embeddingDim),
    embedder,
    stats: parseStats(state['stats']),
  };
}

function checkWords(words: unknown): asserts words is string[] {
  checkArray(CALL, 'state.words', words);
  const seen = new Set<unknown>();
  words.forEach((word, i) => {
    if (typeof word !== 'string') throw new TypeError(`${CALL}: state.words[${i}] must be a string`);
    if (seen.has(word)) throw new RangeError(`${CALL}: state.words[${i}] is there twice`);
    seen.add(word);
  });
}

function parseRandom(random: unknown): RandomState {
  checkArray(CALL, 'state.random', random);
  if (random.length !== 4) throw new RangeError(`${CALL}: state.random must have 4 entries, got ${random.length}`);
  const range = { integer: true, min: -0x80000000, max: 0x7fffffff };
  return random.map((word, i) => checkNumber(CALL, `state.random[${i}]`, word, range)) as RandomState;
}

function parseDim(dim: unknown, own: number | undefined): number | null {
  if (dim === null) return null;
  checkCount(CALL, 'state.embeddingDim', dim);
  if (own !== undefined && dim !== own)
    throw new RangeError(`${CALL}: state has embeddingDim ${String(dim)}, this preprocessor has ${own}`);
  return dim as number;
}

function parseStats(stats: unknown): PreprocessorStats {
  checkObject(CALL, 'state.stats', stats);
  const known = COUNTS.filter(name => name !== 'duplicates' || stats[name] !== undefined);
  const counts = known.map(name => [name, checkCount(CALL, `state.stats.${name}`, stats[name], 0)]);
  return Object.fromEntries(counts) as PreprocessorStats;
}
