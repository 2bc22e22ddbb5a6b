import { checkAdapters, describeAdapter } from '../internal/adapters.js';
import { fingerprintOf } from '../internal/fingerprint.js';
import { checkArray, checkFiniteRows, checkObject, describe, isVector, wrongType } from '../internal/validate.js';
import type { Adapter, EmbeddedExample, Rows, Vector } from '../types.js';
import type { AdapterMemory } from './memory.js';

/** Options of `EWCManager.export`. */
export interface ExportOptions {
  /**
   * The adapters as they are now, by name. The state gets fingerprints of their weights, which `import` compares.
   *
   * @default no fingerprints of weights
   */
  adapters?: ReadonlyMap<string, Adapter>;
}

/** Options of `EWCManager.import`: what the state must belong to. */
export interface ImportOptions {
  /**
   * The adapters that the state is used with, by name. All remembered adapters must be among them, in the remembered
   * shape. If the state was exported with `adapters`, they must have the same weights (in float32).
   *
   * @default not compared
   */
  adapters?: ReadonlyMap<string, Adapter>;
  /**
   * The latest task's examples, all of them in their order. Texts and embeddings must be those that were learned.
   *
   * @default not compared
   */
  examples?: readonly EmbeddedExample[];
}

/** Fingerprints of what a state comes from. Null stands for unknown. */
export interface Provenance {
  /** Of the latest task's embeddings: up to 16 examples, spread over all. */
  embeddings: string | null;
  /** Of the texts of the same examples. Null where they have none. */
  texts: string | null;
  /** Of the adapters' weights when the state was exported, by adapter. */
  weights: Record<string, string> | null;
}

/** Enough to tell data apart, in a small part of the Fisher's time. */
const MOST_EXAMPLES = 16;

/** The fingerprints of a task's examples. */
export function fingerprintsOf(data: readonly EmbeddedExample[]): Pick<Provenance, 'embeddings' | 'texts'> {
  const step = Math.max(1, data.length / MOST_EXAMPLES);
  const count = Math.min(MOST_EXAMPLES, data.length);
  // Where the caller gives the gradients, examples may be anything.
  const examples = Array.from({ length: count }, (_, i) => data[Math.floor(i * step)] ?? ({} as EmbeddedExample));
  const embeddings = examples.flatMap(({ inputEmb, outputEmb }) => [inputEmb, outputEmb].filter(isNumeric));
  const texts = examples.flatMap(textsOf);
  return {
    embeddings: embeddings.length > 0 ? fingerprintOf([[data.length], ...embeddings]) : null,
    texts: texts.length > 0 ? fingerprintOf([[data.length], ...texts.map(charactersOf)]) : null,
  };
}

function isNumeric(row: unknown): row is Vector {
  return isVector(row) && typeof row[0] === 'number';
}

function textsOf(example: object): string[] {
  const { input, output } = example as { input?: unknown; output?: unknown };
  return [input, output].filter(text => typeof text === 'string');
}

function charactersOf(text: string): Vector {
  return Uint16Array.from(text, (_, i) => text.charCodeAt(i)) as unknown as Vector;
}

/** The fingerprints of the adapters that are remembered. */
export function weightsOf(
  call: string,
  adapters: ReadonlyMap<string, Adapter>,
  remembered: ReadonlyMap<string, unknown>,
): Record<string, string> {
  checkAdapters(call, adapters, checkFiniteRows);
  return Object.fromEntries(
    Array.from(remembered.keys(), name => {
      const adapter = adapters.get(name);
      if (!adapter) throw new RangeError(`${call}: adapters lacks ${describe(name)}, a remembered adapter`);
      return [name, fingerprintOf([...adapter.loraA, ...adapter.loraB])];
    }),
  );
}

/** Checks that a state belongs to the adapters and examples that the caller names. */
export function checkProvenance(
  call: string,
  { adapters, examples }: ImportOptions,
  { embeddings, texts, weights }: Provenance,
  memories: ReadonlyMap<string, AdapterMemory>,
): void {
  if (adapters !== undefined) {
    const given = weightsOf(call, adapters, memories);
    for (const [name, { shown }] of memories) {
      for (const matrix of ['loraA', 'loraB'] as const) {
        const [theirs, ours] = [shown.optimal[matrix], adapters.get(name)![matrix]].map(shapeInWords);
        if (theirs === ours) continue;
        throw new RangeError(
          `${call}: optimalParams.${name}.${matrix} is ${theirs}, ${describeAdapter(name)}.${matrix} is ${ours}`,
        );
      }
      if (weights && weights[name] !== given[name])
        throw new RangeError(
          `${call}: the state was exported with other weights than ${describeAdapter(name)} has: with another adapter, or at another time`,
        );
    }
  }
  if (examples === undefined) return;
  checkArray(call, 'examples', examples);
  const given = fingerprintsOf(examples);
  if (texts !== null && given.texts !== null && texts !== given.texts)
    throw new RangeError(
      `${call}: the state was learned from other texts than those of examples: from another data set`,
    );
  if (embeddings !== null && given.embeddings !== null && embeddings !== given.embeddings) {
    const cause = texts !== null && texts === given.texts ? 'another embedder' : 'another data set or embedder';
    throw new RangeError(`${call}: the state was learned from other embeddings than those of examples: from ${cause}`);
  }
}

function shapeInWords(rows: Rows): string {
  return `${rows.length} × ${rows[0]!.length}`;
}

/** Reads fingerprints that may come from anywhere. A state of the original's, or of an earlier version, has none. */
export function parseProvenance(call: string, provenance: unknown): Provenance {
  if (provenance === undefined || provenance === null) return { embeddings: null, texts: null, weights: null };
  checkObject(call, 'provenance', provenance);
  const { weights } = provenance;
  if (weights !== null && weights !== undefined) {
    checkObject(call, 'provenance.weights', weights);
    for (const [name, value] of Object.entries(weights)) checkText(call, `provenance.weights.${name}`, value);
  }
  return {
    embeddings: checkText(call, 'provenance.embeddings', provenance['embeddings']),
    texts: checkText(call, 'provenance.texts', provenance['texts']),
    weights: (weights as Record<string, string> | null | undefined) ?? null,
  };
}

function checkText(call: string, name: string, value: unknown): string | null {
  if (value === undefined || value === null) return null;
  if (typeof value !== 'string') throw wrongType(call, name, 'a string', value);
  return value;
}
