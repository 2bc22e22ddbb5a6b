import { Retriever } from 'microlora-training-utils';
import MiniSearch from 'minisearch';
import { evaluate } from './training.mjs';

/**
 * Searches the same questions with a text index over the answers' words, with the bare embeddings, and with the
 * embeddings through the trained adapters.
 *
 * @returns Pairs of a name and a result of `Retriever.evaluate`.
 */
export function compare(questions, answers, answerRows, adapters) {
  return [
    ['text index (MiniSearch)', evaluateRankings(questions.texts.map(textIndex(answers)), questions, answers.length)],
    ['model, untrained', new Retriever(answerRows).evaluate(questions.rows, questions.relevant)],
    ['model, trained', evaluate(adapters, questions, answerRows)],
  ];
}

/** MiniSearch with its defaults: a function from a query to the indices of the answers it finds, best first. */
function textIndex(answers) {
  const index = new MiniSearch({ fields: ['text'] });
  index.addAll(answers.map((text, id) => ({ id, text })));
  return query => index.search(query).map(({ id }) => id);
}

/**
 * Metrics and intervals of rankings that do not come from a retriever. A made-up retriever evaluates them: its
 * candidate i stands for place i, because each row has a larger angle to the query than the one before. An answer that
 * was not found takes a place after all answers.
 */
function evaluateRankings(rankings, { relevant }, size) {
  const places = Array.from({ length: 2 * size }, (_, i) => {
    const angle = (Math.PI * i) / (4 * size);
    return [Math.cos(angle), Math.sin(angle)];
  });
  const placesOfRelevant = relevant.map((indices, q) => {
    const ranking = rankings[q];
    return indices.map((index, i) => (ranking.includes(index) ? ranking.indexOf(index) : size + i));
  });
  return new Retriever(places).evaluate(
    relevant.map(() => [1, 0]),
    placesOfRelevant,
  );
}

/** The comparison as a table of at most 80 columns. */
export function tableOf(comparison) {
  const percent = share => (100 * share).toFixed(1);
  const cell = ({ recallAt, intervals }, at) => {
    const [low, high] = intervals.recallAt[at].map(percent);
    return `${percent(recallAt[at])} % [${low}, ${high}]`;
  };
  const line = (name, ...cells) => `  ${name.padEnd(25)}${cells.map(text => text.padStart(22)).join('')}`;
  return [
    line('', 'recall@1', 'recall@10'),
    ...comparison.map(([name, evaluation]) => line(name, cell(evaluation, 1), cell(evaluation, 10))),
  ].join('\n');
}
