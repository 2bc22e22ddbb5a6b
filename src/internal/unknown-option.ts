import { warn } from '#platform/warn';
import { nearestOf, shown } from './nearest-name.js';
import { isLenient, type OptionsOwner, optionNames } from './option-names.js';

/** Names that have caused a warning. Each causes one only, also in a loop. */
const warned = new Set<string>();

/**
 * Reports an option that a call does not have. Where the original accepts it, this is one warning per name. Otherwise, it
 * is an error.
 *
 * @param label What holds the option: `'options'` for the options of the call.
 * @throws TypeError that suggests the name that is most likely meant.
 */
export function unknownOption(owner: OptionsOwner, call: string, label: string, name: string): void {
  const known = [...optionNames(owner).keys()];
  const nearest = nearestOf(name, known);
  const all = known.length === 0 ? 'there are none.' : `expected ${known.join(', ')}`;
  const advice = nearest === undefined ? all : `did you mean ${nearest}?`;
  const message = `${call}: ${label === 'options' ? '' : `${label} has the `}unknown option ${shown(name)}; ${advice}`;
  if (!isLenient(owner)) throw new TypeError(message);
  const key = `${owner}.${name}`;
  if (warned.has(key)) return;
  warned.add(key);
  const sentence = /[.?]$/.test(message) ? message : `${message}.`;
  warn(`${sentence} It has no effect here.`, 'UnknownOptionWarning');
}
