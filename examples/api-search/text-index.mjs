import MiniSearch from 'minisearch';

const RESAMPLES = 1000;

/** A full-text index of the answers: MiniSearch with its defaults. It needs neither embedding nor training. */
export class TextIndex {
  #index = new MiniSearch({ fields: ['text'] });

  constructor(answers) {
    this.#index.addAll(answers.map((text, id) => ({ id, text })));
  }

  /** Indices of the answers that share a word with the query, best first. */
  search(query) {
    return this.#index.search(query).map(({ id }) => id);
  }

  /** The same metrics as `Retriever.evaluate`. An answer that is not found has rank Infinity. */
  evaluate(queries, relevant) {
    const ranks = queries.map((query, i) => this.search(query).indexOf(relevant[i]) + 1 || Infinity);
    const within = k => ranks.map(rank => (rank <= k ? 1 : 0));
    const columns = { 1: within(1), 10: within(10), mrr: ranks.map(rank => 1 / rank) };
    const { mrr, ...recallAt } = map(columns, mean);
    const { mrr: ofMrr, ...ofRecall } = map(columns, intervalOf);
    return { recallAt, mrr, ranks, intervals: { recallAt: ofRecall, mrr: ofMrr } };
  }
}

function map(columns, fn) {
  return Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, fn(values)]));
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The 95 % interval of a mean by the bootstrap, as in `Retriever.evaluate`. */
function intervalOf(values) {
  let state = 1;
  const below = n => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
  const means = Array.from({ length: RESAMPLES }, () => mean(values.map(() => values[below(values.length)])));
  means.sort((a, b) => a - b);
  return [means[Math.round(0.025 * (RESAMPLES - 1))], means[Math.round(0.975 * (RESAMPLES - 1))]];
}
