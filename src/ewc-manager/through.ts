import { checkObject, describe, wrongType } from '../internal/validate.js';
import type { Adapter, EmbeddedExample, Rows, Vector } from '../types.js';

/**
 * Which adapter each side of a pair goes through, by name: that of `anchors` the `inputEmb` of examples, that of
 * `positives` their `outputEmb`. At least one is named; the same name twice is one adapter for both sides.
 */
export interface Through {
  /** The adapter of the inputs. Default: none. */
  anchors?: string;
  /** The adapter of the outputs. Default: none. */
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
  for (const [part, name] of Object.entries(through)) {
    if (part !== 'anchors' && part !== 'positives')
      throw new RangeError(`${call}: through has ${describe(part)}, expected 'anchors' | 'positives'`);
    if (name === undefined) continue;
    if (typeof name !== 'string') throw wrongType(call, `through.${part}`, 'the name of an adapter', name);
    if (!adapters.has(name)) throw new RangeError(`${call}: through.${part} is ${describe(name)}, which is no adapter`);
  }
  const { anchors, positives }: Through = through;
  const towers = Array.from(adapters, ([name, adapter]): Tower => {
    const sides: Side[] = [];
    if (name === anchors) sides.push('inputEmb');
    if (name === positives) sides.push('outputEmb');
    return { name, adapter, sides };
  }).filter(({ sides }) => sides.length > 0);
  if (towers.length === 0) throw new RangeError(`${call}: through names no adapter`);
  return towers;
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
