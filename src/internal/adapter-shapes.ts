import type { Adapter } from '../types.js';

/** Name, dim, rank, outDim and scaling of each adapter, as text. Weights in one array fit only adapters whose texts are equal. */
export function shapesOf(adapters: ReadonlyMap<string, Adapter>): string {
  const shapes = Array.from(adapters, ([name, { loraA, loraB, scaling }]) => {
    return `${name} ${loraA.length}×${loraB.length}×${loraB[0]!.length} scaling ${scaling}`;
  });
  return shapes.join(', ');
}
