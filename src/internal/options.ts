import { checkObject } from './validate.js';

/**
 * Defaults overlaid with the options that were given; `undefined` counts as not given, and so does a seed of `null`.
 *
 * @throws TypeError when `options` is neither an object nor absent.
 */
export function withDefaults<Defaults extends object, Options extends object>(
  call: string,
  defaults: Defaults,
  options: Options | null | undefined,
): Defaults & Options {
  if (options === undefined || options === null) return { ...defaults } as Defaults & Options;
  checkObject(call, 'options', options);
  const given = Object.entries(options).filter(
    ([name, value]) => value !== undefined && !(name === 'seed' && value === null),
  );
  return { ...defaults, ...Object.fromEntries(given) } as Defaults & Options;
}
