import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import {
  DataPreprocessor,
  type DataPreprocessorOptions,
  type DataPreprocessorState,
  loadCheckpoint,
  NgramEmbedder,
  saveCheckpoint,
  type TrainingExample,
} from '../../src/index.js';

const folder = mkdtempSync(join(tmpdir(), 'preprocessor-'));
afterAll(() => rmSync(folder, { recursive: true }));

const WORDS = ['Write', 'a', 'function', 'that', 'helps', 'me', 'explain', 'CODE', 'to', 'others'];
/** Texts that each add a new word, so that tokens show how many texts came before. */
const pairs: TrainingExample[] = Array.from({ length: 60 }, (_, i) => ({
  input: `${WORDS[i % 10]} ${WORDS[(i * 3) % 10]} number${i}`,
  output: `answer${i} ${WORDS[(i * 7) % 10]} number${i + 5}`,
  quality: i % 9 === 0 ? 0 : 1,
}));
const untyped = (value: unknown): never => value as never;

async function fitted(texts = pairs): Promise<NgramEmbedder> {
  return new NgramEmbedder({ dim: 16 }).fit(texts.flatMap(({ input, output }) => [input, output]));
}

const makers: Record<string, () => Promise<DataPreprocessorOptions>> = {
  hash: async () => ({ embeddingDim: 8 }),
  ngram: async () => ({ embedder: 'ngram', embeddingDim: 8 }),
  'a fitted embedder': async () => ({ embedder: await fitted() }),
  'a function': async () => ({ embedder: texts => texts.map(text => [text.length, 1]) }),
};

describe('a preprocessor that resumes from a state', () => {
  const options = { augmentation: true, augmentationFactor: 4, seed: 5, qualityThreshold: 0.5 };
  const ways: Record<string, (from: DataPreprocessor, to: DataPreprocessor) => void> = {
    JSON: (from, to) => to.loadStateDict(JSON.parse(JSON.stringify(from.stateDict()))),
    'a checkpoint': (from, to) => {
      const path = join(folder, 'state.safetensors');
      saveCheckpoint(path, { from });
      loadCheckpoint(path, { from: to });
    },
  };
  const cases = Object.keys(makers).flatMap(kind => Object.keys(ways).map(way => [kind, way] as const));

  it.each(cases)('gives the same rows as the uninterrupted run, from any stop: %s, by %s', async (kind, way) => {
    const unbroken = new DataPreprocessor({ ...options, ...(await makers[kind]!()) });
    const expected = [];
    for (const pair of pairs) expected.push(await unbroken.process([pair]));
    const stopped = new DataPreprocessor({ ...options, ...(await makers[kind]!()) });
    for (let stop = 0; stop < pairs.length; stop++) {
      const made = await makers[kind]!();
      // The state has seen these texts, but this embedder has not.
      if (kind === 'a fitted embedder') made.embedder = new NgramEmbedder({ dim: 16 });
      const resumed = new DataPreprocessor({ ...options, ...made });
      // Its own earlier work has no effect.
      await resumed.process([{ input: 'other words help', output: 'before' }]);
      if (stop % 7 === 0) {
        ways[way]!(stopped, resumed);
        expect(await resumed.process(pairs.slice(stop))).toEqual(expected.slice(stop).flat());
        expect(resumed.vocabSize).toBe(unbroken.vocabSize);
        expect([...resumed.vocab]).toEqual([...unbroken.vocab]);
        const { cacheHits: _cacheHits, ...counts } = resumed.stats;
        expect(unbroken.stats).toMatchObject(counts);
      }
      await stopped.process([pairs[stop]!]);
    }
    expect(expected.some(rows => rows.length > 1)).toBe(true);
  });

  it('keeps a vocabulary that the caller edited', async () => {
    const first = new DataPreprocessor({ embeddingDim: 4 });
    first.vocab.set('hello', 700);
    first.vocabSize = 900;
    const second = new DataPreprocessor({ embeddingDim: 4 });
    second.loadStateDict(JSON.parse(JSON.stringify(first.stateDict())));
    expect(second._tokenize('hello world')).toEqual([700, 32, 900, 32]);
    expect(second.vocab).toBeInstanceOf(Map);
  });

  it('gives rows of the state’s embedder for texts that were cached with another fit', async () => {
    const [one, other] = [await fitted(), await fitted(pairs.slice(0, 3))];
    const text = pairs[0]!.input;
    const expected = one.embed([text])[0]!;
    const preprocessor = new DataPreprocessor({ embedder: other });
    await preprocessor.process([pairs[0]!]);
    expect(preprocessor._embed(text)).not.toEqual(expected);
    preprocessor.loadStateDict(new DataPreprocessor({ embedder: one }).stateDict());
    expect(preprocessor._embed(text)).toEqual(expected);
  });
});

describe('loadStateDict refuses, with nothing changed,', () => {
  type Damage = (state: DataPreprocessorState) => unknown;
  it.each<[string, ErrorConstructor, Damage]>([
    ['state must be an object, got null', TypeError, () => null],
    ['state.words must be an array', TypeError, state => ({ ...state, words: {} })],
    ['state.words[1] must be a string', TypeError, state => ({ ...state, words: ['a', 1] })],
    ['state.words[1] is there twice', RangeError, state => ({ ...state, words: ['a', 'a'] })],
    ['state.tokens has 0 entries, state.words 4', RangeError, state => ({ ...state, tokens: [] })],
    ['state.tokens[0] must be an integer of at least 0, got -1', RangeError, state => ({ ...state, tokens: [-1, 1, 2, 3] })],
    ['state.vocabSize must be an integer', TypeError, state => ({ ...state, vocabSize: 'x' })],
    ['state is of a preprocessor without a seed, unlike this one', RangeError, state => ({ ...state, random: null })],
    ['state.random must have 4 entries, got 3', RangeError, state => ({ ...state, random: [1, 2, 3] })],
    ['state.random[3] must be an integer', RangeError, state => ({ ...state, random: [1, 2, 3, 2 ** 31] })],
    ['state has embeddingDim 17, this preprocessor has 16', RangeError, state => ({ ...state, embeddingDim: 17 })],
    ['state is of an embedder without a state of its own, unlike this one', RangeError, state => ({ ...state, embedder: null })],
    ['state.stats.filtered must be an integer', RangeError, state => ({ ...state, stats: { ...state.stats, filtered: -1 } })],
  ])('%s', async (message, type, damage) => {
    const preprocessor = new DataPreprocessor({ embedder: await fitted(), seed: 1 });
    await preprocessor.process([{ input: 'a b', output: 'c d' }]);
    const before = preprocessor.stateDict();
    expect(() => preprocessor.loadStateDict(untyped(damage(preprocessor.stateDict())))).toThrow(type);
    expect(() => preprocessor.loadStateDict(untyped(damage(preprocessor.stateDict())))).toThrow(
      `DataPreprocessor.loadStateDict: ${message}`,
    );
    expect(preprocessor.stateDict()).toEqual(before);
  }); // biome-ignore format: a table

  it('an embedder’s state that the embedder refuses, and one for an embedder without a state', async () => {
    const preprocessor = new DataPreprocessor({ embedder: new NgramEmbedder({ dim: 8 }) });
    const before = preprocessor.stateDict();
    const state = new DataPreprocessor({ embedder: await fitted() }).stateDict();
    expect(() => preprocessor.loadStateDict(state)).toThrow('NgramEmbedder.loadStateDict: state has dim 16');
    expect(preprocessor.stateDict()).toEqual(before);
    expect(() => new DataPreprocessor().loadStateDict(state)).toThrow('with a state of its own, unlike this one');
    const seeded = new DataPreprocessor({ seed: 1 }).stateDict();
    expect(() => new DataPreprocessor().loadStateDict(seeded)).toThrow('with a seed, unlike this one');
  });
});
