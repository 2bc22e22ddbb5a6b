import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { continualMetrics } from '../src/index.js';

describe('continualMetrics', () => {
  // Scores after each of three tasks: the first task is gradually forgotten, and the second recovers.
  const scores = [
    [0.9, 0.3, 0.1],
    [0.95, 0.8, 0.4],
    [0.6, 0.85, 0.7],
  ];

  it('follows the definitions, computed by hand', () => {
    const { accuracy, forgetting, forgettingFromFirst, backwardTransfer, forwardTransfer } = continualMetrics(scores);
    expect(accuracy).toBeCloseTo((0.6 + 0.85 + 0.7) / 3, 12);
    expect(forgetting).toBeCloseTo((0.95 - 0.6 + (0.8 - 0.85)) / 2, 12);
    expect(forgettingFromFirst).toBeCloseTo((0.9 - 0.6 + (0.8 - 0.85)) / 2, 12);
    expect(backwardTransfer).toBeCloseTo(-forgettingFromFirst, 12);
    expect(forwardTransfer).toBeCloseTo((0.3 + 0.4) / 2, 12);
    expect(continualMetrics(scores, { baseline: [0.2, 0.2, 0.3] }).forwardTransfer).toBeCloseTo((0.1 + 0.1) / 2, 12);
  });

  it('treats losses as scores with the opposite sign, and returns their mean unchanged', () => {
    const matrix = fc.integer({ min: 1, max: 5 }).chain(tasks =>
      fc.array(fc.array(fc.double({ min: 0, max: 9, noNaN: true }), { minLength: tasks, maxLength: tasks }), {
        minLength: tasks,
        maxLength: tasks,
      }),
    );
    fc.assert(
      fc.property(matrix, rows => {
        const losses = continualMetrics(rows, { higherIsBetter: false });
        const scored = continualMetrics(rows.map(row => row.map(value => -value)));
        expect(losses.accuracy).toBeCloseTo(-scored.accuracy, 12);
        for (const metric of ['forgetting', 'forgettingFromFirst', 'backwardTransfer', 'forwardTransfer'] as const)
          expect(losses[metric]).toBeCloseTo(scored[metric], 12);
        expect(losses.forgetting).toBeGreaterThanOrEqual(losses.forgettingFromFirst - 1e-12);
      }),
    );
  });

  it('measures forgetting from the best of all earlier scores, including those before the task was learned', () => {
    const rows = [
      [0.9, 0.95, 0.1],
      [0.7, 0.7, 0.3],
      [0.6, 0.65, 0.8],
    ];
    const { forgetting, forgettingFromFirst } = continualMetrics(rows);
    expect(forgetting).toBeCloseTo(0.3, 12);
    expect(forgettingFromFirst).toBeCloseTo((0.3 + 0.05) / 2, 12);
  });

  it('accepts triangular scores, as short rows or with NaN, and returns what they determine', () => {
    const short = scores.map((row, i) => row.slice(0, i + 1));
    const filled = scores.map((row, i) => row.map((value, j) => (j > i ? Number.NaN : value)));
    const { forwardTransfer: _, ...whole } = continualMetrics(scores);
    for (const triangle of [short, filled, [short[0]!, filled[1]!, scores[2]!]])
      expect(continualMetrics(triangle)).toEqual({ ...whole, forwardTransfer: Number.NaN });
    // One score above the diagonal is known, so it counts in the maximum of its task.
    const partly = [[0.9, 0.99], [0.95, 0.8], scores[2]!];
    const { forwardTransfer, forgetting } = continualMetrics(partly, { baseline: [0, 0.2, 0] });
    expect(forwardTransfer).toBeCloseTo(0.79, 12);
    expect(forgetting).toBeCloseTo((0.95 - 0.6 + (0.99 - 0.85)) / 2, 12);
  });

  it('has no forgetting for one task', () => {
    expect(continualMetrics([Float32Array.of(0.5)])).toEqual({
      accuracy: 0.5,
      forgetting: 0,
      forgettingFromFirst: 0,
      backwardTransfer: 0,
      forwardTransfer: 0,
    });
  });

  it.each<[string, () => unknown]>([
    ['continualMetrics: scores has no rows', () => continualMetrics([])],
    ['continualMetrics: scores[0] has 3 entries, expected 1 to 2', () => continualMetrics([[1, 2, 3], [1]])],
    ['continualMetrics: scores[1][0] must be a finite number, got NaN', () => continualMetrics([[1], [Number.NaN, 1]])],
    ['continualMetrics: scores[1] has 1 entry, expected 2', () => continualMetrics([[1, 2], [3]])],
    [
      'continualMetrics: scores[0][1] must be a finite number, got Infinity',
      () =>
        continualMetrics([
          [1, Number.POSITIVE_INFINITY],
          [1, 2],
        ]),
    ],
    [
      'continualMetrics: scores must be an array, got undefined',
      () => continualMetrics(undefined as unknown as number[][]),
    ],
    [
      'continualMetrics: baseline has 1 entry, expected 2',
      () =>
        continualMetrics(
          [
            [1, 2],
            [1, 2],
          ],
          { baseline: [1] },
        ),
    ],
    [
      'continualMetrics: higherIsBetter must be a boolean, got "no"',
      () => continualMetrics([[1]], { higherIsBetter: 'no' as unknown as boolean }),
    ],
  ])('refuses: %s', (message, call) => {
    expect(call).toThrow(message);
  });
});
