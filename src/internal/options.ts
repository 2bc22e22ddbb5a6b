import type { OptionsOwner } from './option-names.js';
import { checkOptions } from './validate.js';

/**
 * Options with the defaults filled in. An option of `undefined` counts as not given, and so does a seed of `null`.
 *
 * This is the first step of parsing options everywhere. Checks of the values follow.
 *
 * @throws TypeError where `options` is neither an object nor absent, or has a name that the call does not know.
 */
export function withDefaults<Defaults extends object, Options extends object>(
  call: OptionsOwner,
  defaults: Defaults,
  options: Options | null | undefined,
): Defaults & Options {
  if (options === undefined || options === null) return { ...defaults } as Defaults & Options;
  checkOptions(call, options);
  const given = Object.entries(options).filter(
    ([name, value]) => value !== undefined && !(name === 'seed' && value === null),
  );
  return { ...defaults, ...Object.fromEntries(given) } as Defaults & Options;
}
