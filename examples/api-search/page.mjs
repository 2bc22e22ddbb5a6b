// A page about a training, by `trainingReport`.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { continualMetrics, LoRAAdapter } from 'microlora-training-utils';
import { trainingReport } from 'microlora-training-utils/report';
import { evaluate } from './recipe.mjs';

/**
 * Keeps what a page shows of the course of a training: every step, and how well the held-out queries find their answers
 * before the training and after each epoch. Nothing is chosen by the latter.
 *
 * @returns The `course`, which grows, and the function that `train` calls with its progress.
 */
export function recorderOf(heldOut, adapters) {
  const course = { steps: [], evaluations: [] };
  const record = ({ step, loss, learningRate, mrr }) => {
    if (loss !== undefined) course.steps.push({ step, loss, learningRate });
    if (mrr !== undefined) course.evaluations.push(evaluate(heldOut, adapters));
  };
  return { course, record };
}

/**
 * The page of the first set.
 *
 * @param task The set.
 * @param run What its training gave.
 * @param continual What `learnOn` reported, if there is a second set.
 * @param settings `{ epochs, rank, seed }`.
 */
export function pageOf({ name, embedder, training, validation, heldOut }, run, continual, { epochs, rank, seed }) {
  const { adapters, result, course, evaluations } = run;
  const sizes = [
    `${training.length} pairs to train on`,
    `${validation.length} to validate with`,
    `${heldOut.pairs.length} held out`,
  ];
  return trainingReport({
    title: `API search: ${name}`,
    description:
      `${sizes.join(', ')}. The metrics are of the held-out queries, each among ${heldOut.answers.length} answers. ` +
      'The epoch that was kept is the best at the validation queries.',
    steps: course.steps,
    evaluations: course.evaluations,
    baselines: { 'MiniSearch, untrained index': evaluations.textIndex, 'untrained embedding': evaluations.untrained },
    keepBest: { bestStep: result.keptEpoch },
    ...(continual && { continual: sequencesOf(continual) }),
    examples: result.examples.map(({ input, output, untrained, trained }) => ({
      query: input,
      answer: output,
      before: untrained.top,
      rankBefore: untrained.rank,
      after: trained.top,
      rankAfter: trained.rank,
    })),
    settings: { epochs, rank, width: embedder.dim, steps: course.steps.length },
    seeds: seed,
    versions: { 'microlora-training-utils': version(), node: process.version },
    fingerprint: {
      'SHA-256 of the adapters': createHash('sha256').update(LoRAAdapter.toSafetensors(adapters)).digest('hex'),
    },
  });
}

/** Recall@1 of both sets, untrained, after the first and after the second, by penalty. */
function sequencesOf({ first, second, untrained, start, runs }) {
  const row = scores => [scores.first.recallAt1, scores.second.recallAt1];
  const baseline = row(untrained);
  return runs.map(run => {
    const scores = [row(start), row(run)];
    const metrics = continualMetrics(scores, { baseline });
    return { name: `recall@1, ${run.name}`, tasks: [first, second], scores, baseline, ...metrics };
  });
}

function version() {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version;
}
