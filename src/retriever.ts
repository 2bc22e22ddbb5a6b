import { withDefaults } from './internal/options.js';
import { checkArray, checkCount, checkFiniteRows, checkOneOf, checkSeed, checkWidth } from './internal/validate.js';
import { kernels } from './kernels/index.js';
import type { Precision } from './kernels/kernels.js';
import { type Int16Panels, packInt16 } from './kernels/packed-int16.js';
import { type PackedRows, packRows } from './kernels/packed-rows.js';
import { bootstrapIntervals, type Interval } from './retriever/bootstrap.js';
import { eachChunk } from './retriever/chunks.js';
import { metricColumns } from './retriever/metrics.js';
import { relevantRanks } from './retriever/ranks.js';
import { checkRelevant, type RelevantCandidates } from './retriever/relevant.js';
import { topCandidates } from './retriever/top-candidates.js';
import type { Float32Row, Rows } from './types.js';

/** The result of a search. Row i of each list belongs to query i. */
export interface SearchResult {
  /** Indices of the candidates, best first. */
  indices: Int32Array[];
  /** Their cosines. */
  scores: Float32Row[];
}

export interface SearchOptions {
  /**
   * The precision of the first pass over all candidates. The results are the same to the last bit. `'int16'` rounds
   * entries of unit rows to 16-bit integers, and scores candidates that may rank wrongly again in float32.
   *
   * @default 'float32'
   */
  precision?: Precision;
}

export interface EvaluateOptions {
  /**
   * Cut-offs of accuracy, precision, recall and nDCG, each an integer of at least 1.
   *
   * @default [1, 10]
   */
  at?: readonly number[];
  /**
   * Seed (uint32) of the bootstrap.
   *
   * @default 1
   */
  seed?: number;
  /**
   * As in {@link SearchOptions}. The results are the same to the last bit.
   *
   * @default 'float32'
   */
  precision?: Precision;
}

/** One value per metric, or per metric and cut-off. All metrics are from 0 to 1. */
export interface RetrievalMetrics<Value = number> {
  /** Share of queries with a relevant candidate among the best k. */
  accuracyAt: Record<number, Value>;
  /** Share of the best k candidates that are relevant. */
  precisionAt: Record<number, Value>;
  /** Share of the relevant candidates that are among the best k. */
  recallAt: Record<number, Value>;
  /** Normalised discounted cumulative gain of the best k. */
  ndcgAt: Record<number, Value>;
  /** Mean reciprocal rank of the best relevant candidate. */
  mrr: Value;
  /** Mean average precision. */
  map: Value;
}

/** The result of `evaluate`: means over the queries. */
export interface RetrievalEvaluation extends RetrievalMetrics {
  /** Rank of the best relevant candidate of each query, from 1. */
  ranks: Int32Array;
  /** 95 % intervals of the means. */
  intervals: RetrievalMetrics<Interval>;
}

/** The packed candidates of a retriever, for the functions of the library that take one. */
export let packedCandidatesOf: (retriever: Retriever) => PackedRows;

/**
 * Finds the candidates nearest to queries by cosine similarity. The candidates are scaled to length 1 and packed once.
 * Searches never hold the matrix of all cosines. A retriever keeps a copy of its candidates in float32, with 4 bytes
 * per entry. From the first call with `precision: 'int16'` on, it keeps another in 16-bit integers, with 2 bytes per
 * entry. The garbage collector frees them together with the retriever. `releaseKernelMemory()` does not.
 *
 * Cosines are products of unit rows in float32, added up in float64 and rounded to float32. They are within 1e-6 of
 * `cosineSimilarity`. Candidates of equal cosine rank by index, the lower first. A zero row has cosine 0 with
 * every row. Both kernel backends give the same indices and scores.
 *
 * @example
 * ```js
 * import { Retriever } from 'microlora-training-utils';
 *
 * const retriever = new Retriever([[1, 0], [0.6, 0.8], [0, 1]]);
 * const { indices, scores } = retriever.search([[0, 2]], 2);
 * console.log(indices[0], scores[0][0]); // Int32Array(2) [ 2, 1 ] 1
 * const { mrr, ranks } = retriever.evaluate([[0, 2], [1, 0]], [1, [0, 1]]);
 * console.log(mrr, ranks); // 0.75 Int32Array(2) [ 2, 1 ]
 * ```
 */
export class Retriever {
  /** Length of the rows. */
  readonly dim: number;
  /** Number of candidates. */
  readonly size: number;

  readonly #packed: PackedRows;
  /** The candidates in 16-bit integers. The first call with `'int16'` makes them. */
  #int16: Int16Panels | undefined;

  static {
    packedCandidatesOf = retriever => retriever.#packed;
  }

  /**
   * @param candidates At least one row. All rows have equal length. They are copied.
   * @throws TypeError or RangeError that names the row and the value.
   */
  constructor(candidates: Rows) {
    checkFiniteRows('Retriever', 'candidates', candidates);
    checkWidth('Retriever', 'candidates', candidates, candidates[0]!.length);
    this.dim = candidates[0]!.length;
    this.size = candidates.length;
    this.#packed = packRows(candidates);
  }

  /**
   * The `k` nearest candidates of each query, best first. If there are fewer than `k`, all candidates.
   *
   * `precision: 'int16'` gives the same result sooner on the SIMD backend. The first such call rounds the candidates to
   * 16-bit integers, and keeps them. A proven bound of the rounding error, little more than √dim / 32767, tells which
   * candidates need the cosine in float32. If too many are that close to the `k`-th, the query is searched again in
   * float32. On the scalar backend, the option changes nothing.
   *
   * @param queries At least one row of `dim` numbers.
   * @param k Number of candidates per query, an integer of at least 1.
   * @throws TypeError or RangeError that names the argument, the row and the value.
   */
  search(queries: Rows, k: number, options: SearchOptions = {}): SearchResult {
    const call = 'Retriever.search';
    const { precision } = withDefaults(call, { precision: 'float32' as Precision }, options);
    this.#checkQueries(call, queries);
    checkCount(call, 'k', k);
    const int16 = this.#int16Panels(call, precision);
    const kept = Math.min(k, this.size);
    const result: SearchResult = { indices: [], scores: [] };
    eachChunk(queries, kept, chunk => {
      for (const { indices, scores } of topCandidates(chunk, this.#packed, kept, undefined, int16)) {
        result.indices.push(indices);
        result.scores.push(scores);
      }
    });
    return result;
  }

  /**
   * Measures how well the queries find their relevant candidates, in means over the queries. A query's R relevant
   * candidates have the ranks r₁ < r₂ < … among all candidates:
   *
   * - `accuracyAt[k]`: 1 where r₁ ≤ k, else 0.
   * - `precisionAt[k]`: the number of ranks up to k, divided by k, also where there are fewer than k candidates.
   * - `recallAt[k]`: the number of ranks up to k, divided by R.
   * - `ndcgAt[k]`: Σ 1 / log₂(rᵢ + 1) over the ranks up to k, divided by its greatest value, Σ 1 / log₂(i + 1) for i
   *   from 1 to min(k, R).
   * - `mrr`: 1 / r₁.
   * - `map`: Σ i / rᵢ, divided by R.
   *
   * These are the definitions of sentence-transformers' `InformationRetrievalEvaluator` and of trec_eval's `success`,
   * `P`, `recall`, `ndcg_cut`, `recip_rank` and `map`, with relevance 0 or 1. `mrr` and `map` use the whole ranking,
   * as in trec_eval. sentence-transformers cuts them off, at 10 and 100 by default. Candidates of equal cosine rank by
   * index, the lower first, as in {@link search}. trec_eval orders them by name.
   *
   * `intervals` holds `[low, high]` for every mean: the 2.5th and 97.5th percentile of the means of 1,000 resamples of
   * the queries (Efron and Tibshirani 1993, "An introduction to the bootstrap"). It shows how much the choice of
   * queries matters. If all queries score the same, its ends are equal, for any number of queries.
   *
   * @param queries At least one row of `dim` numbers.
   * @param relevant For each query, the index of its relevant candidate, or the indices of several. A repeated index
   *   counts once.
   * @throws TypeError or RangeError that names the argument, the query and the value. RangeError for a query without a
   *   relevant candidate.
   */
  evaluate(queries: Rows, relevant: readonly RelevantCandidates[], options: EvaluateOptions = {}): RetrievalEvaluation {
    const call = 'Retriever.evaluate';
    const defaults = { at: [1, 10] as readonly number[], seed: 1, precision: 'float32' as Precision };
    const { at, seed, precision } = withDefaults(call, defaults, options);
    checkArray(call, 'at', at);
    const cutOffs = [...new Set(at.map((k, i) => checkCount(call, `at[${i}]`, k)))];
    checkSeed(call, seed);
    this.#checkQueries(call, queries);
    const indices = checkRelevant(call, relevant, queries.length, this.size);
    const int16 = this.#int16Panels(call, precision);

    const ranks: Int32Array[] = [];
    eachChunk(queries, 1, (chunk, first) => {
      ranks.push(...relevantRanks(chunk, this.#packed, indices.slice(first, first + chunk.count), int16));
    });
    const columns = metricColumns(ranks, cutOffs);
    const intervals = bootstrapIntervals(
      columns.map(({ values }) => values),
      seed,
    );
    const result: RetrievalEvaluation = {
      ...emptyMetrics<number>(0),
      ranks: Int32Array.from(ranks, ofQuery => ofQuery[0]!),
      intervals: emptyMetrics<Interval>([0, 0]),
    };
    columns.forEach(({ name, at: cutOff, values }, c) => {
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      write(result, name, cutOff, mean);
      write(result.intervals, name, cutOff, intervals[c]!);
    });
    return result;
  }

  /** The candidates in 16-bit integers. Undefined for `'float32'` and on the scalar backend. */
  #int16Panels(call: string, precision: Precision): Int16Panels | undefined {
    checkOneOf(call, 'precision', precision, ['float32', 'int16']);
    if (precision === 'float32' || kernels().name === 'scalar') return undefined;
    this.#int16 ??= packInt16(this.#packed);
    return this.#int16;
  }

  #checkQueries(call: string, queries: Rows): void {
    checkFiniteRows(call, 'queries', queries);
    checkWidth(call, 'queries', queries, this.dim);
  }
}

function emptyMetrics<Value>(value: Value): RetrievalMetrics<Value> {
  return { accuracyAt: {}, precisionAt: {}, recallAt: {}, ndcgAt: {}, mrr: value, map: value };
}

function write<Value>(
  metrics: RetrievalMetrics<Value>,
  name: keyof RetrievalMetrics,
  cutOff: number | undefined,
  value: Value,
): void {
  if (name === 'mrr' || name === 'map') metrics[name] = value;
  else metrics[name][cutOff!] = value;
}
