import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LossComputer, type LossResult, type Rows } from '../../../src/index.js';
import { expectGradient } from '../../laws/gradients.js';
import { expectClose, expectCloseToLargest } from '../../support/close.js';
import { arbitraryContrastive, bruteForce, type Contrastive, settings, withCopies } from '../../support/contrastive.js';
import { mulberry32 } from '../../support/golden.js';

/** What counts as a negative: every mode, with and without ids, against plain loops over all candidates. */

const contrastive = ({ rows, options }: Contrastive, others: object = {}): LossResult =>
  LossComputer.contrastive(rows.anchors, rows.positives, rows.negatives, { ...options, ...others });
const copies = fc.array(fc.boolean(), { minLength: 4, maxLength: 4 });
const random = mulberry32(21);
const rowsOf = (count: number, width: number): Float32Array[] =>
  Array.from({ length: count }, () => Float32Array.from({ length: width }, () => random() - 0.5));

describe.each(settings)('mode $mode, ids of $ids, symmetric $symmetric', setting => {
  it('equals a plain loop over all candidates, in total and per row, also where negatives equal positives', () => {
    fc.assert(
      fc.property(arbitraryContrastive(setting), copies, (problem, copied) => {
        for (const each of [problem, withCopies(problem, copied)]) {
          const expected = bruteForce(each);
          const actual = contrastive(each, { perRow: true });
          expectClose(actual.loss, expected.loss, 1e-5, 1e-3);
          expectClose(actual.perRow!, expected.perRow, 1e-5, 1e-3);
          expect(contrastive(each, { gradients: true, perRow: true })).toMatchObject({
            loss: actual.loss,
            perRow: actual.perRow,
          });
        }
      }),
      { numRuns: 40 },
    );
  });

  it('has the gradients of finite differences: of every argument and of the temperature', () => {
    fc.assert(
      fc.property(arbitraryContrastive(setting), problem => {
        const { rows, options } = problem;
        // A negative that equals its positive is skipped, but a finite difference away it counts.
        const texts = [...rows.positives, ...(rows.negatives ?? [])].map(row => row.join());
        fc.pre(new Set(texts).size === texts.length);
        const result = contrastive(problem, { gradients: true });
        const lossWith = (changed: Partial<Contrastive['rows']>): number =>
          bruteForce({ rows: { ...rows, ...changed }, options }).loss;
        expectGradient(anchors => lossWith({ anchors }), rows.anchors, result.gradients!);
        expectGradient(positives => lossWith({ positives }), rows.positives, result.targetGradients!);
        expect(result.negativeGradients === undefined).toBe(rows.negatives === null);
        if (rows.negatives) {
          expectGradient(negatives => lossWith({ negatives }), rows.negatives, result.negativeGradients!);
        }
        const { temperature } = options;
        const at = (offset: number): number =>
          bruteForce({ rows, options: { ...options, temperature: temperature + offset } }).loss;
        const slope = (8 * (at(1e-3) - at(-1e-3)) - (at(2e-3) - at(-2e-3))) / 12e-3;
        expectClose(result.temperatureGradient!, slope, 1e-4, 1e-2);
      }),
      { numRuns: 15 },
    );
  });

  it('computes the same gradients with wrt, and only those', () => {
    fc.assert(
      fc.property(arbitraryContrastive(setting), problem => {
        const all = contrastive(problem, { gradients: true });
        const names = { anchors: 'gradients', positives: 'targetGradients', negatives: 'negativeGradients' } as const;
        for (const wrt of [[], ['anchors'], ['positives'], ['negatives'], ['negatives', 'anchors']] as const) {
          const { components, loss, temperatureGradient } = all;
          const kept = wrt.flatMap(argument => (all[names[argument]] ? [[names[argument], all[names[argument]]]] : []));
          const expected = { loss, components, temperatureGradient, ...Object.fromEntries(kept) };
          expect(contrastive(problem, { gradients: true, wrt })).toEqual(expected);
        }
        expect(contrastive(problem, { gradients: true, wrt: ['anchors', 'positives', 'negatives'] })).toEqual(all);
      }),
      { numRuns: 10 },
    );
  });

  it('has the diagnostics of the candidates that count', () => {
    fc.assert(
      fc.property(arbitraryContrastive(setting), copies, (problem, copied) => {
        const each = withCopies(problem, copied);
        const { cosines } = bruteForce(each);
        const weights = cosines.map((_, i) => each.options.weights?.[i] ?? 1);
        const mean = (values: readonly (readonly [value: number, weight: number])[]): number => {
          const weight = values.reduce((sum, [, w]) => sum + w, 0);
          return weight === 0 ? 0 : values.reduce((sum, [value, w]) => sum + value * w, 0) / weight;
        };
        const { components } = contrastive(each, { diagnostics: true });
        const positives = cosines.map(({ positive }, i) => [positive, weights[i]!] as const);
        const negatives = cosines.flatMap((row, i) => row.negatives.map(value => [value, weights[i]!] as const));
        expectClose(components['positiveCosine']!, mean(positives), 1e-5, 1e-2);
        expectClose(components['negativeCosine']!, mean(negatives), 1e-5, 1e-2);
        // Cosines that are equal up to rounding may compare either way.
        const gaps = cosines.flatMap(row => row.negatives.map(value => Math.abs(value - row.positive)));
        fc.pre(gaps.every(gap => gap === 0 || gap > 1e-9));
        const right = cosines.map(
          (row, i) => [row.negatives.every(value => value < row.positive) ? 1 : 0, weights[i]!] as const,
        );
        expectClose(components['accuracy']!, mean(right), 1e-12);
      }),
      { numRuns: 20 },
    );
  });
});

describe('own negatives', () => {
  it('belong to one anchor only: a call with k per anchor equals calls with one anchor each', () => {
    const [anchors, positives, negatives] = [rowsOf(5, 7), rowsOf(5, 7), rowsOf(15, 7)];
    const { perRow } = LossComputer.contrastive(anchors, positives, negatives, { negativeMode: 'own', perRow: true });
    const each = anchors.map(
      (anchor, i) => LossComputer.contrastive([anchor], [positives[i]!], negatives.slice(3 * i, 3 * i + 3)).loss,
    );
    expectClose(perRow, each, 1e-5);
  });

  it.each(['own', 'inBatch+own'] as const)(
    'in mode %s: all anchors at once give the sum over parts of them',
    negativeMode => {
      const [n, width, k] = [150, 20, 3];
      const [anchors, positives, negatives] = [rowsOf(n, width), rowsOf(n, width), rowsOf(k * n, width)];
      const options = { negativeMode, reduction: 'sum', gradients: true, perRow: true } as const;
      const whole = LossComputer.contrastive(anchors, positives, negatives, options);
      const expected = bruteForce({
        rows: { anchors, positives, negatives } as unknown as Contrastive['rows'],
        options: { negativeMode, reduction: 'sum', temperature: 0.07 },
      });
      expectClose(whole.loss, expected.loss, 1e-5);
      expectClose(whole.perRow, expected.perRow, 1e-5, 1e-2);
      // The order of anchors changes the blocks that they are in.
      const order = anchors.map((_, i) => (i * 77) % n);
      const take = (rows: Rows): Rows => order.map(i => rows[i]!);
      const takeOwn = (rows: Rows): Rows => order.flatMap(i => rows.slice(k * i, k * i + k));
      const moved = LossComputer.contrastive(take(anchors), take(positives), takeOwn(negatives), options);
      expectClose(moved.loss, whole.loss, 1e-6);
      expectClose(moved.temperatureGradient, whole.temperatureGradient, 1e-5);
      expectCloseToLargest(moved.gradients, take(whole.gradients), 1e-5);
      expectCloseToLargest(moved.targetGradients, take(whole.targetGradients), 1e-5);
      expectCloseToLargest(moved.negativeGradients, takeOwn(whole.negativeGradients), 1e-5);
    },
  );

  it.each([null, []])('in mode inBatch+own without any (%j) give the loss of the batch', negatives => {
    const [anchors, positives] = [rowsOf(4, 5), rowsOf(4, 5)];
    const own = LossComputer.contrastive(anchors, positives, negatives, {
      negativeMode: 'inBatch+own',
      gradients: true,
    });
    const inBatch = LossComputer.contrastive(anchors, positives, null, { gradients: true });
    expect(own.loss).toBe(inBatch.loss);
    expect(own.gradients).toEqual(inBatch.gradients);
    expect(own.targetGradients).toEqual(inBatch.targetGradients);
  });

  it('may be rows of unequal length, zero rows and rows beyond float32', () => {
    const [anchors, positives] = [rowsOf(3, 4), rowsOf(3, 4)];
    const options = { negativeMode: 'inBatch+own', temperature: 0.5, gradients: true } as const;
    const zeros = anchors.map(() => [0, 0, 0, 0]);
    const withZeros = LossComputer.contrastive(anchors, positives, zeros, options);
    const { loss } = LossComputer.contrastive(anchors, positives, null, { temperature: 0.5 });
    expect(withZeros.loss).toBeGreaterThan(loss);
    expect(withZeros.negativeGradients.flatMap(row => Array.from(row, Math.abs))).toEqual(new Array(12).fill(0));
    const short = rowsOf(6, 3);
    const padded = { rows: { anchors, positives, negatives: short }, options } as unknown as Contrastive;
    const [a, p] = [anchors, positives].map(rows => rows.map(row => row.subarray(0, 3)));
    const negativeCosines = short.map((row, j) => LossComputer._cosineSimilarity(a![j >> 1]!, row));
    expect(p!.length).toBe(3);
    const ofRows = contrastive(padded, { perRow: true }).perRow!;
    anchors.forEach((anchor, i) => {
      const batch = positives.map(row => LossComputer._cosineSimilarity(anchor, row));
      const logits = [...batch, negativeCosines[2 * i]!, negativeCosines[2 * i + 1]!].map(value => value / 0.5);
      const expected = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0)) - logits[i]!;
      expect(ofRows[i]).toBeCloseTo(expected, 5);
    });
    const far = short.map(row => [...Array.from(row, value => 1e200 * value), 0]);
    const near = short.map(row => [...row, 0]);
    expectClose(
      LossComputer.contrastive(anchors, positives, far, options).loss,
      LossComputer.contrastive(anchors, positives, near, options).loss,
      1e-5,
    );
  });

  it('that no anchor counts are still checked, and leave the gradients finite', () => {
    const [anchors, positives] = [rowsOf(3, 20), rowsOf(3, 20)];
    const negatives = rowsOf(3, 20).map(row => Array.from(row));
    negatives[1]![4] = Number.NaN;
    for (const negativeMode of ['explicit', 'own', 'inBatch+explicit', 'inBatch+own'] as const) {
      const options = { negativeMode, ids: [1, 1, 1], negativeIds: [1, 1, 1], gradients: true } as const;
      expect(() => LossComputer.contrastive(anchors, positives, negatives, options)).toThrow(
        'contrastive: negatives[1][4] must be finite, got NaN',
      );
      const far = negatives.map(row => row.map(() => 1e200));
      const { loss, gradients, negativeGradients } = LossComputer.contrastive(anchors, positives, far, options);
      expect(loss).toBe(0);
      expect([...gradients, ...negativeGradients].every(row => row.every(value => value === 0))).toBe(true);
    }
  });

  it('have ids that are compared by type: a number differs from a text', () => {
    const [anchors, positives, negatives] = [rowsOf(2, 5), rowsOf(2, 5), rowsOf(2, 5)];
    const lossOf = (negativeIds: (string | number)[]): number =>
      LossComputer.contrastive(anchors, positives, negatives, { ids: [1, 'b'], negativeIds }).loss;
    const all = LossComputer.contrastive(anchors, positives, negatives).loss;
    expect(lossOf(['1', 'B'])).toBe(all);
    expect(lossOf([1, 'b'])).toBeLessThan(all);
  });
});
