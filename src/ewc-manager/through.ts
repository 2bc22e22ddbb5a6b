import { checkThrough } from '../internal/through.js';
import type { Adapter, EmbeddedExample, Rows, Through, Vector } from '../types.js';

export const SIDES = ['inputEmb', 'outputEmb'] as const;

/** One side of a pair, as the inputs of an adapter. */
export type Side = (typeof SIDES)[number];

/** What each adapter of a task saw. It has no sides where the caller's `adapterGradients` decided. */
export type SidesSeen = ReadonlyMap<string, readonly Side[]>;

/** An adapter and the sides of the pairs that it sees. */
export interface Tower {
  name: string;
  adapter: Adapter;
  sides: readonly Side[];
}

/** The adapters that take part, with what they see. Without `through` all adapters see the inputs. */
export function towersOf(call: string, adapters: ReadonlyMap<string, Adapter>, through: Through | undefined): Tower[] {
  if (through === undefined)
    return Array.from(adapters, ([name, adapter]) => ({ name, adapter, sides: ['inputEmb'] as const }));
  checkThrough(call, through, adapters);
  const { anchors, positives } = through;
  return Array.from(adapters, ([name, adapter]): Tower => {
    const sides: Side[] = [];
    if (name === anchors) sides.push('inputEmb');
    if (name === positives) sides.push('outputEmb');
    return { name, adapter, sides };
  }).filter(({ sides }) => sides.length > 0);
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

/** An example as an adapter sees it: with its sides exchanged for the side of the outputs. */
export function turned<E extends EmbeddedExample>(example: E, side: Side): E {
  return side === 'inputEmb' ? example : { ...example, inputEmb: example.outputEmb, outputEmb: example.inputEmb };
}
