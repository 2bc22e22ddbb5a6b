import { checkAdapters, describeAdapter } from '../internal/adapters.js';
import { fingerprintOf } from '../internal/fingerprint.js';
import { checkArray, checkFiniteRows, checkObject, describe, isVector, wrongType } from '../internal/validate.js';
import type { Adapter, EmbeddedExample, Rows, Vector } from '../types.js';
import type { AdapterMemory } from './memory.js';

/** What `EWCManager.export` may note beside what is remembered. */
export interface ExportOptions {
  /** The adapters as they are now, by name: their fingerprints are noted, for `import` to compare. */
  adapters?: ReadonlyMap<string, Adapter>;
}

/** What `EWCManager.import` is to find the state of. */
export interface ImportOptions {
  /**
   * The adapters that the state is used with, by name. All that are remembered must be there and of the remembered shape;
   * where the state was exported with `adapters`, with the same weights (in float32).
   */
  adapters?: ReadonlyMap<string, Adapter>;
  /** The latest task's examples, all of them in their order: texts and embeddings must be those that were learned. */
  examples?: readonly EmbeddedExample[];
}

/** Where a state comes from, as fingerprints; null where it is not known. */
export interface Provenance {
  /** Of the latest task's embeddings, those of up to 16 examples spread over all. */
  embeddings: string | null;
  /** Of the texts of the same examples, where they have some. */
  texts: string | null;
  /** Of the adapters' weights when the state was exported, by adapter. */
  weights: Record<string, string> | null;
}

/** So many tell data apart, and cost nothing beside the Fisher. */
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
      if (!adapter) throw new RangeError(`${call}: adapters lacks ${describe(name)}, which is remembered`);
      return [name, fingerprintOf([...adapter.loraA, ...adapter.loraB])];
    }),
  );
}

/** Checks a state against what the caller expects it to be of. */
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
          `${call}: data is of other weights than ${describeAdapter(name)} has; it was exported beside another adapter, or at another time`,
        );
    }
  }
  if (examples === undefined) return;
  checkArray(call, 'examples', examples);
  const given = fingerprintsOf(examples);
  if (texts !== null && given.texts !== null && texts !== given.texts)
    throw new RangeError(`${call}: data is of other texts than examples; it is of another data set`);
  if (embeddings !== null && given.embeddings !== null && embeddings !== given.embeddings) {
    const cause = texts !== null && texts === given.texts ? 'of another embedder' : 'of another data set or embedder';
    throw new RangeError(`${call}: data is of other embeddings than examples; it is ${cause}`);
  }
}

function shapeInWords(rows: Rows): string {
  return `${rows.length} × ${rows[0]!.length}`;
}

/** Reads what may come from anywhere; a state of the original's, or of an earlier version, tells nothing. */
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
