import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  DataPreprocessor,
  type PairSplit,
  type SplitPairsOptions,
  splitPairs,
  type TextPair,
} from '../../src/index.js';

const PARTS = ['train', 'validation', 'test'] as const;

/** A few texts, so many are equal. Some differ only in ignored details. */
const pairs = fc.array(
  fc.record({ input: fc.nat(12), output: fc.nat(12), isLoud: fc.boolean() }).map(({ input, output, isLoud }) => ({
    input: isLoud ? ` Question  ${input}` : `question ${input}`,
    output: isLoud ? `ANSWER\t${output}` : `answer ${output}`,
  })),
  { minLength: 1, maxLength: 60 },
);
const options = fc.record({
  validation: fc.constantFrom(0, 0.01, 0.1, 0.3, 0.49),
  test: fc.constantFrom(0, 0.02, 0.2, 0.49),
  by: fc.constantFrom('input' as const, 'output' as const, 'either' as const),
  seed: fc.nat(),
});

function plain(text: string): string {
  return text.trim().toLowerCase().split(/\s+/).join(' ');
}

/** Numbers of groups, found by spreading each number to all that share a text until nothing changes. */
function groupsByHand(examples: readonly TextPair[], by: 'input' | 'output' | 'either'): number[] {
  const share = (a: TextPair, b: TextPair): boolean =>
    (by !== 'output' && plain(a.input) === plain(b.input)) || (by !== 'input' && plain(a.output) === plain(b.output));
  const groups = examples.map((_, i) => i);
  for (let changed = true; changed; ) {
    changed = false;
    examples.forEach((a, i) => {
      examples.forEach((b, j) => {
        if (!share(a, b) || groups[i]! <= groups[j]!) return;
        groups[i] = groups[j]!;
        changed = true;
      });
    });
  }
  return groups;
}

/** The split, or undefined where there are fewer groups than parts. */
function split<P extends TextPair>(examples: P[], opts: SplitPairsOptions): PairSplit<P> | undefined {
  const parts = 1 + Number(opts.validation !== 0) + Number(opts.test !== 0);
  if (new Set(groupsByHand(examples, opts.by ?? 'input')).size >= parts) return splitPairs(examples, opts);
  expect(() => splitPairs(examples, opts)).toThrow(RangeError);
  return undefined;
}

describe('splitPairs', () => {
  it('puts every example into one part, in order, and splits no group', () => {
    fc.assert(
      fc.property(pairs, options, (examples, opts) => {
        const result = split(examples, opts);
        if (!result) return;
        const partOf = new Map(PARTS.flatMap(part => result[part].map(pair => [pair as TextPair, part] as const)));
        expect(partOf.size).toBe(examples.length);
        for (const part of PARTS) {
          expect(result[part]).toEqual(examples.filter(pair => partOf.get(pair) === part));
        }
        const groups = groupsByHand(examples, opts.by);
        groups.forEach((group, i) => {
          expect(partOf.get(examples[i]!)).toBe(partOf.get(examples[group]!));
        });
      }),
      { numRuns: 300 },
    );
  });

  it('describes the split', () => {
    fc.assert(
      fc.property(pairs, options, (examples, opts) => {
        const result = split(examples, opts);
        if (!result) return;
        const groups = groupsByHand(examples, opts.by);
        const sizes = [...new Set(groups)].map(group => groups.filter(each => each === group).length);
        const { summary } = result;
        expect(summary).toMatchObject({
          by: opts.by,
          examples: examples.length,
          groups: sizes.length,
          largestGroup: Math.max(...sizes),
        });
        for (const part of PARTS) {
          const ofPart = new Set(result[part].map(pair => groups[examples.indexOf(pair)]));
          expect(summary[part]).toEqual({ examples: result[part].length, groups: ofPart.size });
        }
      }),
      { numRuns: 200 },
    );
  });

  it('fills every part with a share, and leaves the others empty', () => {
    fc.assert(
      fc.property(pairs, options, (examples, opts) => {
        const result = split(examples, opts);
        if (!result) return;
        expect(result.train.length).toBeGreaterThan(0);
        expect(result.validation.length > 0).toBe(opts.validation > 0);
        expect(result.test.length > 0).toBe(opts.test > 0);
      }),
      { numRuns: 300 },
    );
  });

  it('comes as near to a share as whole groups allow, and exceeds it by less than one of its groups', () => {
    fc.assert(
      fc.property(pairs, options, (examples, opts) => {
        const result = split(examples, { ...opts, test: 0 });
        if (!result || opts.validation === 0) return;
        const groups = groupsByHand(examples, opts.by);
        const sizesIn = (part: TextPair[]): number[] => {
          const numbers = part.map(pair => groups[examples.indexOf(pair)]!);
          return [...new Set(numbers)].map(number => numbers.filter(each => each === number).length);
        };
        const lack = Math.max(1, Math.round(opts.validation * examples.length)) - result.validation.length;
        const training = sizesIn(result.train);
        if (lack > 0 && training.length > 1)
          for (const size of training) expect(Math.abs(size - lack)).toBeGreaterThanOrEqual(lack);
        if (lack < 0) expect(Math.max(...sizesIn(result.validation))).toBeGreaterThan(-lack);
      }),
      { numRuns: 300 },
    );
  });

  it('gives single examples the shares to the nearest example, and puts each into a part equally often', () => {
    const examples = Array.from({ length: 25 }, (_, i) => ({ input: `q${i}`, output: 'a' }));
    const counts = new Array<number>(25).fill(0);
    for (let seed = 0; seed < 400; seed++) {
      const { train, validation, test } = splitPairs(examples, { validation: 0.2, test: 0.1, seed });
      expect([train.length, validation.length, test.length]).toEqual([17, 5, 3]);
      for (const pair of validation) counts[examples.indexOf(pair)]!++;
    }
    // 80 are expected for each, with a standard deviation of 8.
    for (const count of counts) expect(Math.abs(count - 80)).toBeLessThan(40);
    expect(splitPairs(examples, { seed: 1 }).validation.length).toBe(3);
  });

  it('is the same for the same seed, and differs for another', () => {
    const examples = Array.from({ length: 60 }, (_, i) => ({ input: `q${i}`, output: `a${i}` }));
    const of = (seed: number): TextPair[] => splitPairs(examples, { validation: 0.3, seed }).validation;
    expect(of(1)).toEqual(of(1));
    expect(of(1)).not.toEqual(of(2));
    expect(splitPairs(new Set(examples), { validation: 0.3, seed: 1 }).validation).toEqual(of(1));
  });

  it('draws from Math.random without a seed', () => {
    const examples = Array.from({ length: 60 }, (_, i) => ({ input: `q${i}`, output: `a${i}` }));
    const original = Math.random;
    Math.random = () => 0;
    try {
      expect(splitPairs(examples).validation).toEqual(splitPairs(examples).validation);
    } finally {
      Math.random = original;
    }
  });

  it.each([
    ['case', 'Where is my CARD?', 'where is my card?'],
    ['white space', '  where\n is\u00a0my card?', 'where is my card?'],
    ['composition', 'cafe\u0301', 'caf\u00e9'],
    ['width', 'ＡＰＩ', 'api'],
    ['invisible code points', 'soft\u00adhyphen\u200b', 'softhyphen'],
  ])('treats texts that differ only in %s as equal', (_, one, other) => {
    const examples = [one, other, 'something else'].map((input, i) => ({ input, output: `${i}` }));
    expect(splitPairs(examples, { validation: 0.4, seed: 1 }).summary.groups).toBe(2);
  });

  it('separates texts that differ in punctuation or accents', () => {
    const examples = ['C++', 'C#', 'résumé', 'resume'].map((input, i) => ({ input, output: `${i}` }));
    expect(splitPairs(examples, { seed: 1 }).summary.groups).toBe(4);
  });

  it("with by 'either' keeps chains of pairs together, but not an input with an equal output", () => {
    const chain = [
      { input: 'a', output: '1' },
      { input: 'b', output: '1' },
      { input: 'b', output: '2' },
      { input: 'c', output: '2' },
    ];
    const others = [
      { input: '1', output: 'x' },
      { input: 'y', output: 'a' },
    ];
    const { summary } = splitPairs([...others, ...chain], { validation: 0.2, by: 'either', seed: 1 });
    expect(summary).toMatchObject({ groups: 3, largestGroup: 4, validation: { groups: 1 } });
  });

  it('trains on a group of nearly all pairs, and holds out as many of the others as possible', () => {
    const examples = [
      ...Array.from({ length: 95 }, (_, i) => ({ input: `q${i}`, output: 'the one answer' })),
      ...Array.from({ length: 5 }, (_, i) => ({ input: `r${i}`, output: `a${i}` })),
    ];
    const { summary } = splitPairs(examples, { validation: 0.2, by: 'either', seed: 1 });
    expect(summary).toEqual({
      by: 'either',
      examples: 100,
      groups: 6,
      largestGroup: 95,
      train: { examples: 95, groups: 1 },
      validation: { examples: 5, groups: 5 },
      test: { examples: 0, groups: 0 },
    });
    const three = splitPairs(examples, { validation: 0.3, test: 0.3, by: 'either', seed: 1 }).summary;
    expect([three.train.groups, three.validation.groups, three.test.groups]).toEqual([1, 4, 1]);
  });

  it('holds out a whole group where all groups are larger than the share', () => {
    const examples = Array.from({ length: 300 }, (_, i) => ({ input: `q${i}`, output: `label ${i % 3}` }));
    const { summary } = splitPairs(examples, { validation: 0.1, by: 'output', seed: 1 });
    expect([summary.train.examples, summary.validation.examples]).toEqual([200, 100]);
  });

  it('does not change processed examples', async () => {
    const raw = Array.from({ length: 10 }, (_, i) => ({ input: `q${i}`, output: `a${i}` }));
    const processed = await new DataPreprocessor({ embeddingDim: 8 }).process(raw);
    const { train, validation } = splitPairs(processed, { seed: 1 });
    expect([...train, ...validation].every(example => processed.includes(example))).toBe(true);
    expect(validation[0]!.inputEmb.length).toBe(8);
  });

  it('splits a long chain of texts in linear time and without recursion', () => {
    const examples = Array.from({ length: 200_000 }, (_, i) => ({ input: `${i >> 1}`, output: `${(i + 1) >> 1}` }));
    expect(() => splitPairs(examples, { by: 'either' })).toThrow("the number of groups by 'either' is 1");
    expect(splitPairs(examples, { seed: 1 }).summary.validation.examples).toBe(20_000);
  });
});

describe('splitPairs refuses', () => {
  const examples = Array.from({ length: 4 }, (_, i) => ({ input: `q${i}`, output: 'a' }));
  const untyped = (value: unknown): never => value as never;

  it.each<[string, new () => Error, () => unknown]>([
    [
      'splitPairs: examples must be an array or another iterable, got undefined',
      TypeError,
      () => splitPairs(untyped(undefined)),
    ],
    ['splitPairs: examples is empty', RangeError, () => splitPairs([])],
    ['splitPairs: examples[1] must be an object, got null', TypeError, () => splitPairs(untyped([examples[0], null]))],
    [
      'splitPairs: examples[1].output must be a string, got 5',
      TypeError,
      () => splitPairs([examples[0]!, { input: 'q', output: untyped(5) }]),
    ],
    ['splitPairs: options must be an object, got 0.1', TypeError, () => splitPairs(examples, untyped(0.1))],
    [
      'splitPairs: validation must be a finite number of at least 0 and below 1, got 1',
      RangeError,
      () => splitPairs(examples, { validation: 1 }),
    ],
    [
      'splitPairs: test must be a finite number of at least 0 and below 1, got -0.1',
      RangeError,
      () => splitPairs(examples, { test: -0.1 }),
    ],
    [
      'splitPairs: validation and test leave nothing to train on, got 0.5 and 0.5',
      RangeError,
      () => splitPairs(examples, { validation: 0.5, test: 0.5 }),
    ],
    [
      "splitPairs: by must be 'input' | 'output' | 'either', got \"both\"",
      RangeError,
      () => splitPairs(examples, { by: untyped('both') }),
    ],
    [
      'splitPairs: seed must be an integer from 0 to 4294967295, got -1',
      RangeError,
      () => splitPairs(examples, { seed: -1 }),
    ],
    [
      "splitPairs: the number of groups by 'output' is 1, too few for 2 parts",
      RangeError,
      () => splitPairs(examples, { by: 'output' }),
    ],
  ])('%s', (message, type, call) => {
    expect(call).toThrow(type);
    expect(call).toThrow(message);
  });
});
