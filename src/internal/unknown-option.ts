import { isLenient, type OptionsOwner, optionNames } from './option-names.js';

/** Names that were warned of. A loop does not warn of them again. */
const warned = new Set<string>();

/**
 * Reports an option that a call does not have. Where the original accepts it, this is one warning per name. Otherwise, it
 * is an error.
 *
 * @param label What holds the option: `'options'` for the options of the call.
 * @throws TypeError that suggests the nearest name.
 */
export function unknownOption(owner: OptionsOwner, call: string, label: string, name: string): void {
  const known = [...optionNames(owner).keys()];
  const nearest = nearestOf(name, known);
  const all = known.length === 0 ? 'there are none.' : `expected ${known.join(', ')}`;
  const advice = nearest === undefined ? all : `did you mean ${nearest}?`;
  const message = `${call}: ${label === 'options' ? '' : `${label} has the `}unknown option ${shown(name)}; ${advice}`;
  if (!isLenient(owner)) throw new TypeError(message);
  const key = `${owner}.${name}`;
  if (warned.has(key) || typeof process === 'undefined' || typeof process.emitWarning !== 'function') return;
  warned.add(key);
  const sentence = /[.?]$/.test(message) ? message : `${message}.`;
  process.emitWarning(`${sentence} It has no effect here.`, 'UnknownOptionWarning');
}

/** A name in quotes for a message. */
export function shown(name: string): string {
  return JSON.stringify(name.length > 40 ? `${name.slice(0, 40)}…` : name);
}

/** The known name that takes the fewest edits, if these are at most 6 in 10 of the letters of both names. */
export function nearestOf(name: string, known: readonly string[]): string | undefined {
  if (name.length > 40) return undefined;
  let nearest: string | undefined;
  let least = Infinity;
  for (const candidate of known) {
    const edits = editsBetween(name.toLowerCase(), candidate.toLowerCase());
    if (edits >= least || edits > 0.6 * (name.length + candidate.length)) continue;
    nearest = candidate;
    least = edits;
  }
  return nearest;
}

/** Number of letters to add or remove to turn one word into the other. */
function editsBetween(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(a[i - 1] === b[j - 1] ? row[j - 1]! : 1 + Math.min(row[j]!, next[j - 1]!));
    }
    row = next;
  }
  return row[b.length]!;
}
