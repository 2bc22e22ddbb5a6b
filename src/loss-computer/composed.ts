import { groupRowsOf } from '../kernels/anchor-groups.js';
import { areFinite } from '../kernels/finite.js';
import type { ContrastiveProblem, ContrastiveResult, Kernels } from '../kernels/kernels.js';
import { withJson } from '../kernels/matrix.js';
import { isInBatch, partOf, problemOf, type Setup } from './contrastive-problem.js';
import { addGradients, type Direction } from './direction.js';
import { isOwn } from './negatives.js';
import { adapt, type ContrastiveArgument, type RowGradients } from './through.js';

/**
 * One direction of a contrastive loss, by separate calls of the kernels: forward through the adapters, loss, backward.
 * Large batches run by groups of anchors, whose results are added up in order. Undefined if a number is not finite.
 */
export function composed(backend: Kernels, setup: Setup): Direction | undefined {
  const count = setup.given.anchors.length;
  const groupRows = groupRowsOf(setup.routes.map(({ adapter }) => adapter));
  if (count <= groupRows) return ofGroup(backend, setup);
  let total: Direction | undefined;
  for (let first = 0; first < count; first += groupRows) {
    const part = partOf(setup, first, Math.min(first + groupRows, count));
    const group = ofGroup(backend, part);
    if (!group) return undefined;
    if (!total) total = group;
    else if (!addGroup(backend, setup, total, group)) return undefined;
  }
  return total;
}

function ofGroup(backend: Kernels, setup: Setup): Direction | undefined {
  const { given, routes, wanted, needed, options } = setup;
  const adapted = routes.length > 0 ? adapt(CALL, backend, routes, given) : undefined;
  const problem = problemOf(setup, adapted ? adapted.rows : given);
  if (options.gradients) {
    const isOfPositives = problem.kind === 'batch' && needed.positives;
    const isOfNegatives = problem.own === null && needed.negatives;
    problem.wanted = {
      anchors: needed.anchors,
      positives: needed.positives,
      candidates: isOfPositives || isOfNegatives,
      own: needed.negatives,
    };
  }
  const { loss, gradients } = backend.contrastive(problem);
  if (!Number.isFinite(loss)) return undefined;
  if (!gradients) return { loss, losses: problem.losses };

  const rows = byArgument(problem, gradients, needed, given.positives.length);
  const areRowsFinite = gradients.areBounded || areFinite(rows.anchors, rows.positives, rows.negatives);
  if (!areRowsFinite || !Number.isFinite(gradients.temperature)) return undefined;
  const result = adapted ? adapted.backward(rows, wanted) : { gradients: rows, adapterGradients: new Map() };
  return (
    result && {
      loss,
      losses: problem.losses,
      gradients: { temperature: gradients.temperature, rows: result.gradients, adapters: result.adapterGradients },
    }
  );
}

const CALL = 'LossComputer.contrastive';

/** The gradients by argument. */
function byArgument(
  { kind, own }: ContrastiveProblem,
  { anchors, positives, candidates, own: ofOwn }: NonNullable<ContrastiveResult['gradients']>,
  needed: Setup['needed'],
  count: number,
): RowGradients {
  if (kind === 'others') return { anchors, positives, negatives: own ? ofOwn : candidates };
  const ofPositives = needed.positives && candidates ? withJson(candidates.slice(0, count)) : null;
  const ofOthers = needed.negatives && candidates ? withJson(candidates.slice(count)) : null;
  return { anchors, positives: ofPositives, negatives: own ? ofOwn : ofOthers };
}

/** Adds the result of the next group of anchors. Returns whether the sums are finite. */
function addGroup(backend: Kernels, setup: Setup, total: Direction, group: Direction): boolean {
  total.loss += group.loss;
  if (total.losses && group.losses) total.losses = joined(total.losses, group.losses);
  if (!total.gradients || !group.gradients) return Number.isFinite(total.loss);
  const [to, from] = [total.gradients.rows, group.gradients.rows];
  const added: RowGradients = { anchors: null, positives: null, negatives: null };
  const appendOrAdd = (argument: ContrastiveArgument, isOfAnchors: boolean): void => {
    if (!isOfAnchors) added[argument] = from[argument];
    else if (to[argument] && from[argument]) to[argument].push(...from[argument]);
  };
  appendOrAdd('anchors', true);
  appendOrAdd('positives', !isInBatch(setup));
  appendOrAdd('negatives', isOwn(setup.negativeMode));
  return Number.isFinite(total.loss) && addGradients(backend, total.gradients, { ...group.gradients, rows: added });
}

function joined(a: Float64Array, b: Float64Array): Float64Array {
  const both = new Float64Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
