/** Tables and examples as text. */

const percent = share => `${(100 * share).toFixed(1)} %`;

export function reportOf({ before, after, examples }) {
  const row = (label, from, to) => `  ${label.padEnd(12)}${from.padStart(9)}${to.padStart(9)}`;
  return `${[
    '',
    row('', 'before', 'after'),
    row('recall@1', percent(before.recallAt1), percent(after.recallAt1)),
    row('recall@10', percent(before.recallAt10), percent(after.recallAt10)),
    row('MRR', before.mrr.toFixed(3), after.mrr.toFixed(3)),
    ...examples.flatMap(exampleLines),
  ].join('\n')}\n`;
}

function exampleLines({ input, output, before, after }) {
  const answerLines = ({ rank, top }, label) => [
    `    ${label}, found at rank ${rank}:`,
    ...top.map((answer, i) => `    ${answer === output ? '*' : ' '} ${i + 1}. ${shorten(answer)}`),
  ];
  return [
    '',
    `  "${shorten(input)}"`,
    `    belongs to ${shorten(output)}`,
    ...answerLines(before, 'before'),
    ...answerLines(after, 'after'),
  ];
}

function shorten(text, length = 100) {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
}

/** What learning the second task cost the first, by penalty. */
export function continualReportOf({ first, second, untrained, start, runs }) {
  const width = Math.max(30, ...runs.map(({ name }) => name.length + 8));
  const [left, right] = [first, second].map(name => Math.max(24, name.length + 3));
  const cells = ({ recallAt1, recallAt10 }, column) =>
    `${percent(recallAt1).padStart(column - 12)}${percent(recallAt10).padStart(12)}`;
  const line = (label, scores) => `  ${label.padEnd(width)}${cells(scores.first, left)}${cells(scores.second, right)}`;
  return `${[
    '',
    `  ${''.padEnd(width)}${first.padStart(left)}${second.padStart(right)}`,
    `  ${''.padEnd(width)}${'recall@1'.padStart(left - 12)}${'@10'.padStart(12)}${'recall@1'.padStart(right - 12)}${'@10'.padStart(12)}`,
    line('untrained', untrained),
    line(`after ${first}`, start),
    ...runs.map(run => line(`then ${run.name}`, run)),
    '',
    ...runs.map(({ name, cost, keptGain }) => {
      const kept =
        keptGain === null ? '' : `, and ${second} keeps ${Math.round(100 * keptGain)} % of its gain in recall@10`;
      return `  ${name}: costs ${first} ${(100 * cost).toFixed(1)} points of recall@1${kept}`;
    }),
  ].join('\n')}\n`;
}
