import type { Kernels, LoraContrastiveResult } from '../kernels/kernels.js';
import type { Adapter, LossResult } from '../types.js';
import { problemOf, type Setup } from './contrastive-problem.js';
import { type Direction, sumOfGroups } from './direction.js';
import type { ContrastiveArgument } from './through.js';

/**
 * One direction of a contrastive loss and the gradients of its adapters, in one call of the kernels. Undefined if
 * gradients of rows are wanted, if the kernels have no faster way than several calls, or if a number is not finite.
 */
export function fused(backend: Kernels, setup: Setup): Direction | undefined {
  const { given, routes, wanted, options } = setup;
  const isOfRows = wanted.anchors || wanted.positives || wanted.negatives;
  if (routes.length === 0 || isOfRows || options.diagnostics) return undefined;
  const adapterOf = (part: ContrastiveArgument): Adapter | null =>
    routes.find(({ parts }) => parts.includes(part))?.adapter ?? null;
  const { gradients = false, precision = 'float32', perGroup = false } = options;
  const problem = problemOf(setup, given);
  const [query, answer] = [adapterOf('anchors'), adapterOf('positives')];
  const results = backend.loraContrastive({ ...problem, query, answer, gradients, precision, perGroup });
  if (!results) return undefined;
  return sumOfGroups(
    backend,
    setup,
    results.map(result => directionOf(setup, result)),
  );
}

function directionOf({ routes }: Setup, { loss, gradients }: LoraContrastiveResult): Direction {
  if (!gradients) return { loss };
  const adapters: NonNullable<LossResult['adapterGradients']> = new Map();
  for (const { name, parts } of routes) {
    // An adapter of both sides has the sum in `query`. The kernels checked that it is finite.
    adapters.set(name, (parts.includes('anchors') ? gradients.query : gradients.answer)!);
  }
  const rows = { anchors: null, positives: null, negatives: null };
  return { loss, gradients: { temperature: gradients.temperature, rows, adapters } };
}
