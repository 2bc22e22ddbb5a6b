import { checkObject, describe, wrongType } from '../internal/validate.js';
import type { Adapter, EmbeddedExample, Rows, Vector } from '../types.js';

/**
 * Which adapter each side of a pair goes through, by name: those of `anchors` the `inputEmb` of examples, those of
 * `positives` their `outputEmb`. The same name twice is one adapter for both sides.
 */
export interface Through {
  /** Name of the adapter that the inputs go through. */
  anchors: string;
  /** Name of the adapter that the outputs go through. Default: none. */
  positives?: string;
}

/** One side of a pair, as the inputs of an adapter. */
export type Side = 'inputEmb' | 'outputEmb';

/** An adapter and the sides of the pairs that it sees. */
export interface Tower {
  name: string;
  adapter: Adapter;
  sides: readonly Side[];
}

/** The adapters that take part, with what they see: without `through` all of them, and the inputs. */
export function towersOf(call: string, adapters: ReadonlyMap<string, Adapter>, through: Through | undefined): Tower[] {
  if (through === undefined)
    return Array.from(adapters, ([name, adapter]) => ({ name, adapter, sides: ['inputEmb'] as const }));
  checkObject(call, 'through', through);
  const { anchors, positives } = through as Through;
  checkName(call, 'through.anchors', anchors, adapters);
  if (positives !== undefined) checkName(call, 'through.positives', positives, adapters);
  return Array.from(adapters, ([name, adapter]) => {
    const sides: Side[] = [];
    if (name === anchors) sides.push('inputEmb');
    if (name === positives) sides.push('outputEmb');
    return { name, adapter, sides };
  }).filter(({ sides }) => sides.length > 0);
}

function checkName(call: string, label: string, name: unknown, adapters: ReadonlyMap<string, Adapter>): void {
  if (typeof name !== 'string') throw wrongType(call, label, "an adapter's name", name);
  if (!adapters.has(name)) throw new RangeError(`${call}: ${label} is ${describe(name)}, which is no adapter`);
}

/** What an adapter sees of examples, one side after the other. */
export function inputsOf(data: readonly EmbeddedExample[], sides: readonly Side[]): Rows {
  return sides.flatMap(side => data.map((example): Vector => example[side]));
}

/** The other sides of the pairs, in the order of {@link inputsOf}. */
export function targetsOf(data: readonly EmbeddedExample[], sides: readonly Side[]): Rows {
  return inputsOf(data, sides.map(otherSide));
}

export function otherSide(side: Side): Side {
  return side === 'inputEmb' ? 'outputEmb' : 'inputEmb';
}

/** Examples as an adapter sees them: the other way round for the answers' side. */
export function turned<E extends EmbeddedExample>(example: E, side: Side): E {
  return side === 'inputEmb' ? example : { ...example, inputEmb: example.outputEmb, outputEmb: example.inputEmb };
}
