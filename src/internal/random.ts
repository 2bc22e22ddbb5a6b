/** A source of numbers in [0, 1), as `Math.random` is. */
export type Random = () => number;

/** The words of a private generator, signed 32-bit integers. */
export type RandomState = [number, number, number, number];

/** A private generator. */
export interface SeededRandom {
  draw: Random;
  state(): RandomState;
  restore(words: RandomState): void;
}

/** `Math.random`, read at each draw, because a caller may replace it. */
export const mathRandom: Random = () => Math.random();

/**
 * A private generator: sfc32 (Chris Doty-Humphrey, PractRand), seeded through the finaliser of MurmurHash3.
 * Different pairs of `seed` and `stream` give unrelated sequences. `stream` separates the uses of one seed, such as epochs.
 */
function seededRandom(seed: number, stream = 0): SeededRandom {
  let a = mix(seed ^ 0x9e3779b9);
  let b = mix(Math.imul(stream, 0x85ebca6b) ^ a ^ 0x243f6a88);
  let c = mix(seed ^ mix(stream ^ 0xb7e15162));
  let counter = 1;
  const draw = (): number => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 0x100000000;
  };
  for (let i = 0; i < 12; i++) draw();
  return {
    draw,
    state: () => [a, b, c, counter],
    restore: words => {
      [a, b, c, counter] = words;
    },
  };
}

/** A private generator that can be saved. Undefined without a seed. */
export function seededRandomFor(seed: number | null | undefined): SeededRandom | undefined {
  return isSeed(seed) ? seededRandom(seed) : undefined;
}

/** A private generator for a seed. Without a seed, `Math.random`. */
export function randomFor(seed: number | null | undefined, stream = 0): Random {
  return isSeed(seed) ? seededRandom(seed, stream).draw : mathRandom;
}

/** Whether there is a seed. `null` means no seed, as in configurations that were JSON. */
export function isSeed(seed: number | null | undefined): seed is number {
  return seed !== undefined && seed !== null;
}

/** One draw from the standard normal distribution (Box–Muller), as MicroLoRA draws it. */
export function gaussian(random: Random): number {
  const radius = Math.sqrt(-2 * Math.log(random() || Number.MIN_VALUE));
  return radius * Math.cos(2 * Math.PI * random());
}

/** Fisher–Yates, from the end, as the original shuffles. */
export function shuffle(indices: number[], random: Random): void {
  for (let i = indices.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    const swapped = indices[i]!;
    indices[i] = indices[j]!;
    indices[j] = swapped;
  }
}

/** The finaliser of MurmurHash3: every bit of the value affects every bit of the result. */
export function mix(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
