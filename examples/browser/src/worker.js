// Trains and searches. Messages to it have a `type`; messages from it are events of the same shape.

import { kernelBackend, LoRAAdapter, splitPairs } from 'microlora-training-utils';
import { compare, metricsOf } from '../../api-search/held-out.mjs';
import { evaluate, lookupOf, newAdapters, prepare, RANK, retrieverOf, train } from '../../api-search/recipe.mjs';
import { TextIndex } from '../../api-search/text-index.mjs';

const SHOWN = 5;
/** Milliseconds between two reports of progress. */
const PACE = 50;

let task;
let adapters;

const handlers = {
  /** Splits and embeds pairs, and measures the searches that need no training. */
  async prepare({ pairs, seed }) {
    const { train: known, test } = splitPairs(pairs, { validation: 0, test: 0.2, by: 'input', seed });
    const prepared = await prepare(known, { seed });
    const heldOut = { pairs: test, ...lookupOf(prepared.embedder, test, pairs) };
    task = { prepared, heldOut, seed, before: retrieverOf(heldOut) };
    const index = new TextIndex(heldOut.answers).evaluate(
      test.map(({ input }) => input),
      heldOut.relevant,
    );
    postMessage({
      type: 'prepared',
      kernels: kernelBackend(),
      counts: { training: prepared.training.length, validation: prepared.validation.length, heldOut: test.length },
      textIndex: metricsOf(index),
      untrained: metricsOf(evaluate(heldOut)),
    });
  },

  train({ epochs }) {
    const { prepared, seed } = task;
    const trained = newAdapters(prepared.embedder.dim, { rank: RANK, seed });
    let best = -Infinity;
    let told = 0;
    train(trained, prepared, { epochs, seed }, ({ epoch, step, total, loss, mrr }) => {
      const recall = mrr === undefined ? undefined : evaluate(prepared.lookup, trained).recallAt[1];
      const isBest = mrr > best;
      if (isBest) best = mrr;
      if (recall === undefined && performance.now() - told < PACE) return;
      told = performance.now();
      const saved = isBest ? LoRAAdapter.toSafetensors(trained) : undefined;
      postMessage({ type: 'progress', epoch, step, total, loss, recall, saved });
    });
    use(trained);
    postMessage({ type: 'trained', ...resultOf(), saved: LoRAAdapter.toSafetensors(trained) });
  },

  /** Takes adapters from the bytes of a safetensors file, or from JSON. */
  load({ safetensors, json }) {
    const { dim } = task.prepared.embedder;
    const loaded = safetensors
      ? LoRAAdapter.fromSafetensors(safetensors)
      : new Map(Object.entries(JSON.parse(json)).map(([name, saved]) => [name, LoRAAdapter.from(saved)]));
    for (const name of ['query', 'answer']) {
      const adapter = loaded.get(name);
      if (!adapter) throw new Error(`The file has no adapter "${name}".`);
      if (adapter.dim !== dim)
        throw new Error(`The adapter "${name}" has ${adapter.dim} dimensions. The embeddings have ${dim}.`);
    }
    use(loaded);
    postMessage({ type: 'loaded', ...resultOf() });
  },

  toJson() {
    postMessage({ type: 'json', json: JSON.stringify(Object.fromEntries(adapters)) });
  },

  search({ query, id }) {
    const [row] = task.prepared.embedder.embed([query]);
    const { answers } = task.heldOut;
    const best = ({ retriever }, rows) => Array.from(retriever.search(rows, SHOWN).indices[0], i => answers[i]);
    const after = task.after ? best(task.after, adapters.get('query').forward([row])) : [];
    postMessage({ type: 'found', id, before: best(task.before, [row]), after });
  },
};

function use(next) {
  adapters = next;
  task.after = retrieverOf(task.heldOut, adapters);
}

function resultOf() {
  return { trained: compare(task.heldOut, adapters).result.trained };
}

// One message after the other.
let work = Promise.resolve();
addEventListener('message', ({ data }) => {
  work = work
    .then(() => handlers[data.type](data))
    .catch(error => postMessage({ type: 'failed', during: data.type, message: error.message }));
});
