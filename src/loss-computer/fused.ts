import { areFinite } from '../kernels/finite.js';
import type { Kernels, LoraContrastiveResult } from '../kernels/kernels.js';
import type { Adapter, LossResult } from '../types.js';
import type { ContrastiveComponents } from './contrastive.js';
import { problemOf, reverseOf, type Setup } from './contrastive-problem.js';
import { averaged } from './reduction.js';
import type { ContrastiveArgument } from './through.js';

/**
 * A contrastive loss and the gradients of its adapters, in one call of the kernels. Undefined if gradients of rows are
 * wanted, if the kernels have no faster way than several calls, or if a number is not finite.
 */
export function fused(backend: Kernels, setup: Setup): LossResult<ContrastiveComponents> | undefined {
  const { routes, wanted, options } = setup;
  const isOfRows = wanted.anchors || wanted.positives || wanted.negatives;
  if (routes.length === 0 || isOfRows || options.diagnostics) return undefined;
  const adapterOf = (part: ContrastiveArgument): Adapter | null =>
    routes.find(({ parts }) => parts.includes(part))?.adapter ?? null;
  const [ofAnchors, ofPositives] = [adapterOf('anchors'), adapterOf('positives')];
  const { gradients = false, precision = 'float32' } = options;
  const base = problemOf(setup, setup.given);
  const problem = { ...base, query: ofAnchors, answer: ofPositives, gradients, precision };
  const forward = backend.loraContrastive(problem);
  if (!forward) return undefined;
  const reversed = setup.symmetric
    ? { ...reverseOf(base, setup.groups?.anchors ?? null), query: ofPositives, answer: ofAnchors, gradients, precision }
    : undefined;
  const reverse = reversed && backend.loraContrastive(reversed);
  if (reversed && !reverse) return undefined;

  const loss = forward.loss + (reverse?.loss ?? 0);
  const result: LossResult<ContrastiveComponents> = { loss, components: { contrastive: loss } };
  if (problem.losses) result.perRow = reversed?.losses ? averaged(problem.losses, reversed.losses) : problem.losses;
  if (!forward.gradients) return result;
  result.temperatureGradient = forward.gradients.temperature + (reverse?.gradients?.temperature ?? 0);
  const ofAdapters = adapterGradients(backend, setup, forward, reverse);
  return ofAdapters && { ...result, adapterGradients: ofAdapters };
}

/** The gradients by adapter, added up over both sides and directions. Undefined if one is not finite. */
function adapterGradients(
  backend: Kernels,
  { routes }: Setup,
  { gradients: forward }: LoraContrastiveResult,
  reverse: LoraContrastiveResult | undefined,
): LossResult['adapterGradients'] {
  const byName: NonNullable<LossResult['adapterGradients']> = new Map();
  for (const { name, parts } of routes) {
    const shares = [
      ...(parts.includes('anchors') ? [forward?.query, reverse?.gradients?.answer] : []),
      ...(parts.includes('positives') ? [forward?.answer, reverse?.gradients?.query] : []),
    ].filter(share => share != null);
    // Each share is finite.
    const first = shares[0]!;
    for (const { gradA, gradB } of shares.slice(1)) {
      backend.addRows(first.gradA, gradA);
      backend.addRows(first.gradB, gradB);
    }
    if (shares.length > 1 && !areFinite(first.gradA, first.gradB)) return undefined;
    byName.set(name, first);
  }
  return byName;
}
