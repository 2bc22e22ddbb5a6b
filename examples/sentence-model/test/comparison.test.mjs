import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LoRAAdapter } from 'microlora-training-utils';
import MiniSearch from 'minisearch';
import { compare, tableOf } from '../lib/comparison.mjs';

const WORDS = 'drill saw ladder sander mower clamp router vice bench tram ramp card fee fine key'.split(' ');
const SIZE = 1_500;
const answers = Array.from({ length: SIZE }, (_, i) => `${WORDS[i % 15]} ${WORDS[(i >> 2) % 15]} ${i}`);
const rowOf = i => Array.from({ length: 8 }, (_, j) => Math.sin((i + 1) ** 2 * (j + 1) + j));
const mixOf = (a, b, share) => a.map((value, j) => value + share * b[j]);
const answerRows = answers.map((_, i) => rowOf(i));
// Some questions have one answer and some have three. The text index finds some at rank 1, some later and some never.
const questions = {
  texts: Array.from({ length: 60 }, (_, q) => (q % 4 === 0 ? 'nothing' : answers[q * 25].slice(0, -1 - (q % 5)))),
  rows: Array.from({ length: 60 }, (_, q) => mixOf(rowOf(q * 25), rowOf(q), q / 40)),
  relevant: Array.from({ length: 60 }, (_, q) => (q % 5 === 0 ? [q * 25, q * 25 + 1, q + 700] : [q * 25])),
};
const adapter = new LoRAAdapter({ dim: 8, rank: 1, seed: 1 }); // Untrained: it changes nothing.
const comparison = compare(
  questions,
  answers,
  answerRows,
  new Map([
    ['query', adapter],
    ['answer', adapter],
  ]),
);

function recallOf(rankings, k) {
  const shares = questions.relevant.map((indices, q) => {
    const found = indices.filter(index => rankings[q].slice(0, k).includes(index));
    return found.length / indices.length;
  });
  return shares.reduce((sum, share) => sum + share, 0) / shares.length;
}

test('recall of the text index equals a count of its results', () => {
  const index = new MiniSearch({ fields: ['text'] });
  index.addAll(answers.map((text, id) => ({ id, text })));
  const rankings = questions.texts.map(text => index.search(text).map(({ id }) => id));
  const [, { recallAt, intervals }] = comparison[0];
  for (const k of [1, 10]) {
    assert.ok(Math.abs(recallAt[k] - recallOf(rankings, k)) < 1e-12);
    assert.ok(recallAt[k] > 0.03 && recallAt[k] < 0.97);
    const [low, high] = intervals.recallAt[k];
    assert.ok(low < recallAt[k] && recallAt[k] < high);
  }
});

test('recall of the embeddings equals a count after sorting by cosine', () => {
  const cosine = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0) / Math.hypot(...a) / Math.hypot(...b);
  const rankings = questions.rows.map(row => {
    const scores = answerRows.map(answer => cosine(row, answer));
    return [...scores.keys()].sort((a, b) => scores[b] - scores[a]);
  });
  for (const [, { recallAt }] of comparison.slice(1)) {
    for (const k of [1, 10]) assert.ok(Math.abs(recallAt[k] - recallOf(rankings, k)) < 1e-12);
  }
});

test('the table has a line for each way of searching, and fits 80 columns', () => {
  const lines = tableOf(comparison).split('\n');
  assert.deepEqual(
    lines.map(line => line.slice(0, 27).trim()),
    ['', 'text index (MiniSearch)', 'model, untrained', 'model, trained'],
  );
  for (const line of lines) assert.ok(line.length <= 80, line);
});
