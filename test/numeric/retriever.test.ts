import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  cosineSimilarity,
  kernelBackend,
  LossComputer,
  Retriever,
  type Rows,
  releaseKernelMemory,
  type SearchResult,
  useKernelBackend,
  type Vector,
} from '../../src/index.js';
import { mulberry32 } from '../support/golden.js';

const backend = kernelBackend();
afterEach(() => useKernelBackend(backend));

function rowsOf(count: number, width: number, seed: number): Float32Array[] {
  const random = mulberry32(seed);
  return Array.from({ length: count }, () => Float32Array.from({ length: width }, () => 2 * random() - 1));
}

/** The search by its definition, in float64. */
function cosine(a: Vector, b: Vector): number {
  let [dot, squaresA, squaresB] = [0, 0, 0];
  for (let k = 0; k < a.length; k++) {
    dot += a[k]! * b[k]!;
    squaresA += a[k]! ** 2;
    squaresB += b[k]! ** 2;
  }
  return dot === 0 ? 0 : dot / Math.sqrt(squaresA * squaresB);
}

/** Expects each result to be as good as the result of a full sort at its place. Equal scores are ordered by index. */
function expectBest(result: SearchResult, queries: Rows, candidates: Rows, k: number, tolerance = 1e-6): void {
  expect(result.indices.length).toBe(queries.length);
  queries.forEach((query, i) => {
    const all = candidates.map(candidate => cosine(query, candidate));
    const best = [...all].sort((a, b) => b - a).slice(0, k);
    const indices = Array.from(result.indices[i]!);
    const scores = Array.from(result.scores[i]!);
    expect(indices.length).toBe(best.length);
    expect(new Set(indices).size).toBe(indices.length);
    const worst = best.reduce(
      (most, score, n) => Math.max(most, Math.abs(all[indices[n]!]! - score), Math.abs(scores[n]! - score)),
      0,
    );
    expect(worst).toBeLessThanOrEqual(tolerance);
    for (let n = 1; n < indices.length; n++) {
      const isInOrder = scores[n - 1]! > scores[n]! || (scores[n - 1] === scores[n] && indices[n - 1]! < indices[n]!);
      expect(isInOrder, `${scores[n - 1]} (${indices[n - 1]}), ${scores[n]} (${indices[n]})`).toBe(true);
    }
  });
}

const entry = fc.integer({ min: -2, max: 2 });
const corpus = fc
  .record({ width: fc.integer({ min: 1, max: 5 }), k: fc.integer({ min: 1, max: 50 }) })
  .chain(({ width, k }) => {
    const row = fc.array(entry, { minLength: width, maxLength: width });
    return fc.record({
      k: fc.constant(k),
      queries: fc.array(row, { minLength: 1, maxLength: 6 }),
      candidates: fc.array(row, { minLength: 1, maxLength: 40 }),
    });
  });

describe('search', () => {
  it('returns the best of a full sort, with ties, duplicates, zero rows and any k', () => {
    fc.assert(
      fc.property(corpus, ({ queries, candidates, k }) => {
        expectBest(new Retriever(candidates).search(queries, k), queries, candidates, k);
      }),
      { numRuns: 300 },
    );
  });

  it.each([
    [1, 1, 1],
    [3, 17, 7],
    [63, 1023, 31],
    [64, 1024, 32],
    [65, 1025, 33],
    [2, 2049, 255],
    [2, 2048, 256],
    [3, 1041, 257],
    [1, 300, 513],
    [129, 15, 16],
  ])('%i queries, %i candidates, %i numbers: blocks do not matter', (n, m, width) => {
    const [queries, candidates] = [rowsOf(n, width, n + m), rowsOf(m, width, m)];
    expectBest(new Retriever(candidates).search(queries, 5), queries, candidates, 5);
  });

  it('finds the same for each query alone and in chunks', () => {
    const [queries, candidates] = [rowsOf(35, 2 ** 16, 1), rowsOf(20, 2 ** 16, 2)];
    const retriever = new Retriever(candidates);
    const { indices, scores } = retriever.search(queries, 20);
    expectBest({ indices, scores }, queries, candidates, 20);
    for (const i of [0, 15, 16, 17, 31, 32, 34]) {
      const alone = retriever.search([queries[i]!], 20);
      expect([alone.indices[0], alone.scores[0]]).toEqual([indices[i], scores[i]]);
    }
  });

  it('orders cosines that differ by less than the float32 error, also more of them than it keeps', () => {
    const width = 700;
    const [base] = rowsOf(1, width, 3);
    const random = mulberry32(4);
    const candidates = Array.from({ length: 1500 }, () => base!.map(value => value + 4e-4 * (random() - 0.5)));
    const retriever = new Retriever(candidates);
    for (const k of [1, 7, 100]) expectBest(retriever.search([base!], k), [base!], candidates, k, 1.2e-7);
  });

  it('is the same on both backends to the last bit, near ties included', () => {
    const spread = fc.constantFrom(1, 1e-3, 1e-5, 1e-7);
    fc.assert(
      fc.property(fc.nat(1e6), spread, fc.integer({ min: 1, max: 40 }), (seed, scale, k) => {
        const [base, ...noise] = rowsOf(90, 48, seed);
        const candidates = noise.map(row => row.map((value, j) => base![j]! + scale * value));
        const retriever = new Retriever([...candidates, ...candidates.slice(0, 30)]);
        const queries = [base!, noise[0]!];
        const [simd, scalar] = (['simd', 'scalar'] as const).map(name => {
          useKernelBackend(name);
          return [retriever.search(queries, k), retriever.evaluate(queries, [[3, 100], 7])];
        });
        expect(simd).toEqual(scalar);
      }),
      { numRuns: 60 },
    );
  });

  it('puts the lower index first among equal rows, across blocks', () => {
    const [query, near, far] = rowsOf(3, 20, 5);
    const places = [3, 15, 16, 1023, 1024, 2047, 2048];
    const candidates = Array.from({ length: 3000 }, (_, j) =>
      places.includes(j) ? query!.map(value => value * 2 ** (j % 5)) : j % 2 ? near! : far!,
    );
    const retriever = new Retriever(candidates);
    expect(Array.from(retriever.search([query!], 7).indices[0]!)).toEqual(places);
    expect(Array.from(retriever.search([query!], 4).indices[0]!)).toEqual(places.slice(0, 4));
  });

  it('gives a zero row cosine 0 with all candidates, in the order of the indices', () => {
    const retriever = new Retriever([[1, 2], [0, 0], ...rowsOf(40, 2, 6)]);
    const { indices, scores } = retriever.search([[0, 0]], 12);
    expect(Array.from(indices[0]!)).toEqual(Array.from({ length: 12 }, (_, j) => j));
    expect(Array.from(scores[0]!)).toEqual(new Array(12).fill(0));
    const found = retriever.search([[1, 1]], 42);
    expect(found.scores[0]![found.indices[0]!.indexOf(1)]).toBe(0);
  });

  it('permutes the indices when candidates are permuted', () => {
    fc.assert(
      fc.property(fc.nat(1e6), fc.integer({ min: 2, max: 80 }), (seed, count) => {
        const [queries, candidates] = [rowsOf(3, 9, seed), rowsOf(count, 9, seed + 1)];
        const random = mulberry32(seed);
        const order = candidates.map((_, j) => ({ j, key: random() })).sort((a, b) => a.key - b.key);
        const permuted = new Retriever(order.map(({ j }) => candidates[j]!)).search(queries, 10);
        const found = new Retriever(candidates).search(queries, 10);
        expect(permuted.indices.map(row => row.map(j => order[j]!.j))).toEqual(found.indices);
        expect(permuted.scores).toEqual(found.scores);
      }),
    );
  });

  it('does not depend on the scale of rows, from 1e-200 to 1e200', () => {
    const scale = fc.integer({ min: -600, max: 600 });
    fc.assert(
      fc.property(fc.nat(1e6), fc.array(scale, { minLength: 30, maxLength: 30 }), scale, (seed, scales, ofQuery) => {
        const [queries, candidates] = [rowsOf(2, 6, seed), rowsOf(30, 6, seed + 1)];
        const scaled = (row: Float32Array, power: number): Float64Array => Float64Array.from(row, x => x * 2 ** power);
        const retriever = new Retriever(candidates.map((row, j) => scaled(row, scales[j]!)));
        const { indices, scores } = retriever.search(
          queries.map(row => scaled(row, ofQuery)),
          30,
        );
        const found = new Retriever(candidates).search(queries, 30);
        expect(indices).toEqual(found.indices);
        scores.forEach((row, i) => {
          row.forEach((score, n) => {
            expect(score).toBeCloseTo(found.scores[i]![n]!, 6);
          });
        });
      }),
    );
  });

  it('treats rows of all types the same, and returns cosines of at most 1', () => {
    const [queries, candidates] = [rowsOf(50, 33, 8), rowsOf(50, 33, 9)];
    const all = [...candidates, ...queries];
    const found = new Retriever(all).search(queries, 3);
    const kinds: ((row: Float32Array) => Vector)[] = [row => Array.from(row), row => Float64Array.from(row)];
    for (const kind of kinds)
      expect(
        new Retriever(all.map(row => kind(row))).search(
          queries.map(row => kind(row)),
          3,
        ),
      ).toEqual(found);
    found.indices.forEach((indices, i) => {
      expect(indices[0]).toBe(50 + i);
    });
    for (const scores of found.scores) expect(Math.max(...scores)).toBeLessThanOrEqual(1);
  });

  it('keeps a copy of the candidates that outlives kernel memory and other retrievers', () => {
    const [queries, one, other] = [rowsOf(4, 24, 10), rowsOf(50, 24, 11), rowsOf(70, 24, 12)];
    const retriever = new Retriever(one);
    const before = retriever.search(queries, 5);
    const second = new Retriever(other);
    const ofSecond = second.search(queries, 5);
    releaseKernelMemory();
    for (const row of one) row.fill(Number.NaN);
    LossComputer.contrastive(queries, queries);
    expect(retriever.search(queries, 5)).toEqual(before);
    expect(second.search(queries, 5)).toEqual(ofSecond);
    expect([retriever.size, retriever.dim, second.size]).toEqual([50, 24, 70]);
  });

  it('is freed by the garbage collector', async () => {
    setFlagsFromString('--expose-gc');
    const collectGarbage = runInNewContext('gc') as () => void;
    const rows = new Array<Float32Array>(2000).fill(new Float32Array(500).fill(1));
    const used = (): number => {
      collectGarbage();
      return process.memoryUsage().arrayBuffers;
    };
    const before = used();
    for (let i = 0; i < 12; i++) new Retriever(rows).search([rows[0]!], 1);
    // Each retriever held 4 MB.
    await vi.waitFor(() => expect(used() - before).toBeLessThan(12e6), { timeout: 10_000 });
  });
});

/** Unit vectors in the plane, each farther from [1, 0] than the one before: candidate j has rank j + 1. */
const fan = Array.from({ length: 12 }, (_, j) => [Math.cos(0.1 * (j + 1)), Math.sin(0.1 * (j + 1))]);
const ahead = [1, 0];

describe('evaluate', () => {
  it('by hand: one relevant candidate', () => {
    const { ranks, ...means } = new Retriever(fan).evaluate([ahead, ahead], [0, 2], { at: [1, 2, 3] });
    expect(Array.from(ranks)).toEqual([1, 3]);
    expect(means.accuracyAt).toEqual({ 1: 0.5, 2: 0.5, 3: 1 });
    expect(means.recallAt).toEqual({ 1: 0.5, 2: 0.5, 3: 1 });
    expect(means.precisionAt[1]).toBeCloseTo(1 / 2, 12);
    expect(means.precisionAt[2]).toBeCloseTo(1 / 4, 12);
    expect(means.precisionAt[3]).toBeCloseTo(1 / 3, 12);
    // 1 / log2(3 + 1) = 1 / 2 for the second query.
    expect(means.ndcgAt).toEqual({ 1: 0.5, 2: 0.5, 3: 0.75 });
    expect(means.mrr).toBeCloseTo((1 + 1 / 3) / 2, 12);
    expect(means.map).toBeCloseTo((1 + 1 / 3) / 2, 12);
  });

  it('by hand: two relevant candidates, at ranks 2 and 4', () => {
    const { ranks, ...means } = new Retriever(fan).evaluate([ahead], [[3, 1]], { at: [1, 3, 4, 100] });
    expect(Array.from(ranks)).toEqual([2]);
    expect(means.accuracyAt).toEqual({ 1: 0, 3: 1, 4: 1, 100: 1 });
    expect(means.precisionAt).toEqual({ 1: 0, 3: 1 / 3, 4: 1 / 2, 100: 2 / 100 });
    expect(means.recallAt).toEqual({ 1: 0, 3: 1 / 2, 4: 1, 100: 1 });
    const ideal = 1 + 0.6309297535714575; // 1 / log2(2) + 1 / log2(3)
    expect(means.ndcgAt[1]).toBe(0);
    expect(means.ndcgAt[3]).toBeCloseTo(0.6309297535714575 / ideal, 12);
    expect(means.ndcgAt[4]).toBeCloseTo((0.6309297535714575 + 0.43067655807339306) / ideal, 12); // + 1 / log2(5)
    expect(means.mrr).toBe(1 / 2);
    expect(means.map).toBeCloseTo((1 / 2 + 2 / 4) / 2, 12);
  });

  it('by hand: three relevant candidates at ranks 1, 2 and 10, more than the cut-off', () => {
    const { ndcgAt, map, recallAt } = new Retriever(fan).evaluate([ahead], [[9, 0, 1]], { at: [2] });
    expect(ndcgAt[2]).toBe(1);
    expect(recallAt[2]).toBeCloseTo(2 / 3, 12);
    expect(map).toBeCloseTo((1 + 1 + 3 / 10) / 3, 12);
  });

  it('orders ties by index: equal rows before the relevant one rank before it', () => {
    const same = [0.5, 0.5];
    const retriever = new Retriever([[0, 1], same, [2, 2], same, [1, 0]]);
    expect(Array.from(retriever.evaluate([same, same, same], [1, 2, 3]).ranks)).toEqual([1, 2, 3]);
    expect(Array.from(retriever.evaluate([same], [[3, 2]]).ranks)).toEqual([2]);
    expect(retriever.evaluate([same], [[3, 2]]).map).toBeCloseTo((1 / 2 + 2 / 3) / 2, 12);
    // All cosines of a zero query are 0.
    expect(Array.from(retriever.evaluate([[0, 0]], [[3, 4]]).ranks)).toEqual([4]);
  });

  it('counts a repeated index once', () => {
    const retriever = new Retriever(fan);
    expect(retriever.evaluate([ahead], [[1, 3, 1]])).toEqual(retriever.evaluate([ahead], [Int32Array.of(3, 1)]));
  });

  it('equals counts over the full ranking', () => {
    const problem = corpus.chain(({ queries, candidates }) =>
      fc.record({
        queries: fc.constant(queries),
        candidates: fc.constant(candidates),
        relevant: fc.array(fc.array(fc.nat(candidates.length - 1), { minLength: 1, maxLength: 6 }), {
          minLength: queries.length,
          maxLength: queries.length,
        }),
        at: fc.uniqueArray(fc.integer({ min: 1, max: 45 }), { minLength: 1, maxLength: 3 }),
      }),
    );
    fc.assert(
      fc.property(problem, ({ queries, candidates, relevant, at }) => {
        const retriever = new Retriever(candidates);
        const actual = retriever.evaluate(queries, relevant, { at });
        const { indices } = retriever.search(queries, candidates.length);
        const mean = (of: (ranking: number[], isRelevant: (j: number) => boolean, count: number) => number): number =>
          indices.reduce((sum, row, i) => {
            const set = new Set(relevant[i]);
            return sum + of(Array.from(row), j => set.has(j), set.size);
          }, 0) / queries.length;
        const firstHit = (ranking: number[], isRelevant: (j: number) => boolean): number =>
          1 + ranking.findIndex(isRelevant);
        for (const k of at) {
          const hits = (ranking: number[], isRelevant: (j: number) => boolean): number =>
            ranking.slice(0, k).filter(isRelevant).length;
          expect(actual.accuracyAt[k]).toBeCloseTo(
            mean((row, is) => (hits(row, is) > 0 ? 1 : 0)),
            12,
          );
          expect(actual.precisionAt[k]).toBeCloseTo(
            mean((row, is) => hits(row, is) / k),
            12,
          );
          expect(actual.recallAt[k]).toBeCloseTo(
            mean((row, is, count) => hits(row, is) / count),
            12,
          );
          const ndcg = mean((row, is, count) => {
            const gain = (gains: number[]): number => gains.reduce((sum, g, n) => sum + g / Math.log2(n + 2), 0);
            const gains = row.slice(0, k).map(j => (is(j) ? 1 : 0));
            return gain(gains) / gain(new Array(count).fill(1).slice(0, k));
          });
          expect(actual.ndcgAt[k]).toBeCloseTo(ndcg, 12);
        }
        expect(actual.mrr).toBeCloseTo(
          mean((row, is) => 1 / firstHit(row, is)),
          12,
        );
        const averagePrecision = mean((row, is, count) => {
          let [found, sum] = [0, 0];
          row.forEach((j, n) => {
            if (is(j)) sum += ++found / (n + 1);
          });
          return sum / count;
        });
        expect(actual.map).toBeCloseTo(averagePrecision, 12);
        expect(Array.from(actual.ranks)).toEqual(
          indices.map((row, i) => firstHit(Array.from(row), j => relevant[i]!.includes(j))),
        );
      }),
      { numRuns: 200 },
    );
  });

  it('ranks across blocks and chunks as a full search does', () => {
    const [queries, candidates] = [rowsOf(20, 2 ** 16, 13), rowsOf(18, 2 ** 16, 14)];
    const retrievers = [
      { retriever: new Retriever(candidates), queries },
      { retriever: new Retriever(rowsOf(2100, 40, 15)), queries: rowsOf(70, 40, 16) },
    ];
    for (const { retriever, queries: asked } of retrievers) {
      const relevant = asked.map((_, i) => (i * 31) % retriever.size);
      const { indices } = retriever.search(asked, retriever.size);
      const { ranks } = retriever.evaluate(asked, relevant);
      expect(Array.from(ranks)).toEqual(indices.map((row, i) => 1 + row.indexOf(relevant[i]!)));
    }
  });

  it('accepts an empty list of cut-offs, and any number of queries', () => {
    const queries = new Array<number[]>(9000).fill([1]);
    const { mrr, accuracyAt, ranks } = new Retriever([[1], [1]]).evaluate(queries, new Array(9000).fill(1), { at: [] });
    expect([mrr, accuracyAt, ranks.length]).toEqual([0.5, {}, 9000]);
  });
});

describe('intervals', () => {
  /** Queries that find their answer at rank 1 with probability `share`, and else at rank 2. */
  function evaluateDraws(count: number, share: number, seed: number, options = {}) {
    const random = mulberry32(seed);
    const relevant = Array.from({ length: count }, () => (random() < share ? 0 : 1));
    const retriever = new Retriever([ahead, [0, 1]]);
    return retriever.evaluate(new Array<number[]>(count).fill(ahead), relevant, { at: [1], ...options });
  }

  it('cover the truth about 95 times in 100', () => {
    const trials = 300;
    let covered = 0;
    for (let seed = 0; seed < trials; seed++) {
      const [low, high] = evaluateDraws(80, 0.6, seed).intervals.accuracyAt[1]!;
      if (low <= 0.6 && 0.6 <= high) covered++;
    }
    // Of 300 trials 285 are expected; 4 standard deviations of the count are 15.
    expect(covered).toBeGreaterThan(268);
    expect(covered).toBeLessThan(300);
  });

  it('are as wide as the normal approximation, contain the mean, and come from the same resamples', () => {
    const { accuracyAt, mrr, intervals } = evaluateDraws(400, 0.7, 5);
    const [low, high] = intervals.accuracyAt[1]!;
    const half = 1.96 * Math.sqrt((accuracyAt[1]! * (1 - accuracyAt[1]!)) / 400);
    expect(low).toBeCloseTo(accuracyAt[1]! - half, 1.9);
    expect(high).toBeCloseTo(accuracyAt[1]! + half, 1.9);
    expect((high - low) / (2 * half)).toBeGreaterThan(0.9);
    expect((high - low) / (2 * half)).toBeLessThan(1.1);
    // Reciprocal ranks are 1 or 1/2, so their interval has half the width on the same resamples.
    expect(intervals.mrr[0]).toBeCloseTo((1 + low) / 2, 12);
    expect(intervals.mrr[1]).toBeCloseTo((1 + high) / 2, 12);
    expect(mrr).toBeCloseTo((1 + accuracyAt[1]!) / 2, 12);
    expect(Object.keys(intervals)).toEqual(['accuracyAt', 'precisionAt', 'recallAt', 'ndcgAt', 'mrr', 'map']);
  });

  it('depend only on the seed, 1 by default; where all queries have the same score, both ends are the mean', () => {
    const { intervals } = evaluateDraws(60, 0.5, 7);
    expect(evaluateDraws(60, 0.5, 7, { seed: 1 }).intervals).toEqual(intervals);
    expect(evaluateDraws(60, 0.5, 7, { seed: null }).intervals).toEqual(intervals);
    expect(evaluateDraws(60, 0.5, 7, { seed: 2 }).intervals).not.toEqual(intervals);
    expect(evaluateDraws(9, 1, 7).intervals.accuracyAt[1]).toEqual([1, 1]);
  });
});

describe('cosineSimilarity', () => {
  it('is the cosine, for rows of any length', () => {
    expect(cosineSimilarity([3, 4], [4, 3])).toBe(0.96);
    expect(cosineSimilarity([1, 0], [0, 1])).toBe(0);
    expect(cosineSimilarity([0, 0], [0, 1])).toBe(0);
    expect(cosineSimilarity(Float32Array.of(1, 1), [-2, -2])).toBe(-1);
    fc.assert(
      fc.property(fc.nat(1e6), fc.integer({ min: -1000, max: 1000 }), (seed, power) => {
        const [a, b] = rowsOf(2, 19, seed);
        const scaled = Float64Array.from(a!, value => value * 2 ** power);
        expect(cosineSimilarity(scaled, b!)).toBeCloseTo(cosine(a!, b!), 14);
        expect(cosineSimilarity(b!, scaled)).toBe(cosineSimilarity(scaled, b!));
        expect(cosineSimilarity(scaled, scaled)).toBeLessThanOrEqual(1);
      }),
    );
  });

  it('differs from the original’s by the number added to the denominator', () => {
    const [a, b] = rowsOf(2, 50, 17);
    const norms = Math.hypot(...a!) * Math.hypot(...b!);
    const damped = (cosineSimilarity(a!, b!) * norms) / (norms + 1e-8);
    expect(LossComputer._cosineSimilarity(a!, b!)).toBeCloseTo(damped, 14);
    expect(LossComputer._cosineSimilarity([1e-5], [1e-5])).toBeLessThan(0.01);
    expect(cosineSimilarity([1e-5], [1e-5])).toBe(1);
  });
});
