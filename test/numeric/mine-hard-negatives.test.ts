import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  cosineSimilarity,
  type HardNegativeOptions,
  mineHardNegatives,
  Retriever,
  type Rows,
} from '../../src/index.js';
import { mulberry32 } from '../support/golden.js';

interface Corpus {
  queries: Float32Array[];
  candidates: Float32Array[];
  relevant: number[][];
}

/** Candidates near their queries. Some occur twice, and some of these have double length. */
function corpusOf(seed: number, queryCount: number, count: number): Corpus {
  const random = mulberry32(seed);
  const row = (): Float32Array => Float32Array.from({ length: 6 }, () => 2 * random() - 1);
  const queries = Array.from({ length: queryCount }, row);
  const candidates: Float32Array[] = [];
  for (let j = 0; j < count; j++) {
    const query = queries[j % queryCount]!;
    const fresh = row().map((value, k) => query[k]! + 1.5 * value);
    const earlier = candidates[Math.floor(random() * j)];
    candidates.push(j > 0 && random() < 0.3 ? earlier!.map(value => value * (random() < 0.5 ? 1 : 2)) : fresh);
  }
  const relevant = queries.map(() =>
    Array.from({ length: 1 + Math.floor(random() * 3) }, () => Math.floor(random() * count)),
  );
  return { queries, candidates, relevant };
}

/** Indices of all possible negatives of query i, best first, by a loop over the rule. */
function allowed({ queries, candidates, relevant }: Corpus, i: number, options: HardNegativeOptions): number[] {
  const { maxSimilarity, relativeMargin } = options;
  const similarities = candidates.map(candidate => cosineSimilarity(queries[i]!, candidate));
  const direction = (row: Float32Array): string => {
    const norm = Math.hypot(...row);
    return Array.from(row, value => (value / norm).toFixed(9)).join();
  };
  const positives = new Set(relevant[i]!.map(j => direction(candidates[j]!)));
  return candidates
    .map((_, j) => j)
    .filter(j => {
      const similarity = similarities[j]!;
      if (positives.has(direction(candidates[j]!))) return false;
      if (maxSimilarity !== undefined && similarity > maxSimilarity) return false;
      if (relativeMargin === undefined) return true;
      return relevant[i]!.every(p => {
        const own = similarities[p]!;
        return similarity <= own - relativeMargin * Math.abs(own);
      });
    })
    .sort((a, b) => {
      const gap = similarities[b]! - similarities[a]!;
      return Math.abs(gap) < 1e-9 ? a - b : gap;
    });
}

const limits = fc.record(
  { maxSimilarity: fc.constantFrom(-0.2, 0.3, 0.8), relativeMargin: fc.constantFrom(0, 0.05, 0.4) },
  { requiredKeys: [] },
);
const ranges = fc
  .tuple(fc.nat(6), fc.integer({ min: 1, max: 30 }))
  .map(([from, length]) => [from, from + length] as const);

describe('mineHardNegatives', () => {
  it('top: follows the rule, computed over all pairs', () => {
    fc.assert(
      fc.property(fc.nat(1e6), limits, ranges, fc.integer({ min: 1, max: 5 }), (seed, limit, range, wanted) => {
        const corpus = corpusOf(seed, 1 + (seed % 5), 1 + (seed % 60));
        const count = Math.min(wanted, range[1] - range[0]);
        const options = { ...limit, range, count };
        const mined = mineHardNegatives(corpus.queries, corpus.candidates, corpus.relevant, options);
        corpus.queries.forEach((_, i) => {
          const expected = allowed(corpus, i, options).slice(...range);
          expect(Array.from(mined[i]!)).toEqual(expected.slice(0, count));
        });
      }),
      { numRuns: 400 },
    );
  });

  it('random: draws distinct candidates of the range, keeps their order, and draws as many as requested where possible', () => {
    fc.assert(
      fc.property(fc.nat(1e6), limits, ranges, fc.integer({ min: 1, max: 5 }), (seed, limit, range, wanted) => {
        const corpus = corpusOf(seed, 1 + (seed % 5), 1 + (seed % 60));
        const count = Math.min(wanted, range[1] - range[0]);
        const options = { ...limit, range, count, sampling: 'random', seed } as const;
        const mined = mineHardNegatives(corpus.queries, corpus.candidates, corpus.relevant, options);
        corpus.queries.forEach((_, i) => {
          const left = allowed(corpus, i, options).slice(...range);
          const places = Array.from(mined[i]!, j => left.indexOf(j));
          expect(places.length).toBe(Math.min(count, left.length));
          expect(places).toEqual([...new Set(places)].sort((a, b) => a - b));
          if (places.length > 0) expect(places[0]).toBeGreaterThanOrEqual(0);
        });
        expect(mineHardNegatives(corpus.queries, corpus.candidates, corpus.relevant, options)).toEqual(mined);
        const [first] = mineHardNegatives([corpus.queries[0]!], corpus.candidates, [corpus.relevant[0]!], options);
        expect(first).toEqual(mined[0]);
      }),
      { numRuns: 200 },
    );
  });

  it('random: draws each candidate of the range equally often', () => {
    const corpus = corpusOf(3, 1, 40);
    const options = { sampling: 'random', range: [2, 7], count: 2 } as const;
    const counts = new Map<number, number>();
    for (let seed = 0; seed < 1000; seed++) {
      const [mined] = mineHardNegatives(corpus.queries, corpus.candidates, corpus.relevant, { ...options, seed });
      for (const j of mined!) counts.set(j, (counts.get(j) ?? 0) + 1);
    }
    const inRange = allowed(corpus, 0, {}).slice(2, 7);
    expect([...counts.keys()].sort()).toEqual([...inRange].sort());
    // Within 5 standard deviations of 400.
    for (const j of inRange) expect(Math.abs(counts.get(j)! - 400)).toBeLessThan(5 * Math.sqrt(1000 * 0.4 * 0.6));
  });

  it('random: draws from Math.random without a seed', () => {
    const corpus = corpusOf(5, 1, 60);
    const original = Math.random;
    const drawWith = (value: number): number[] => {
      Math.random = () => value;
      try {
        const options = { sampling: 'random', range: [0, 10] } as const;
        return Array.from(mineHardNegatives(corpus.queries, corpus.candidates, corpus.relevant, options)[0]!);
      } finally {
        Math.random = original;
      }
    };
    const inRange = allowed(corpus, 0, {}).slice(0, 10);
    expect(drawWith(0)).toEqual([inRange[0]]);
    expect(drawWith(0.999)).toEqual([inRange[9]]);
  });

  it('accepts a Retriever instead of the rows, and returns the same', () => {
    const { queries, candidates, relevant } = corpusOf(4, 7, 80);
    const retriever = new Retriever(candidates);
    const options = { count: 3, relativeMargin: 0.1 };
    const mined = mineHardNegatives(queries, candidates, relevant, options);
    expect(mineHardNegatives(queries, retriever, relevant, options)).toEqual(mined);
    expect(mined.some(row => row.length === 3)).toBe(true);
  });

  it('finds fewer or none where the corpus has little but duplicates of relevant rows', () => {
    const answer = [1, 2];
    const corpus: Rows = [answer, [2, 4], [0, 1], answer];
    expect(mineHardNegatives([answer], corpus, [0], { count: 3 })).toEqual([Int32Array.of(2)]);
    expect(mineHardNegatives([answer], corpus, [[0, 2]], { count: 3 })).toEqual([new Int32Array(0)]);
    expect(mineHardNegatives([answer], corpus, [0], { range: [1, 5] })).toEqual([new Int32Array(0)]);
  });

  it('finds the same for each query alone and in chunks', () => {
    const width = 2 ** 16;
    const random = mulberry32(8);
    const row = (): Float32Array => Float32Array.from({ length: width }, () => random() - 0.5);
    const [queries, candidates] = [Array.from({ length: 20 }, row), Array.from({ length: 24 }, row)];
    const relevant = queries.map((_, i) => [i, (i + 5) % 24]);
    const retriever = new Retriever(candidates);
    const mined = mineHardNegatives(queries, retriever, relevant, { count: 4, relativeMargin: 0.1 });
    expect(mined.some(indices => indices.length > 0)).toBe(true);
    queries.forEach((query, i) => {
      const options = { count: 4, relativeMargin: 0.1 };
      expect(mineHardNegatives([query], retriever, [relevant[i]!], options)).toEqual([mined[i]]);
    });
  });

  it('leaves no gap where many duplicates of the relevant row span several blocks', () => {
    const [query, near, far] = [
      [1, 0.1, 0],
      [1, 0, 0.5],
      [1, 1, 1],
    ];
    const corpus = Array.from({ length: 2500 }, (_, j) => (j === 1200 ? near! : j % 3 ? query! : [2, 0.2, 0]));
    corpus[2400] = far!;
    expect(mineHardNegatives([query!], corpus, [7], { count: 4 })).toEqual([Int32Array.of(1200, 2400)]);
  });

  it('includes the value of the limit itself', () => {
    const corpus = [
      [1, 0],
      [4, 3],
      [4, -3],
      [0, 1],
    ];
    expect(mineHardNegatives([[1, 0]], corpus, [0], { maxSimilarity: 0.8 })).toEqual([Int32Array.of(1)]);
    expect(mineHardNegatives([[1, 0]], corpus, [1], { relativeMargin: 0 })).toEqual([Int32Array.of(2)]);
    expect(mineHardNegatives([[1, 0]], corpus, [0], { relativeMargin: 0.2 })).toEqual([Int32Array.of(1)]);
    expect(mineHardNegatives([[1, 0]], corpus, [0], { relativeMargin: 0.21 })).toEqual([Int32Array.of(3)]);
  });

  it('changes neither queries nor corpus', () => {
    const corpus = corpusOf(6, 3, 30);
    const before = structuredClone(corpus);
    mineHardNegatives(corpus.queries, corpus.candidates, corpus.relevant, { count: 5 });
    expect(corpus).toEqual(before);
  });

  it('skips float32 copies of a relevant row, at any length', () => {
    const random = mulberry32(3);
    for (let run = 0; run < 50; run++) {
      const row = Float32Array.from({ length: 5 }, () => random() - 0.5);
      const factor = 0.1 + 10 * random();
      const copy = row.map(value => value * factor);
      expect(mineHardNegatives([row], [row, copy], [0])).toEqual([new Int32Array(0)]);
    }
  });
});
