import { type OptionsOwner, optionNames } from '../option-names.js';
import { unknownOption } from '../unknown-option.js';
import { wrongType, wrongValue } from './messages.js';

/** What a number must be. */
interface NumberRule {
  /** The smallest value allowed. */
  min?: number;
  /** The greatest value allowed. */
  max?: number;
  /** The value must be greater than this. */
  above?: number;
  /** The value must be less than this. */
  below?: number;
  /** Whether only whole numbers are allowed. */
  integer?: boolean;
  /** Whether `Infinity` is allowed. */
  infinity?: boolean;
}

/** Checks a number that is finite, unless the rule allows `Infinity`. */
export function checkNumber(call: string, name: string, value: unknown, rule: NumberRule = {}): number {
  if (typeof value !== 'number') throw wrongType(call, name, expectation(rule), value);
  const { min = -Infinity, max = Infinity, above = -Infinity, below = Infinity, integer, infinity } = rule;
  const isAllowedInfinity = infinity === true && value === Infinity;
  const isInRange =
    value >= min && value <= max && (value > above || above === -Infinity) && (value < below || below === Infinity);
  const isRightKind = isAllowedInfinity || (Number.isFinite(value) && (!integer || Number.isInteger(value)));
  if (!isRightKind || !isInRange) throw wrongValue(call, name, expectation(rule), value);
  return value;
}

/** Checks a count: an integer of at least `min`. */
export function checkCount(call: string, name: string, value: unknown, min = 1): number {
  return checkNumber(call, name, value, { integer: true, min });
}

/** Checks the seed of a private generator: an unsigned 32-bit integer. `undefined` and `null` mean no seed. */
export function checkSeed(call: string, seed: unknown, name = 'seed'): number | undefined {
  if (seed === undefined || seed === null) return undefined;
  return checkNumber(call, name, seed, { integer: true, min: 0, max: 0xffffffff });
}

/**
 * Checks the options of a call, or of one of its options: an object with known names, whose flags are true or false.
 * Names that an object inherits are not checked.
 *
 * @param label What holds the options, for messages.
 * @param owner Whose options they are. By default, those of the call.
 */
export function checkOptions(call: OptionsOwner, options: unknown): void;
export function checkOptions(call: string, options: unknown, label: string, owner: OptionsOwner): void;
export function checkOptions(call: string, options: unknown, label = 'options', owner = call as OptionsOwner): void {
  checkObject(call, label, options);
  const names = optionNames(owner);
  for (const name in options) {
    const isFlag = names.get(name);
    if (isFlag === undefined) {
      if (Object.hasOwn(options, name)) unknownOption(owner, call, label, name);
    } else if (isFlag && options[name] !== undefined) {
      checkBoolean(call, label === 'options' ? name : `${label}.${name}`, options[name]);
    }
  }
}

export function checkBoolean(call: string, name: string, value: unknown): void {
  if (typeof value !== 'boolean') throw wrongType(call, name, 'a boolean', value);
}

export function checkFunction(call: string, name: string, value: unknown): void {
  if (typeof value !== 'function') throw wrongType(call, name, 'a function', value);
}

export function checkObject(call: string, name: string, value: unknown): asserts value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw wrongType(call, name, 'an object', value);
}

export function checkArray(call: string, name: string, value: unknown): asserts value is readonly unknown[] {
  if (!Array.isArray(value)) throw wrongType(call, name, 'an array', value);
}

export function checkMap(call: string, name: string, value: unknown): void {
  const isMap =
    typeof value === 'object' && value !== null && 'get' in value && 'size' in value && Symbol.iterator in value;
  if (!isMap) throw wrongType(call, name, 'a Map by adapter name', value);
}

export function checkOneOf<T extends string>(call: string, name: string, value: unknown, allowed: readonly T[]): T {
  if ((allowed as readonly unknown[]).includes(value)) return value as T;
  const list = allowed.map(each => `'${each}'`).join(' | ');
  throw typeof value === 'string' ? wrongValue(call, name, list, value) : wrongType(call, name, list, value);
}

/** Checks an iterable object. The message tells what to do with a promise or an asynchronous iterable. */
export function checkIterable(call: string, name: string, value: unknown): void {
  const isObject = typeof value === 'object' && value !== null;
  if (isObject && Symbol.iterator in value) return;
  const error = wrongType(call, name, 'an array or another iterable', value);
  if (isObject && 'then' in value) error.message += '; await it first';
  else if (isObject && Symbol.asyncIterator in value) error.message += '; collect what it gives in an array first';
  throw error;
}

function expectation({ min, max, above, below, integer, infinity }: NumberRule): string {
  const noun = integer ? 'an integer' : 'a finite number';
  const bounds: string[] = [];
  if (min !== undefined && max !== undefined) bounds.push(`from ${min} to ${max}`);
  else if (min !== undefined) bounds.push(`of at least ${min}`);
  else if (max !== undefined) bounds.push(`of at most ${max}`);
  if (above !== undefined) bounds.push(`above ${above}`);
  if (below !== undefined) bounds.push(`below ${below}`);
  return [noun, bounds.join(' and ')].filter(Boolean).join(' ') + (infinity ? ' or Infinity' : '');
}
