import { checkAdapter, describeAdapter } from '../internal/adapters.js';
import { checkThrough } from '../internal/through.js';
import { checkMap, checkNumber, checkWidth, indexOfOtherWidth, inWords } from '../internal/validate.js';
import { areFinite } from '../kernels/finite.js';
import type { Kernels } from '../kernels/kernels.js';
import { withJson } from '../kernels/matrix.js';
import type { Adapter, Float32Row, LossResult, Rows, Through } from '../types.js';
import type { ContrastiveRows } from './negatives.js';
import { type Factors, throwOverflow } from './overflow.js';

/** An argument of rows of a contrastive loss. */
export type ContrastiveArgument = 'anchors' | 'positives' | 'negatives';

/**
 * The gradients that a loss always has with these arguments as `wrt`. Negatives may be missing, and so may their gradients.
 * If the arguments are known only at run time, no gradient is certain.
 */
export type GradientsWrt<Wrt extends readonly ContrastiveArgument[]> = number extends Wrt['length']
  ? never
  : { anchors: 'gradients'; positives: 'targetGradients'; negatives: never }[Wrt[number]];

/** The gradients by argument. Null for an argument that is missing, or whose gradients are not wanted. */
export type RowGradients = Record<ContrastiveArgument, Float32Row[] | null>;

/** An adapter and the arguments that go through it. */
interface Route {
  name: string;
  adapter: Adapter;
  parts: ContrastiveArgument[];
}

/** A route that was run, with the values for its backward. */
interface Run extends Route {
  inputs: Rows;
  hidden: Rows;
}

/** Rows that went through their adapters. */
export interface AdaptedRows {
  rows: ContrastiveRows;
  /**
   * Turns gradients with respect to `rows` into those of the adapters and, if wanted, of the rows passed in. Undefined if
   * one is not finite.
   */
  backward(
    gradients: RowGradients,
    wanted: Record<ContrastiveArgument, boolean>,
  ): { gradients: RowGradients; adapterGradients: NonNullable<LossResult['adapterGradients']> } | undefined;
}

/** The adapters that take part, each once. None without `adapters`. */
export function routesOf(
  call: string,
  adapters: ReadonlyMap<string, Adapter> | undefined,
  through: Through | undefined,
): Route[] {
  if (adapters === undefined) {
    if (through === undefined) return [];
    throw new RangeError(`${call}: through needs adapters, got undefined`);
  }
  checkMap(call, 'adapters', adapters);
  checkThrough(call, through, adapters);
  const routes = new Map<string, Route>();
  for (const part of ['anchors', 'positives'] as const) {
    const name = through[part];
    if (name === undefined) continue;
    const adapter = adapters.get(name)!;
    const label = describeAdapter(name);
    checkAdapter(call, label, adapter);
    checkNumber(call, `${label}.scaling`, adapter.scaling);
    const route = routes.get(name) ?? { name, adapter, parts: [] };
    route.parts.push(...(part === 'anchors' ? (['anchors'] as const) : (['positives', 'negatives'] as const)));
    routes.set(name, route);
  }
  return [...routes.values()];
}

/**
 * Passes rows through their adapters, all rows of one adapter at a time. The values for the backward are kept here, so
 * the adapters' own memory of a last forward is not touched.
 */
export function adapt(call: string, backend: Kernels, routes: readonly Route[], given: ContrastiveRows): AdaptedRows {
  const rows = { ...given };
  const runs = routes.map((route): Run => {
    const { adapter, parts } = route;
    for (const part of parts) checkWidth(call, part, given[part] ?? [], adapter.loraA.length);
    const inputs = joined(parts.map(part => given[part]));
    const { outputs, hidden } = backend.loraForward(adapter, inputs);
    forEachPart(parts, given, (part, first, end) => {
      rows[part] = outputs.slice(first, end);
    });
    return { ...route, inputs, hidden };
  });
  checkOutputs(call, rows, routes);
  return { rows, backward: (gradients, wanted) => backward(backend, runs, given, gradients, wanted) };
}

function backward(
  backend: Kernels,
  runs: readonly Run[],
  given: ContrastiveRows,
  gradients: RowGradients,
  wanted: Record<ContrastiveArgument, boolean>,
): ReturnType<AdaptedRows['backward']> {
  const adapterGradients: NonNullable<LossResult['adapterGradients']> = new Map();
  const ofRows = { ...gradients };
  for (const { name, adapter, parts, inputs, hidden } of runs) {
    const gradOutputs = joined(parts.map(part => gradients[part]));
    const wantsInputs = parts.some(part => wanted[part]);
    const result = backend.loraBackward(adapter, inputs, hidden, gradOutputs, wantsInputs);
    const { gradA, gradB, gradInputs } = result;
    if (!areFinite(gradA, gradB, gradInputs)) return undefined;
    adapterGradients.set(name, { gradA, gradB });
    forEachPart(parts, given, (part, first, end) => {
      ofRows[part] = wantsInputs ? withJson(gradInputs.slice(first, end)) : null;
    });
  }
  return { gradients: ofRows, adapterGradients };
}

/** Names the cause of a loss or a gradient that is not finite. */
export function throwContrastiveOverflow(
  call: string,
  rows: ContrastiveRows,
  routes: readonly Route[],
  factors: Factors,
): never {
  const matrices = routes.flatMap(({ name, adapter }) => [
    [`${describeAdapter(name)}.loraA`, adapter.loraA],
    [`${describeAdapter(name)}.loraB`, adapter.loraB],
  ]);
  throwOverflow(call, { ...rows, ...Object.fromEntries(matrices) }, factors);
}

/** Checks that all outputs have one length. Unlike rows without adapters, they are not compared over the shorter. */
function checkOutputs(call: string, rows: ContrastiveRows, routes: readonly Route[]): void {
  const width = rows.anchors[0]!.length;
  const lengthOf = (part: ContrastiveArgument, row: number): string => {
    const route = routes.find(({ parts }) => parts.includes(part));
    const origin = route ? ` through ${describeAdapter(route.name)}` : '';
    return `${part}[${row}] has ${inWords(rows[part]![row]!.length, 'entry')}${origin}`;
  };
  for (const part of ['anchors', 'positives', 'negatives'] as const) {
    const index = indexOfOtherWidth(rows[part] ?? [], width);
    if (index >= 0) throw new RangeError(`${call}: ${lengthOf(part, index)}, ${lengthOf('anchors', 0)}`);
  }
}

/** The rows of all matrices in one; a single matrix stays what it is. */
function joined(matrices: readonly (Rows | null)[]): Rows {
  const present = matrices.flatMap(rows => (rows && rows.length > 0 ? [rows] : []));
  return present.length === 1 ? present[0]! : present.flat();
}

/** Where the rows of each part begin and end among those joined. */
function forEachPart(
  parts: readonly ContrastiveArgument[],
  given: ContrastiveRows,
  visit: (part: ContrastiveArgument, first: number, end: number) => void,
): void {
  let first = 0;
  for (const part of parts) {
    const rows = given[part];
    if (!rows) continue;
    visit(part, first, first + rows.length);
    first += rows.length;
  }
}
