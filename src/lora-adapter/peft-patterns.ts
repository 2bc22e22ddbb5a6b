import { describe, wrongValue } from '../internal/validate.js';

/**
 * A field of PEFT's configuration: numbers by name. A key is the end of a name, from a dot on, or `^` and the whole
 * name.
 */
export interface Pattern {
  /** Name of the field in messages. */
  label: string;
  entries: readonly (readonly [key: string, value: number])[];
  /** Whether the entries are in the file's order. Those of an object are not if keys look like integers. */
  isInOrder: boolean;
}

/** Names sorted by their ends, so that the names that a key fits are neighbours. */
export interface IndexedNames {
  names: readonly string[];
  /** Each name backward, followed by a dot. */
  backward: readonly string[];
}

/** The names that a key fits: from `from` to before `to`. */
interface Range {
  key: string;
  value: number;
  from: number;
  to: number;
}

const CALL = 'LoRAAdapter.fromSafetensors';

export function indexNames(names: readonly string[]): IndexedNames {
  const sorted = names
    .map(name => ({ name, backward: backwardOf(name) }))
    .sort((a, b) => (a.backward < b.backward ? -1 : 1));
  return { names: sorted.map(({ name }) => name), backward: sorted.map(({ backward }) => backward) };
}

/**
 * The number of each name that a key fits. As in PEFT, the first key in the file that fits counts. Takes n log n string
 * comparisons for n keys and names.
 */
export function resolvePattern({ label, entries, isInOrder }: Pattern, index: IndexedNames): Map<string, number> {
  const ranges = entries.map(([key, value]) => ({ key, value, ...namesAt(label, key, index.backward) }));
  const idle = ranges.find(({ from, to }) => from === to);
  if (idle) throw new RangeError(`${CALL}: ${label} has the key ${describe(idle.key)}, which fits no adapter`);
  const values = firstValues(ranges, index.names.length);
  if (!isInOrder) {
    // An object lists these keys first, wherever they stood. No two of them fit one name.
    const isInteger = ({ key }: Range): boolean => /^(?:0|[1-9]\d*)$/.test(key);
    const others = firstValues(
      [...ranges].sort((a, b) => Number(isInteger(a)) - Number(isInteger(b))),
      values.length,
    );
    const unclear = values.findIndex((value, i) => value !== others[i]);
    if (unclear >= 0) {
      const name = describe(index.names[unclear]);
      throw new RangeError(
        `${CALL}: several keys of ${label} fit ${name}, and JSON.parse lost their order; pass the text of ` +
          'adapter_config.json as config',
      );
    }
  }
  return new Map(
    index.names.flatMap((name, i): [string, number][] => (values[i] === undefined ? [] : [[name, values[i]]])),
  );
}

/** A name as a key. PEFT reads keys as regular expressions. */
export function escapeName(name: string): string {
  return name.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}

/** For each name, the value of the first range that holds it. */
function firstValues(ranges: readonly Range[], count: number): (number | undefined)[] {
  const values = new Array<number | undefined>(count).fill(undefined);
  // For each place, where the next name without a value may be. Each name is found once, even if ranges overlap.
  const next = Int32Array.from({ length: count + 1 }, (_, i) => i);
  const nextFree = (place: number): number => {
    let free = place;
    while (next[free] !== free) {
      next[free] = next[next[free]!]!;
      free = next[free]!;
    }
    return free;
  };
  for (const { value, from, to } of ranges) {
    for (let i = nextFree(from); i < to; i = nextFree(i)) {
      values[i] = value;
      next[i] = i + 1;
    }
  }
  return values;
}

function namesAt(label: string, key: string, backward: readonly string[]): { from: number; to: number } {
  const isWhole = key.startsWith('^');
  const start = backwardOf(unescapeName(label, isWhole ? key.slice(1) : key));
  const from = lowerBound(backward, start);
  if (isWhole) return { from, to: backward[from] === start ? from + 1 : from };
  // The names with this start end before the next character after the dot.
  return { from, to: lowerBound(backward, `${start.slice(0, -1)}/`) };
}

/** The first place whose text is not less than `text`. */
function lowerBound(sorted: readonly string[], text: string): number {
  let from = 0;
  let to = sorted.length;
  while (from < to) {
    const middle = (from + to) >> 1;
    if (sorted[middle]! < text) from = middle + 1;
    else to = middle;
  }
  return from;
}

function backwardOf(name: string): string {
  return `${name.split('').reverse().join('')}.`;
}

/**
 * The name that an expression without operators stands for. Other expressions are not run: a file could stall the
 * process with one.
 */
function unescapeName(label: string, expression: string): string {
  const rest = expression.replace(/\\[^a-z0-9]/gi, '');
  if (/[\\^$*+?()[\]{}|]/.test(rest)) throw wrongValue(CALL, `each key of ${label}`, 'a plain name', expression);
  return expression.replace(/\\(.)/gs, '$1');
}
