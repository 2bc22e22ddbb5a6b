import { nearestOf, shown } from './nearest-name.js';
import { checkObject } from './validate/option-checks.js';

/** Checks that options of a subpath have known names only. The core has one table of all names instead. */
export function checkKnownNames(call: string, options: unknown, known: readonly string[]): void {
  checkObject(call, 'options', options);
  const unknown = Object.keys(options).find(name => !known.includes(name));
  if (unknown === undefined) return;
  const nearest = nearestOf(unknown, known);
  const advice = nearest === undefined ? `expected ${known.join(', ')}` : `did you mean ${nearest}?`;
  throw new TypeError(`${call}: unknown option ${shown(unknown)}; ${advice}`);
}
