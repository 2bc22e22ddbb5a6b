import { describe, expectTypeOf, it } from 'vitest';
import {
  type ContrastiveComponents,
  type Float32Row,
  type LoRAAdapter,
  LossComputer,
  type LossResult,
  type MseComponents,
} from '../../src/index.js';

const rows = [
  [1, 0],
  [0, 1],
];

describe('types of losses', () => {
  it('tell the parts of each loss', () => {
    const { components } = LossComputer.contrastive(rows, rows);
    expectTypeOf(components).toEqualTypeOf<ContrastiveComponents>();
    expectTypeOf(components.contrastive).toEqualTypeOf<number>();
    expectTypeOf(components.accuracy).toEqualTypeOf<number | undefined>();
    const { components: all } = LossComputer.contrastive(rows, rows, null, { diagnostics: true, gradients: true });
    expectTypeOf(all.accuracy).toEqualTypeOf<number>();
    const { activeTriplets } = LossComputer.triplet(rows, rows, rows, { diagnostics: true }).components;
    expectTypeOf(activeTriplets).toEqualTypeOf<number>();
    // @ts-expect-error A part of another loss.
    void components.mse;
    expectTypeOf(LossComputer.mse(rows, rows).components).toEqualTypeOf<MseComponents>();
    expectTypeOf(LossComputer.combine([]).components).toEqualTypeOf<Record<string, number>>();
  });

  it('take any loss where a loss is wanted', () => {
    const losses: LossResult[] = [
      LossComputer.contrastive(rows, rows),
      LossComputer.triplet(rows, rows, rows),
      LossComputer.crossEntropy(rows, [0, 1]),
      LossComputer.mse(rows, rows),
      LossComputer.cosineEmbedding(rows, rows),
    ];
    expectTypeOf(LossComputer.combine(losses.map(loss => ({ loss, weight: 1 }))).loss).toEqualTypeOf<number>();
  });

  it('have gradients if an options variable says so', () => {
    const constant = { gradients: true } as const;
    expectTypeOf(LossComputer.mse(rows, rows, constant).gradients).toEqualTypeOf<Float32Row[]>();
    expectTypeOf(LossComputer.contrastive(rows, rows, null, constant).temperatureGradient).toEqualTypeOf<number>();
    const variable = { gradients: true, temperature: 0.1 };
    expectTypeOf(LossComputer.contrastive(rows, rows, null, variable).gradients).toEqualTypeOf<
      Float32Row[] | undefined
    >();
  });

  it('have the gradients of adapters, and of rows only with wrt', () => {
    const call = (adapters: ReadonlyMap<string, LoRAAdapter>) =>
      LossComputer.contrastive(rows, rows, null, {
        adapters,
        through: { anchors: 'query' },
        gradients: true,
        wrt: ['positives'],
      });
    expectTypeOf(call).returns.toHaveProperty('adapterGradients').not.toEqualTypeOf<undefined>();
    expectTypeOf(call).returns.toHaveProperty('targetGradients').toEqualTypeOf<Float32Row[]>();
    expectTypeOf(call).returns.toHaveProperty('gradients').toEqualTypeOf<Float32Row[] | undefined>();
  });
});
