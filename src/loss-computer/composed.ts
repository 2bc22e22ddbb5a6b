import { groupRowsOf } from '../kernels/anchor-groups.js';
import { areFinite } from '../kernels/finite.js';
import type { ContrastiveProblem, ContrastiveResult, Kernels } from '../kernels/kernels.js';
import { withJson } from '../kernels/matrix.js';
import { partOf, problemOf, type Setup } from './contrastive-problem.js';
import { type Direction, sumOfGroups } from './direction.js';
import { adapt, type RowGradients } from './through.js';

/**
 * One direction of a contrastive loss, by separate calls of the kernels: forward through the adapters, loss, backward.
 * Large batches run by groups of anchors, whose results are added up in order. Undefined if a number is not finite.
 */
export function composed(backend: Kernels, setup: Setup): Direction | undefined {
  return sumOfGroups(backend, setup, groups(backend, setup));
}

function* groups(backend: Kernels, setup: Setup): Generator<Direction | undefined> {
  const count = setup.given.anchors.length;
  const groupRows = groupRowsOf(setup.routes.map(({ adapter }) => adapter));
  if (count <= groupRows) yield ofGroup(backend, setup);
  else
    for (let first = 0; first < count; first += groupRows)
      yield ofGroup(backend, partOf(setup, first, Math.min(first + groupRows, count)));
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
  if (!gradients) return { loss };

  const rows = byArgument(problem, gradients, needed, given.positives.length);
  const areRowsFinite = gradients.areBounded || areFinite(rows.anchors, rows.positives, rows.negatives);
  if (!areRowsFinite || !Number.isFinite(gradients.temperature)) return undefined;
  const result = adapted ? adapted.backward(rows, wanted) : { gradients: rows, adapterGradients: new Map() };
  return (
    result && {
      loss,
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
