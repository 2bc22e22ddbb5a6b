// Measures how well each way of searching finds the answers of held-out queries, and shows a few queries in full.

import { evaluate, retrieverOf } from './recipe.mjs';
import { TextIndex } from './text-index.mjs';

const EXAMPLES_SHOWN = 5;
const ANSWERS_SHOWN = 3;

/**
 * Searches for the answers of held-out pairs with a text index, with the bare embeddings and with the adapters.
 *
 * @param heldOut `{ pairs, queries, answers, answerRows, relevant }`.
 * @returns The whole evaluations by way of searching, and as `result` the main metrics and the examples.
 */
export function compare(heldOut, adapters) {
  const { pairs, answers, relevant } = heldOut;
  const index = new TextIndex(answers);
  const evaluations = {
    textIndex: index.evaluate(
      pairs.map(({ input }) => input),
      relevant,
    ),
    untrained: evaluate(heldOut),
    trained: evaluate(heldOut, adapters),
  };
  const topOf = ofAdapters => {
    const { retriever, queries } = retrieverOf(heldOut, ofAdapters);
    return i => retriever.search([queries[i]], ANSWERS_SHOWN).indices[0];
  };
  const searchers = {
    textIndex: i => index.search(pairs[i].input).slice(0, ANSWERS_SHOWN),
    untrained: topOf(),
    trained: topOf(adapters),
  };
  const found = (name, i) => {
    const rank = evaluations[name].ranks[i];
    return {
      rank: rank === Infinity ? null : rank,
      top: Array.from(searchers[name](i), candidate => answers[candidate]),
    };
  };
  const examples = choose(evaluations).map(i => ({
    input: pairs[i].input,
    output: pairs[i].output,
    ...Object.fromEntries(Object.keys(searchers).map(name => [name, found(name, i)])),
  }));
  const metrics = Object.entries(evaluations).map(([name, evaluation]) => [name, metricsOf(evaluation)]);
  return { evaluations, result: { ...Object.fromEntries(metrics), examples } };
}

export function metricsOf({ recallAt, mrr, intervals }) {
  const of = metrics => ({ recallAt1: metrics.recallAt[1], recallAt10: metrics.recallAt[10], mrr: metrics.mrr });
  return { ...of({ recallAt, mrr }), intervals: of(intervals) };
}

/**
 * A few queries, evenly spread over the queries whose answer changed its rank in training. Where these are too few,
 * they are spread over all queries.
 */
function choose({ untrained, trained }) {
  const all = Array.from(trained.ranks, (_, i) => i);
  const moved = all.filter(i => untrained.ranks[i] !== trained.ranks[i]);
  const choice = moved.length >= EXAMPLES_SHOWN ? moved : all;
  const shown = Math.min(EXAMPLES_SHOWN, choice.length);
  return Array.from({ length: shown }, (_, i) => choice[Math.floor(((i + 0.5) * choice.length) / shown)]);
}
