const TURNS = 15;
const LEAST_SAMPLE = 20;
/** What a row takes at most, in milliseconds; slow variants get fewer turns, but all the same number. */
const MOST_TIME = 30_000;

/**
 * Median milliseconds of functions that take turns.
 *
 * @param before Called before each turn of a variant with its name, untimed.
 */
export async function medians(variants, before = () => {}) {
  const samples = Object.fromEntries(Object.keys(variants).map(name => [name, []]));
  const begin = performance.now();
  for (let turn = 0; turn < TURNS && (turn < 3 || performance.now() - begin < MOST_TIME); turn++) {
    for (const [name, run] of Object.entries(variants)) {
      before(name);
      // What the other variants left is not this one's to pay for.
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
