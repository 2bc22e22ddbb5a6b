const TURNS = 15;
const LEAST_SAMPLE = 20;
/**
 * Longest time of a row in milliseconds. Slow variants reduce the number of turns, which is the same for all variants.
 */
const MOST_TIME = 30_000;

/**
 * Median milliseconds of functions that run in turns.
 *
 * @param before Called before each turn with the name of the variant, untimed.
 */
export async function medians(variants, before = () => {}) {
  const samples = Object.fromEntries(Object.keys(variants).map(name => [name, []]));
  const begin = performance.now();
  for (let turn = 0; turn < TURNS && (turn < 3 || performance.now() - begin < MOST_TIME); turn++) {
    for (const [name, run] of Object.entries(variants)) {
      before(name);
      // One untimed run comes first, because garbage of other variants must not count.
      await run();
      const start = performance.now();
      let calls = 0;
      while (calls === 0 || performance.now() - start < LEAST_SAMPLE) {
        await run();
        calls++;
      }
      samples[name].push((performance.now() - start) / calls);
    }
  }
  return Object.fromEntries(Object.entries(samples).map(([name, values]) => [name, median(values)]));
}

function median(values) {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}
