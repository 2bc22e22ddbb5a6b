import { wrongType } from '../internal/validate/messages.js';
import { checkSeed } from '../internal/validate/option-checks.js';
import { CALL, checkEntries, checkText } from './checks.js';
import { type Html, html } from './html.js';

/** A value of a setting. Objects are shown as one setting for each of their values. */
export type ReportSetting =
  | string
  | number
  | boolean
  | bigint
  | null
  | undefined
  | readonly ReportSetting[]
  | { readonly [name: string]: ReportSetting };

type Entry = readonly [name: string, value: string];

/** The deepest object within an object of settings. */
const MAX_DEPTH = 16;

/** What is needed to train again: settings, seeds, versions and the fingerprint of the result. */
export function settingsSection(
  settings: unknown,
  seeds: unknown,
  versions: unknown,
  fingerprint: unknown,
): Html | undefined {
  const lists = [
    ['Settings', settings === undefined ? [] : entriesOf('settings', '', settings, 0)],
    ['Seeds', seeds === undefined ? [] : checkSeeds(seeds)],
    [
      'Versions',
      versions === undefined
        ? []
        : checkEntries('versions', versions).map(
            ([name, version]): Entry => [name, checkText(`versions[${JSON.stringify(name)}]`, version)],
          ),
    ],
    ['Fingerprint', fingerprint === undefined ? [] : checkFingerprint(fingerprint)],
  ] as const;
  const shown = lists.filter(([, entries]) => entries.length > 0);
  if (shown.length === 0) return undefined;
  return html`<section>
<h2>How it was made</h2>
<div class="settings">
${shown.map(
  ([caption, entries]) => html`<table>
<caption>${caption}</caption>
<tbody>
${entries.map(
  ([
    name,
    value,
  ]) => html`<tr>${name === '' ? undefined : html`<th scope="row" dir="auto">${name}</th>`}<td dir="auto">${value}</td></tr>
`,
)}</tbody>
</table>
`,
)}</div>
</section>
`;
}

function entriesOf(label: string, prefix: string, value: unknown, depth: number): Entry[] {
  return checkEntries(label, value).flatMap(([key, each]) => {
    const name = `${prefix}${key}`;
    const own = `${label}[${JSON.stringify(key)}]`;
    return isPlainObject(each) && depth < MAX_DEPTH
      ? entriesOf(own, `${name}.`, each, depth + 1)
      : [[name, wordsOf(own, each, depth)]];
  });
}

function wordsOf(label: string, value: unknown, depth: number): string {
  if (typeof value === 'string') return value;
  if (value === null || ['number', 'boolean', 'bigint'].includes(typeof value)) return String(value);
  const isList = Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
  if (!isList || depth >= MAX_DEPTH) throw wrongType(CALL, label, 'a text, a number, a truth value or null', value);
  return Array.from(value as ArrayLike<unknown>, (each, i) => wordsOf(`${label}[${i}]`, each, depth + 1)).join(', ');
}

function isPlainObject(value: unknown): boolean {
  return Object.prototype.toString.call(value) === '[object Object]' && !Array.isArray(value);
}

function checkSeeds(seeds: unknown): Entry[] {
  if (typeof seeds === 'number') return [['', String(checkSeed(CALL, seeds, 'seeds'))]];
  return checkEntries('seeds', seeds).map(([name, seed]) => {
    const label = `seeds[${JSON.stringify(name)}]`;
    if (typeof seed !== 'number') throw wrongType(CALL, label, 'a number', seed);
    return [name, String(checkSeed(CALL, seed, label))];
  });
}

function checkFingerprint(fingerprint: unknown): Entry[] {
  if (typeof fingerprint === 'string') return [['', fingerprint]];
  return checkEntries('fingerprint', fingerprint).map(([name, each]) => [
    name,
    checkText(`fingerprint[${JSON.stringify(name)}]`, each),
  ]);
}
