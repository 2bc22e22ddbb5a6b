/** Tables and examples as text, at most 80 columns wide. */

const WIDTH = 80;

/** Full-width characters, which take two columns: East Asian scripts and most emoji. */
const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}|[\u{20000}-\u{3fffd}]/u;

const count = collection => collection.length.toLocaleString('en');
const percent = share => (100 * share).toFixed(1);

export function headerOf({ name, training, validation, heldOut }) {
  return `
${shorten(name, WIDTH)}
${count(training)} pairs to train on, ${count(validation)} to validate with, ${count(heldOut.pairs)} held out.
Each held-out query ranks the ${count(heldOut.answers)} different answers of held-out queries.

`;
}

/** The results of one set of pairs. */
export function reportOf({ keptEpoch, textIndex, untrained, trained, examples }) {
  const cell = (value, [low, high], text) => `${text(value)} (${text(low)}–${text(high)})`.padStart(19);
  const row = (label, { recallAt1, recallAt10, mrr, intervals }) =>
    `  ${label.padEnd(20)}${cell(recallAt1, intervals.recallAt1, percent)}${cell(recallAt10, intervals.recallAt10, percent)}${cell(mrr, intervals.mrr, value => value.toFixed(2))}`;
  return `${[
    keptEpoch === 0
      ? '  No epoch found the validation queries’ answers better: all stays untrained.'
      : `  Kept: epoch ${keptEpoch}, which has the best validation MRR.`,
    '',
    `  ${''.padEnd(20)}${['recall@1', 'recall@10', 'MRR'].map(title => title.padStart(19)).join('')}`,
    row('MiniSearch', textIndex),
    row('untrained embedding', untrained),
    row('trained embedding', trained),
    '  Recall is in percent. Brackets: 95 % intervals over the choice of queries.',
    ...examples.flatMap(exampleLines),
  ].join('\n')}\n`;
}

function exampleLines({ input, output, ...found }) {
  const labels = { textIndex: 'MiniSearch', untrained: 'untrained', trained: 'trained' };
  const answerLines = ([searcher, label]) => {
    const { rank, top } = found[searcher];
    const place = rank === null ? 'does not find it' : `finds it at rank ${rank}`;
    return [
      `    ${label} ${place}:`,
      ...top.map((answer, i) => fitted(`    ${answer === output ? '*' : ' '} ${i + 1}. `, answer)),
    ];
  };
  return [
    '',
    fitted('  "', input, '"'),
    fitted('    belongs to ', output),
    ...Object.entries(labels).flatMap(answerLines),
  ];
}

/** Scores of both tasks after learning the second one, and the cost for the first, by penalty. */
export function continualReportOf({ first, second, untrained, start, runs }) {
  const [left, right] = [first, second].map(name => shorten(name, 19));
  const cells = ({ recallAt1, recallAt10 }) => `${percent(recallAt1).padStart(11)}${percent(recallAt10).padStart(9)}`;
  const line = (label, scores) => `  ${label.padEnd(36)}${cells(scores.first)}${cells(scores.second)}`;
  const pad = (name, width) => ' '.repeat(width - widthOf(name)) + name;
  const titles = `${'recall@1'.padStart(11)}${'@10'.padStart(9)}`;
  return `${[
    '',
    `  ${''.padEnd(36)}${pad(left, 20)}${pad(right, 20)}`,
    `  ${''.padEnd(36)}${titles}${titles}`,
    line('untrained', untrained),
    line('after the first', start),
    ...runs.map(run => line(`then ${run.name}`, run)),
    '',
    `  ${''.padEnd(36)}${'loss of the first'.padStart(20)}${'gain of the second'.padStart(20)}`,
    `  ${''.padEnd(36)}${'in recall@1'.padStart(20)}${'in @10, relative'.padStart(20)}`,
    ...runs.map(({ name, cost, keptGain }) => {
      const kept = keptGain === null ? '-' : `${Math.round(100 * keptGain)} %`;
      return `  ${name.padEnd(36)}${percent(cost).padStart(20)}${kept.padStart(20)}`;
    }),
  ].join('\n')}\n`;
}

/** The best answers to a query. */
export function searchReportOf(results) {
  const lines = results.map(({ answer, score }, i) =>
    fitted(`${String(i + 1).padStart(3)}. ${score.toFixed(3)}  `, answer),
  );
  return `${lines.join('\n')}\n`;
}

/** Shows the progress of a training: one changing line on a terminal, and one line per epoch elsewhere. */
export function progressOn(screen, epochs) {
  const start = performance.now();
  let lastShown = -Infinity;
  let lastMrr;
  return ({ epoch, step, total, loss, epochLoss = loss, mrr }) => {
    lastMrr = mrr ?? lastMrr;
    const isDone = step === total;
    const now = performance.now();
    if (screen.isTTY ? !isDone && now - lastShown < 100 : mrr === undefined) return;
    lastShown = now;
    const columns = [
      `epoch ${String(epoch).padStart(String(epochs).length)}/${epochs}`,
      `loss ${epochLoss === undefined ? '-'.padEnd(6) : epochLoss.toFixed(4)}`,
      `validation MRR ${lastMrr.toFixed(4)}`,
    ];
    // Other outputs get nothing that differs from run to run.
    if (screen.isTTY && step > 0) columns.push(`${Math.ceil((((now - start) / step) * (total - step)) / 1000)} s left`);
    const line = columns.join('   ');
    screen.write(screen.isTTY ? `\r  ${line}\x1b[K${isDone ? '\n' : ''}` : `  ${line}\n`);
  };
}

/** One line: a fixed beginning, a text that is shortened to fit, and a fixed end. */
function fitted(start, text, end = '') {
  return start + shorten(text, WIDTH - start.length - end.length) + end;
}

/** A text on one line, shortened to a number of columns. */
function shorten(text, columns) {
  const line = text.replaceAll(/[\s\p{C}]+/gu, ' ');
  if (widthOf(line) <= columns) return line;
  let shortened = '';
  let width = 1;
  for (const character of line) {
    width += widthOf(character);
    if (width > columns) break;
    shortened += character;
  }
  return `${shortened}…`;
}

function widthOf(text) {
  let width = 0;
  for (const character of text) width += WIDE.test(character) ? 2 : 1;
  return width;
}
