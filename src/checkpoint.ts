import { readWhole, toPath, writeWhole } from '#platform/files';
import { pack, unpack } from './checkpoint/packing.js';
import { checkFunction, checkObject, describe, wrongType } from './internal/validate.js';
import { encode, MOST_TENSORS } from './tensors/safetensors.js';
import { readTensorsFor } from './tensors.js';
import type { Bytes, Stateful } from './types.js';

const FORMAT = 'microlora-training-utils checkpoint';
const VERSION = '1';

/**
 * Writes the states of any parts of a training to one file, whole or not at all. They go to a temporary file beside it,
 * which replaces it once it is on the disk. A process that is killed during a save leaves the earlier file, and maybe a
 * `.<name>.<16 hex digits>.tmp`, which may be deleted.
 *
 * The file is safetensors. Its tensors are the typed arrays of the states, in their own type, and the arrays and
 * matrices of at least 16 numbers, in float32 where that loses nothing and otherwise in float64. The rest is JSON in
 * its metadata. Every number of a tensor survives to the bit. The file has a fifth to two fifths of the size of the JSON.
 * Outside of tensors, values are written as `JSON.stringify` writes them: NaN and infinities become null.
 *
 * @param path Where to write. An earlier file is replaced, and its permissions are kept.
 * @param parts Adapters, optimizers, batches and other parts by name.
 * @throws TypeError or RangeError where there is no part, a part lacks `stateDict` or `loadStateDict`, a state holds a
 *   Map, a Set, an instance of a class, a bigint or itself, `path` is a folder, or its folder does not exist.
 * @throws Errors of the file system. The temporary file is removed then.
 *
 * @example
 * ```js
 * import { AdamW, loadCheckpoint, LoRAAdapter, saveCheckpoint } from 'microlora-training-utils';
 *
 * const partsOf = (seed = 0) => {
 *   const query = new LoRAAdapter({ dim: 8, seed });
 *   return { query, optimizer: new AdamW(new Map([['query', query]])) };
 * };
 * const before = partsOf(1);
 * saveCheckpoint('training.safetensors', before);
 * const after = partsOf(2);
 * loadCheckpoint('training.safetensors', after);
 * console.log(after.query.loraA[0][0] === before.query.loraA[0][0]); // true
 * ```
 */
export function saveCheckpoint(path: string | URL, parts: Readonly<Record<string, Stateful>>): void {
  const call = 'saveCheckpoint';
  writeWhole(call, pathOf(call, path), packed(call, parts));
}

/**
 * The bytes of the file that {@link saveCheckpoint} writes, for runtimes without files.
 *
 * @throws TypeError or RangeError as {@link saveCheckpoint}.
 */
export function packCheckpoint(parts: Readonly<Record<string, Stateful>>): Bytes {
  return packed('packCheckpoint', parts);
}

function packed(call: string, parts: Readonly<Record<string, Stateful>>): Bytes {
  checkParts(call, parts);
  const states = new Map(Object.entries(parts).map(([name, part]) => [name, part.stateDict()]));
  const { json, tensors, forms } = pack(call, states);
  if (tensors.size > MOST_TENSORS)
    throw new RangeError(`${call}: the states have ${tensors.size} matrices, at most ${MOST_TENSORS} are allowed`);
  const metadata = { format: FORMAT, version: VERSION, states: json, forms: JSON.stringify(forms) };
  return encode(call, tensors, metadata);
}

/**
 * Loads the parts of a file that {@link saveCheckpoint} wrote. All of them load their states, or none: if one refuses
 * its state, the others get back the states that they had. Their order is free: an optimizer's state, which belongs to
 * weights, loads after them.
 *
 * @param path The file.
 * @param parts Parts by name, with the names that were saved. Each part is made as the one that was saved.
 * @throws RangeError where there is no such file, it is not whole or not a checkpoint, or it has other parts, which the
 *   message names. Nothing has changed then.
 * @throws TypeError or RangeError where a part refuses its state, with its name and its reason.
 */
export function loadCheckpoint(path: string | URL, parts: Readonly<Record<string, Stateful>>): void {
  const call = 'loadCheckpoint';
  const file = pathOf(call, path);
  load(call, parts, () => readWhole(call, file), file);
}

/**
 * Loads the parts from the bytes of {@link packCheckpoint}, or of a file of {@link saveCheckpoint}. All of them take their
 * states, or none.
 *
 * @throws TypeError or RangeError, with nothing changed, as {@link loadCheckpoint}.
 */
export function unpackCheckpoint(bytes: Uint8Array, parts: Readonly<Record<string, Stateful>>): void {
  load('unpackCheckpoint', parts, () => bytes, 'bytes');
}

function load(call: string, parts: Readonly<Record<string, Stateful>>, read: () => Uint8Array, label: string): void {
  checkParts(call, parts);
  const states = readStates(call, read(), label);
  const unknown = [...states.keys()].find(name => !Object.hasOwn(parts, name));
  if (unknown !== undefined)
    throw new RangeError(`${call}: the file has the part ${describe(unknown)}, which parts has not`);
  const missing = Object.keys(parts).find(name => !states.has(name));
  if (missing !== undefined) {
    const names = [...states.keys()].map(describe).join(', ');
    throw new RangeError(`${call}: parts has ${describe(missing)}, which the file has not; it has ${names}`);
  }
  const before = new Map(Object.entries(parts).map(([name, part]) => [name, part.stateDict()]));
  const refusal = loadAll(parts, states);
  if (!refusal) return;
  const lost = loadAll(parts, before);
  const reason = `part ${describe(refusal.name)} refuses its state: ${messageOf(refusal.error)}`;
  const rest = lost ? `; part ${describe(lost.name)} refuses what it had before: ${messageOf(lost.error)}` : '';
  const Refusal = refusal.error instanceof TypeError ? TypeError : RangeError;
  throw new Refusal(`${call}: ${reason}${rest}`, { cause: refusal.error });
}

function pathOf(call: string, path: unknown): string {
  if (typeof path !== 'string' && !(path instanceof URL)) throw wrongType(call, 'path', 'a path', path);
  if (path === '') throw new RangeError(`${call}: path is empty`);
  return toPath(call, path);
}

interface Refusal {
  name: string;
  error: unknown;
}

/**
 * Loads all states. A part that refuses its state is asked again after others have loaded theirs: an optimizer's state
 * belongs to the weights that an adapter loads.
 *
 * @returns The first refusal, if some parts refuse their states in any order. The other parts are loaded then.
 */
function loadAll(parts: Readonly<Record<string, Stateful>>, states: ReadonlyMap<string, unknown>): Refusal | undefined {
  let open = Object.keys(parts);
  while (open.length > 0) {
    const refusals: Refusal[] = [];
    for (const name of open) {
      try {
        parts[name]!.loadStateDict(states.get(name));
      } catch (error) {
        refusals.push({ name, error });
      }
    }
    if (refusals.length === open.length) return refusals[0];
    open = refusals.map(({ name }) => name);
  }
  return undefined;
}

function readStates(call: string, bytes: Uint8Array, label: string): Map<string, unknown> {
  const { tensors, metadata } = readTensorsFor(call, bytes);
  const { format, version, states, forms } = metadata;
  if (format !== FORMAT || states === undefined || forms === undefined)
    throw new RangeError(`${call}: ${label} is a safetensors file, but not one that saveCheckpoint wrote`);
  if (version !== VERSION)
    throw new RangeError(`${call}: ${label} is of version ${describe(version)}, this library reads version ${VERSION}`);
  return unpack(call, states, parseForms(call, forms), tensors);
}

function parseForms(call: string, text: string): Record<string, unknown> {
  let forms: unknown;
  try {
    forms = JSON.parse(text);
  } catch (cause) {
    throw new RangeError(`${call}: the forms of the file are not JSON`, { cause });
  }
  checkObject(call, 'the forms of the file', forms);
  return forms;
}

function checkParts(call: string, parts: unknown): asserts parts is Record<string, Stateful> {
  checkObject(call, 'parts', parts);
  const entries = Object.entries(parts);
  if (entries.length === 0) throw new RangeError(`${call}: parts is empty`);
  for (const [name, part] of entries) {
    const label = `parts[${describe(name)}]`;
    checkObject(call, label, part);
    checkFunction(call, `${label}.stateDict`, part['stateDict']);
    checkFunction(call, `${label}.loadStateDict`, part['loadStateDict']);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : describe(error);
}
