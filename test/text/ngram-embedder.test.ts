import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DataPreprocessor, NgramEmbedder, type NgramEmbedderState } from '../../src/index.js';
import { BUCKETS, DocumentFrequencies } from '../../src/text/document-frequencies.js';
import { countFeatures } from '../../src/text/features.js';
import { logarithm } from '../../src/text/logarithm.js';
import { packCounts, unpackCounts } from '../../src/text/packed-counts.js';
import { TermCounts } from '../../src/text/term-counts.js';
import { questionPairs } from '../support/question-pairs.js';
import { featuresOf, referenceRow } from '../support/reference-embedder.js';
import { asyncFrom } from '../support/sources.js';

/** Texts of characters of different classes, alone and next to each other. */
const character = fc.constantFrom(
  ...'aaabBBçÇİıßẞς1٣²½ _-=!.日本かナーｶﾞไก็ลາខမ한🙂ﬁ\u0301\u3099\u200d\u00ad\ud83d\ude42\0',
);
const text = fc.oneof(fc.string({ unit: character, maxLength: 30 }), fc.string({ unit: 'binary' }), fc.lorem());
const texts = fc.array(text, { minLength: 1, maxLength: 8 });

describe('the features of a text', () => {
  const cases: [text: string, ...features: string[]][] = [
    ['ab', 'wab', 'g ab', 'g ab ', 'gab '],
    ['a', 'wa', 'g a '],
    ['a == b', 'wa', 'g a ', 's==', 'g ==', 'g == ', 'g== ', 'wb', 'g b '],
    ['aB', 'wa', 'g a ', 'wb', 'g b ', 'wab'],
    ['日本語', 'u日', 'u本', 'u語', 'u日本', 'u本語', 'u日本語'],
    ['ไทย', 'uไ', 'uท', 'uย', 'uไท', 'uทย', 'uไทย'],
    [' \n'],
  ];
  it.each(cases)('%j equal those of the reference', (each, ...features) => {
    expect(featuresOf(each).sort()).toEqual(features.sort());
  });

  const words: [text: string, ...words: string[]][] = [
    ['addEventListener', 'add', 'event', 'listener', 'addeventlistener'],
    ['HTMLElement', 'html', 'element', 'htmlelement'],
    ['utf8', 'utf', '8', 'utf8'],
    ['snake_case kebab-case', 'snake', 'case', 'kebab', 'case'],
    ['ÉTÉ Été', 'été', 'été'],
    ['C++', 'c'],
  ];
  it.each(words)('%j has these words', (each, ...expected) => {
    const found = featuresOf(each).filter(feature => feature.startsWith('w'));
    expect(found.sort()).toEqual(expected.map(word => `w${word}`).sort());
  });

  it('make the row of the reference, to the precision of float32', async () => {
    await fc.assert(
      fc.asyncProperty(texts, fc.integer({ min: 16, max: 3000 }), async (each, dim) => {
        const embedder = new NgramEmbedder({ dim });
        expectRows(
          embedder.embed(each),
          each.map(one => referenceRow(one, dim)),
        );
        await embedder.fit(each.slice(1).concat('ab'));
        expectRows(
          embedder.embed(each),
          each.map(one => referenceRow(one, dim, each.slice(1).concat('ab'))),
        );
      }),
      { numRuns: 60 },
    );
  });
});

describe('a row', () => {
  const embed = (each: string): Float32Array => new NgramEmbedder().embed([each])[0]!;
  const cosine = (a: string, b: string): number => dot(embed(a), embed(b));

  it('has length 1, or is zero for a text without features', async () => {
    const fitted = await new NgramEmbedder().fit(['the words', 'and 1 more']);
    fc.assert(
      fc.property(texts, each => {
        for (const rows of [new NgramEmbedder().embed(each), fitted.embed(each)]) {
          rows.forEach((row, i) => {
            expect(dot(row, row)).toBeCloseTo(featuresOf(each[i]!).length === 0 ? 0 : 1, 5);
          });
        }
      }),
      { numRuns: 50 },
    );
    for (const each of ['', '  \n', '\u0301', '\u200b\ufe0f', '\ud800', '\0']) {
      expect(embed(each).every(value => value === 0)).toBe(true);
    }
  });

  it('depends only on its text', () => {
    const embedder = new NgramEmbedder({ dim: 64 });
    fc.assert(
      fc.property(fc.array(text, { maxLength: 150 }), each => {
        const rows = embedder.embed(each);
        expect(rows).toEqual(each.map(one => embedder.embed([one])[0]));
        expect(rows.every(row => row.length === 64)).toBe(true);
      }),
      { numRuns: 20 },
    );
  });

  it('is the same for texts that differ only in ignored details', () => {
    const equal: [string, string][] = [
      ['ﬁle NAME', 'FILE name'],
      ['Ｆｕｌｌ　ｗｉｄｔｈ', 'full width'],
      ['cafe\u0301', 'café'],
      ['ΟΔΟΣ', 'οδος'],
      ['soft\u00adhy\u200bphen\u200d', 'softhyphen'],
      ['❤\ufe0f', '❤'],
      ['ﾃﾞｰﾀ', 'データ'],
      ['lone\ud800surrogate', 'lone surrogate'],
      ['İstanbul', 'istanbul'],
      [`a${'\u0301'.repeat(31)}`, `a${'\u0301'.repeat(5000)}`],
    ];
    for (const [a, b] of equal) expect(embed(a)).toEqual(embed(b));
  });

  it('tells apart operators, languages, patterns, emoji and Han characters', () => {
    const different: [string, string][] = [
      ['a == b', 'a != b'],
      ['C++', 'C#'],
      ['[^a-z]*', '[a-z]+'],
      ['well done 🎉', 'well done 😡'],
      ['数据', '数居'],
    ];
    for (const [a, b] of different) expect(cosine(a, b)).toBeLessThan(0.95);
    expect(cosine('add an event listener', 'addEventListener')).toBeGreaterThan(0.5);
    expect(cosine('the utf 8 encoding', 'utf8')).toBeGreaterThan(0.3);
  });

  it('is near the rows of similar texts, and far from others', () => {
    expect(cosine('Returns the length of the array', 'return the lengths of arrays')).toBeGreaterThan(0.5);
    expect(Math.abs(cosine('Returns the length of the array', 'open a TCP socket'))).toBeLessThan(0.2);
  });

  it('has the same bits on every machine', async () => {
    const embedder = new NgramEmbedder({ dim: 6 });
    const bits = (): number[] => Array.from(new Uint32Array(embedder.embed(['Array.map(日本)'])[0]!.slice().buffer));
    const unfitted = bits();
    await embedder.fit(['Array.from', '日', 'map of Array', 'a map']);
    expect([unfitted, bits()]).toMatchInlineSnapshot(`
      [
        [
          1053676781,
          1060379216,
          1057006868,
          3192771821,
          3192771821,
          3184383213,
        ],
        [
          1055918611,
          1059164051,
          1057004633,
          3196542011,
          3191941548,
          3189689455,
        ],
      ]
    `);
  });
});

describe.each(Object.entries(questionPairs))('questions in %s', (_, pairs) => {
  it.each([256, 384, 1024, 2048])('find their answers without training, dim %d', async dim => {
    const [questions, answers] = [pairs.map(([question]) => question), pairs.map(([, answer]) => answer)];
    expect(pairs).toHaveLength(10);
    const fitted = await new NgramEmbedder({ dim }).fit(answers);
    for (const embedder of [new NgramEmbedder({ dim }), fitted]) {
      const candidates = embedder.embed(answers);
      const found = embedder.embed(questions).filter((question, i) => {
        const scores = candidates.map(candidate => dot(question, candidate));
        return scores.indexOf(Math.max(...scores)) === i;
      });
      expect(found.length).toBeGreaterThanOrEqual(9);
    }
  });
});

describe('fit', () => {
  const corpus = Array.from({ length: 200 }, (_, i) => `the text ${i} of ${i % 7}`);
  const expected = new NgramEmbedder({ dim: 32 }).fit(corpus);

  it('accepts arrays, iterables and async iterables, and returns the embedder', async () => {
    const embedder = new NgramEmbedder({ dim: 32 });
    expect(await embedder.fit(new Set(corpus))).toBe(embedder);
    expect(embedder.stateDict()).toEqual((await expected).stateDict());
    await embedder.fit(['something else']);
    await embedder.fit(asyncFrom(corpus));
    expect(embedder.stateDict()).toEqual((await expected).stateDict());
  });

  it('does not depend on the order of the texts', async () => {
    const reversed = await new NgramEmbedder({ dim: 32 }).fit([...corpus].reverse());
    expect(reversed.stateDict()).toEqual((await expected).stateDict());
  });

  it('gives rare features more weight than features of every text', async () => {
    const embedder = new NgramEmbedder();
    const share = (): number => dot(...(embedder.embed(['the zebra', 'zebra']) as [Float32Array, Float32Array]));
    const before = share();
    await embedder.fit(corpus.concat('zebra'));
    expect(share()).toBeGreaterThan(before + 0.05);
  });

  it('changes nothing when it fails', async () => {
    const embedder = await new NgramEmbedder({ dim: 32 }).fit(corpus);
    async function* breaking(): AsyncGenerator<string> {
      yield 'a';
      throw new Error('the disk is gone');
    }
    const failures: [unknown, string][] = [
      [[], 'NgramEmbedder.fit: texts is empty'],
      [['a', 3], 'NgramEmbedder.fit: texts[1] must be a string, got 3'],
      [new Array(1), 'NgramEmbedder.fit: texts[0] must be a string, got undefined'],
      ['abc', 'NgramEmbedder.fit: texts must be an array or an (async) iterable of strings, got "abc"'],
      [null, 'NgramEmbedder.fit: texts must be an array or an (async) iterable of strings, got null'],
      [asyncFrom(['a', null]), 'NgramEmbedder.fit: texts[1] must be a string, got null'],
      [breaking(), 'the disk is gone'],
    ];
    for (const [source, message] of failures) await expect(embedder.fit(source as string[])).rejects.toThrow(message);
    expect(embedder.stateDict()).toEqual((await expected).stateDict());
    expect(embedder.embed(corpus)).toEqual((await expected).embed(corpus));
  });

  it('closes a source that yields something other than a string', async () => {
    let closed = false;
    function* source(): Generator<unknown> {
      try {
        yield 3;
      } finally {
        closed = true;
      }
    }
    await expect(new NgramEmbedder().fit(source() as Generator<string>)).rejects.toThrow('texts[0] must be a string');
    expect(closed).toBe(true);
  });

  it('gives other work its turn', async () => {
    let isDone = false;
    let turns = 0;
    const many = function* (): Generator<string> {
      for (const start = performance.now(); performance.now() - start < 100; ) yield 'some words of a text';
    };
    const turn = (): void => {
      if (isDone) return;
      turns++;
      setImmediate(turn);
    };
    setImmediate(turn);
    await new NgramEmbedder().fit(many());
    isDone = true;
    expect(turns).toBeGreaterThan(1);
  });
});

describe('stateDict and loadStateDict', () => {
  const corpus = ['the first text', 'the 日本 second', 'C++ == C#'];

  it('transfer what was learned, through JSON', async () => {
    const fitted = await new NgramEmbedder({ dim: 100 }).fit(corpus);
    const copy = new NgramEmbedder({ dim: 100 });
    const untrained = copy.embed(corpus);
    copy.loadStateDict(throughJson(fitted.stateDict()));
    expect(copy.embed(corpus)).toEqual(fitted.embed(corpus));
    expect(copy.stateDict()).toEqual(fitted.stateDict());
    copy.loadStateDict(throughJson(new NgramEmbedder({ dim: 100 }).stateDict()));
    expect(copy.embed(corpus)).toEqual(untrained);
  });

  it('make a small state: a few bytes per feature', async () => {
    const state = (await new NgramEmbedder().fit(corpus)).stateDict();
    const features = new Set(corpus.flatMap(featuresOf));
    expect(state).toMatchObject({ version: 1, dim: 1024, documents: 3 });
    expect(state.frequencies.length).toBeLessThan(6 * features.size);
  });

  it('refuse a state that does not fit, and change nothing', async () => {
    const embedder = await new NgramEmbedder({ dim: 10 }).fit(corpus);
    const state = embedder.stateDict();
    const bytes = Buffer.from(state.frequencies, 'base64');
    const bad: [unknown, string][] = [
      [null, 'state must be an object, got null'],
      [[], 'state must be an object, got an array of 0'],
      [{ ...state, dim: 20 }, 'state has dim 20, this embedder 10'],
      [{ ...state, dim: '10' }, 'state.dim must be an integer of at least 1, got "10"'],
      [{ ...state, version: 2 }, 'state has version 2, this embedder 1'],
      [{ ...state, version: undefined }, 'state.version must be an integer of at least 1, got undefined'],
      [{ ...state, documents: -1 }, 'state.documents must be an integer from 0 to 4294967295, got -1'],
      [{ ...state, documents: 1 }, 'state.frequencies must be counts as stateDict packs them, got "'],
      [{ ...state, frequencies: undefined }, 'state.frequencies must be a string, got undefined'],
      [{ ...state, frequencies: '*' }, 'state.frequencies must be counts as stateDict packs them, got "*"'],
      [
        { ...state, frequencies: bytes.subarray(0, -1).toString('base64') },
        'state.frequencies must be counts as stateDict packs them, got "',
      ],
    ];
    for (const [each, message] of bad) {
      const load = (): void => embedder.loadStateDict(each as NgramEmbedderState);
      expect(load).toThrow(`NgramEmbedder.loadStateDict: ${message}`);
      expect(embedder.stateDict()).toEqual(state);
    }
  });
});

describe('bad input', () => {
  const cases: [string, unknown, () => unknown][] = [
    ['NgramEmbedder: options must be an object, got 3', TypeError, () => new NgramEmbedder(untyped(3))],
    ['NgramEmbedder: dim must be an integer from 1 to 1048576, got 0', RangeError, () => new NgramEmbedder({ dim: 0 })],
    [
      'NgramEmbedder: dim must be an integer from 1 to 1048576, got "8"',
      TypeError,
      () => new NgramEmbedder({ dim: untyped('8') }),
    ],
    [
      'NgramEmbedder.embed: texts must be an array, got "abc"',
      TypeError,
      () => new NgramEmbedder().embed(untyped('abc')),
    ],
    [
      'NgramEmbedder.embed: texts[1] must be a string, got null',
      TypeError,
      () => new NgramEmbedder().embed(['a', untyped(null)]),
    ],
    [
      'NgramEmbedder.embed: texts[0] must be a string, got undefined',
      TypeError,
      () => new NgramEmbedder().embed(new Array(2)),
    ],
  ];
  it.each(cases)('%s', (message, kind, call) => {
    expect(call).toThrow(expect.objectContaining({ message }));
    expect(call).toThrow(kind as ErrorConstructor);
  });

  it('does not occur with parallel calls of fit: the call that began last counts', async () => {
    const embedder = new NgramEmbedder({ dim: 64 });
    const many = Array.from({ length: 20_000 }, (_, i) => `text ${i}`);
    const [first, second] = [embedder.fit(many), embedder.fit(['one', 'two'])];
    await Promise.all([first, second]);
    expect(embedder.stateDict().documents).toBe(2);
    const slow = embedder.fit(many);
    embedder.loadStateDict((await new NgramEmbedder({ dim: 64 }).fit(['one'])).stateDict());
    await slow;
    expect(embedder.stateDict().documents).toBe(1);
  });

  it('does not include long runs of marks and invisible characters, which are read', () => {
    const embedder = new NgramEmbedder({ dim: 64 });
    const [plain, marked] = embedder.embed([`a${'\u0301'.repeat(30)}`, `a${'\u0301'.repeat(6_000_000)}`]);
    expect(marked).toEqual(plain);
  });

  it('includes a method without its embedder, and the error says so', () => {
    const { embed } = new NgramEmbedder();
    expect(() => embed(['text'])).toThrow('NgramEmbedder.embed: this is no NgramEmbedder; pass the embedder itself');
    expect(() => new DataPreprocessor({ embedder: NgramEmbedder as never })).toThrow(
      'DataPreprocessor: embedder is the class NgramEmbedder; pass an instance of it',
    );
  });

  it('does not include an empty list, which gives no rows', () => {
    expect(new NgramEmbedder().embed([])).toEqual([]);
  });
});

describe('long texts', () => {
  /** Counts how many features are added. */
  class CountedTerms extends TermCounts {
    added = 0;

    override add(hash: number): void {
      this.added++;
      super.add(hash);
    }
  }

  it.each([
    ['words', 'find all files in '],
    ['a single word', 'abcdefghij'],
    ['alternating case', 'aBcDe1'],
    ['symbols', '=!+-*'],
    ['Han', '日本語の文章'],
    ['marks', 'a\u0301\u0316'],
    ['marks of one letter', '\u0301\u0316'],
  ])('take time in proportion to their length: %s', (_, unit) => {
    const added = [1 << 14, 1 << 20].map(length => {
      const terms = new CountedTerms();
      countFeatures(unit.repeat(length / unit.length), terms);
      return terms.added / length;
    });
    expect(added[1]).toBeLessThanOrEqual(1.01 * added[0]!);
    expect(added[0]).toBeLessThan(5);
  });

  it('have the row of the reference', () => {
    const long = Array.from({ length: 1500 }, (_, i) => (i * i).toString(36)).join(' ');
    expectRows(new NgramEmbedder({ dim: 50 }).embed([long, 'short']), [
      referenceRow(long, 50),
      referenceRow('short', 50),
    ]);
  });
});

describe('TermCounts', () => {
  it('counts as a Map does, also after it was emptied', () => {
    const terms = new TermCounts();
    const hash = fc.oneof(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), fc.integer({ min: 0, max: 9 }));
    fc.assert(
      fc.property(fc.array(hash, { maxLength: 5000, size: 'max' }), hashes => {
        terms.clear();
        const expected = new Map<number, number>();
        for (const each of hashes) {
          terms.add(each);
          expected.set(each, (expected.get(each) ?? 0) + 1);
        }
        expect(terms.size).toBe(expected.size);
        expect(Array.from(terms.hashes.subarray(0, terms.size))).toEqual([...expected.keys()]);
        expect(Array.from(terms.counts.subarray(0, terms.size))).toEqual([...expected.values()]);
      }),
      { numRuns: 20 },
    );
    for (let i = 0; i < 100_000; i++) terms.add(i);
    terms.clear();
    terms.add(5);
    expect([terms.size, terms.hashes[0], terms.counts[0]]).toEqual([1, 5, 1]);
  });
});

describe('DocumentFrequencies', () => {
  it.each([3, 5000, 3_000_000_000])('weighs by a power of the smoothed inverse frequency of %d', documents => {
    const counts = new Uint32Array(BUCKETS).map((_, i) => Math.floor((documents * (i % 1000)) / 999));
    const frequencies = new DocumentFrequencies(documents, counts);
    for (let i = 0; i < 1000; i++) {
      const expected = (1 / 4 + Math.log((1 + documents) / (1 + counts[i]!))) ** 0.75;
      expect(Math.abs(frequencies.weightOf(i) - expected)).toBeLessThan(counts[i]! < 2048 ? 1e-14 : 1e-3);
      expect(frequencies.weightOf(i + BUCKETS)).toBe(frequencies.weightOf(i));
    }
    const again = new DocumentFrequencies(documents, frequencies.counts());
    for (let i = 0; i < 1000; i++) expect(again.weightOf(i)).toBe(frequencies.weightOf(i));
    expect(frequencies.counts().every((count, i) => count <= counts[i]! && counts[i]! - count <= count / 1024)).toBe(
      true,
    );
  });
});

describe('packed counts', () => {
  it('come back as they were', () => {
    const counts = fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffffffff })), { maxLength: 300 });
    fc.assert(
      fc.property(counts, each => {
        const array = Uint32Array.from(each);
        expect(unpackCounts(packCounts(array), array.length, 0xffffffff)).toEqual(array);
      }),
    );
  });

  it('are refused unless they have the packed form', () => {
    const packed = (...bytes: number[]): string => Buffer.from(bytes).toString('base64');
    expect(unpackCounts(packed(0, 1, 2, 3), 4, 3)).toEqual(Uint32Array.of(1, 0, 0, 3));
    const bad = [
      packed(0), // No count.
      packed(0, 0), // A count of 0.
      packed(0, 1, 3, 1), // Beyond the end.
      packed(0, 4), // Too large.
      packed(0, 0x81), // Cut off.
      packed(0, 0x81, 0), // Longer than needed.
      packed(0, 0x80, 0x80, 0x80, 0x80, 0x80, 1), // Too long.
      'AAE', // Without padding.
      'AAE=\n',
      'AAF=', // Bits to spare.
      '*',
    ];
    for (const each of bad) expect(unpackCounts(each, 4, 3)).toBeUndefined();
  });
});

describe('logarithm', () => {
  it('equals Math.log', () => {
    const positive = fc.double({ min: 2 ** -40, max: 2 ** 40, noNaN: true });
    fc.assert(
      fc.property(positive, x => {
        expect(Math.abs(logarithm(x) - Math.log(x))).toBeLessThanOrEqual(1e-15 * (1 + Math.abs(Math.log(x))));
      }),
    );
    expect(logarithm(1)).toBe(0);
  });
});

function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0);
}

function expectRows(rows: readonly Float32Array[], expected: readonly number[][]): void {
  expect(rows).toHaveLength(expected.length);
  const distances = rows.map((row, i) => Math.max(...expected[i]!.map((value, j) => Math.abs(value - row[j]!))));
  expect(Math.max(...distances)).toBeLessThan(1e-6);
}

function throughJson<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}

function untyped(value: unknown): never {
  return value as never;
}
