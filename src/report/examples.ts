import { wrongValue } from '../internal/validate/messages.js';
import { checkCount, checkObject } from '../internal/validate/option-checks.js';
import { CALL, checkList, checkText, checkTexts } from './checks.js';
import { type Html, html } from './html.js';

/** A query, and what a search found for it before and after the training. */
export interface ReportExample {
  /** What was searched for. */
  query: string;
  /** The right answer, or several. */
  answer: string | readonly string[];
  /** What was found before the training, best first. */
  before?: string | readonly string[];
  /** What was found after the training, best first. */
  after?: string | readonly string[];
  /**
   * Rank of the right answer before the training, from 1, or Infinity where it was not found.
   *
   * @default its place in `before`, if it is there
   */
  rankBefore?: number;
  /**
   * Rank of the right answer after the training, from 1, or Infinity where it was not found.
   *
   * @default its place in `after`, if it is there
   */
  rankAfter?: number;
}

/** Queries with the answers found before and after the training. */
export function examplesSection(examples: unknown): Html | undefined {
  if (examples === undefined) return undefined;
  const list = checkList('examples', examples).map((example, i) => exampleOf(`examples[${i}]`, example));
  if (list.length === 0) return undefined;
  return html`<section>
<h2>Examples</h2>
${list}</section>
`;
}

function exampleOf(name: string, value: unknown): Html {
  checkObject(CALL, name, value);
  const query = checkText(`${name}.query`, value['query']);
  const answers = checkTexts(`${name}.answer`, value['answer']);
  if (answers.length === 0) throw wrongValue(CALL, `${name}.answer`, 'at least one text', value['answer']);
  return html`<article class="example">
<h3 dir="auto">${query}</h3>
<dl>
<div class="answer"><dt>Right answer</dt>${answers.map(answer => html`<dd dir="auto">${answer}</dd>`)}</div>
${found(name, 'before', 'rankBefore', value, answers)}${found(name, 'after', 'rankAfter', value, answers)}</dl>
</article>
`;
}

function found(
  name: string,
  field: 'before' | 'after',
  rankField: string,
  value: Record<string, unknown>,
  answers: readonly string[],
): Html | undefined {
  const given = value[rankField];
  if (given !== undefined && given !== Infinity) checkCount(CALL, `${name}.${rankField}`, given);
  if (value[field] === undefined && given === undefined) return undefined;
  const texts = value[field] === undefined ? [] : checkTexts(`${name}.${field}`, value[field]);
  const place = texts.findIndex(text => answers.includes(text)) + 1;
  const rank = (given as number | undefined) ?? (place > 0 ? place : undefined);
  const verdict = rank === undefined ? 'not among these' : rank === Infinity ? 'not found' : `rank ${rank}`;
  return html`<div><dt>${field === 'before' ? 'Before' : 'After'}: <span class="rank">${verdict}</span></dt><dd><ol>${texts.map(
    text =>
      answers.includes(text)
        ? html`<li class="right" dir="auto">${text} <span class="mark">✓<span class="hidden"> right</span></span></li>`
        : html`<li dir="auto">${text}</li>`,
  )}</ol></dd></div>
`;
}
