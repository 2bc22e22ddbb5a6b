import { readFileSync } from 'node:fs';

/** Reads one of the golden files. */
export function readGolden<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../golden/${name}.json`, import.meta.url), 'utf8')) as T;
}

/** Rows of exact float32 values. */
export function float32(rows: readonly (readonly number[])[]): Float32Array[] {
  return rows.map(row => Float32Array.from(row));
}

/** Runs `work` with `Math.random` replaced by the generator that the golden files were made with. */
export async function withMathRandom<T>(seed: number, work: (draws: () => number) => T | Promise<T>): Promise<T> {
  const original = Math.random;
  const next = mulberry32(seed);
  let draws = 0;
  Math.random = () => {
    draws++;
    return next();
  };
  try {
    return await work(() => draws);
  } finally {
    Math.random = original;
  }
}

/** The generator of the golden files. */
export function mulberry32(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
