import fc from 'fast-check';
import { expect, it } from 'vitest';
import { MinHeap } from '../../src/batch-generator/min-heap.js';

it('a heap gives the smallest of the numbers that it holds, however adds and takes are mixed', () => {
  fc.assert(
    fc.property(fc.array(fc.option(fc.nat(30)), { maxLength: 60 }), steps => {
      const heap = new MinHeap();
      const held: number[] = [];
      for (const value of steps) {
        if (value !== null) {
          heap.add(value);
          held.push(value);
        } else if (held.length > 0) {
          held.sort((a, b) => a - b);
          expect(heap.take()).toBe(held.shift());
        }
        expect(heap.size).toBe(held.length);
      }
      const rest = Array.from(held, () => heap.take());
      expect(rest).toEqual(held.sort((a, b) => a - b));
    }),
  );
});
