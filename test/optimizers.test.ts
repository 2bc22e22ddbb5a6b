import { describe, expect, it } from 'vitest';
import {
  AdamW,
  type AdamWOptions,
  type Adapter,
  LoRAAdapter,
  LossComputer,
  SGD,
  type SGDOptions,
} from '../src/index.js';
import { expectClose } from './support/close.js';
import { mulberry32 } from './support/golden.js';

const random = mulberry32(5);
const matrix = (rows: number, cols: number): number[][] =>
  Array.from({ length: rows }, () => Array.from({ length: cols }, () => random() - 0.5));
const start = { loraA: matrix(5, 2), loraB: matrix(2, 5), scaling: 1 };
const gradients = Array.from({ length: 6 }, () => ({ gradA: matrix(5, 2), gradB: matrix(2, 5) }));

const kinds: [string, () => Adapter][] = [
  ['number[][]', () => structuredClone(start)],
  ['LoRAAdapter', () => LoRAAdapter.from(start)],
];

describe.each(kinds)('on %s', (_, make) => {
  it.each<AdamWOptions>([
    {},
    { lr: 0.1, betas: [0.8, 0.9], eps: 1e-3, weightDecay: 0.3 },
    { maxGradNorm: 0.5, weightDecay: 0 },
  ])('AdamW %j follows the published algorithm', options => {
    const adapter = make();
    const optimizer = new AdamW(new Map([['a', adapter]]), options);
    for (const each of gradients) optimizer.step(new Map([['a', each]]));
    expectClose(flat(adapter), plainAdamW(flat(start), gradients.map(flatGradient), options), 1e-4, 0.1);
  });

  it.each<SGDOptions>([{}, { lr: 0.1, momentum: 0.9, weightDecay: 0.3 }, { maxGradNorm: 0.5 }])(
    'SGD %j follows the published algorithm',
    options => {
      const adapter = make();
      const optimizer = new SGD(new Map([['a', adapter]]), options);
      for (const each of gradients) optimizer.step(new Map([['a', each]]));
      expectClose(flat(adapter), plainSGD(flat(start), gradients.map(flatGradient), options), 1e-4, 0.1);
    },
  );

  it.each([AdamW, SGD])(
    '%o leaves adapters without gradients alone, and takes a rate of its own at each step',
    Optimizer => {
      const adapters = new Map([
        ['a', make()],
        ['b', make()],
      ]);
      const optimizer = new Optimizer(adapters, { lr: 0.1, weightDecay: 0.1 });
      optimizer.step(new Map([['a', gradients[0]!]]), 0);
      expectClose(flat(adapters.get('a')!), flat(start), 1e-6);
      optimizer.step(new Map([['a', gradients[0]!]]));
      expect(flat(adapters.get('a')!)).not.toEqual(flat(make()));
      expect(flat(adapters.get('b')!)).toEqual(flat(make()));
    },
  );

  it.each([AdamW, SGD])('%o changes nothing when a gradient is bad', Optimizer => {
    const adapters = new Map([['a', make()]]);
    const optimizer = new Optimizer(adapters);
    const control = new Optimizer(new Map([['a', make()]]));
    const bad = structuredClone(gradients[0]!);
    bad.gradB[1]![4] = Number.NaN;
    expect(() => optimizer.step(new Map([['a', bad]]))).toThrow('grads.get("a").gradB[1][4] must be finite, got NaN');
    expect(flat(adapters.get('a')!)).toEqual(flat(make()));
    // Neither has the step been counted.
    optimizer.step(new Map([['a', gradients[0]!]]));
    const expected = new Map([['a', make()]]);
    new Optimizer(expected).step(new Map([['a', gradients[0]!]]));
    expect(flat(adapters.get('a')!)).toEqual(flat(expected.get('a')!));
    expect(control.lr).toBe(optimizer.lr);
  });
});

it('AdamW counts steps for each adapter by itself, as PyTorch does for each parameter', () => {
  const adapters = new Map(['a', 'b'].map(name => [name, structuredClone(start)]));
  const optimizer = new AdamW(adapters);
  for (const each of gradients) optimizer.step(new Map([['a', each]]));
  optimizer.step(new Map([['b', gradients[0]!]]));
  expectClose(flat(adapters.get('b')!), plainAdamW(flat(start), [flatGradient(gradients[0]!)], {}), 1e-6, 0.1);
});

it('an adapter and an optimizer fit a linear map', () => {
  const target = (x: number[]): number[] => [x[0]! + x[1]!, x[1]! - x[2]!, x[2]!];
  const inputs = matrix(40, 3);
  const outputs = inputs.map(target);
  const adapter = new LoRAAdapter({ dim: 3, rank: 3, seed: 1 });
  const optimizer = new AdamW(new Map([['a', adapter]]), { lr: 0.02, weightDecay: 0 });
  const lossOf = (): number => LossComputer.mse(adapter.forward(inputs), outputs).loss;
  const before = lossOf();
  for (let step = 0; step < 300; step++) {
    const { gradients: rows } = LossComputer.mse(adapter.forward(inputs), outputs, { gradients: true });
    optimizer.step(new Map([['a', adapter.backward(rows!)]]));
  }
  expect(lossOf()).toBeLessThan(before / 1000);
});

function flat({ loraA, loraB }: Adapter): number[] {
  return [...loraA, ...loraB].flatMap(row => Array.from(row));
}

function flatGradient({ gradA, gradB }: { gradA: number[][]; gradB: number[][] }): number[] {
  return [...gradA, ...gradB].flat();
}

function clipped(gradient: number[], maxGradNorm = Infinity): number[] {
  const norm = Math.hypot(...gradient);
  return gradient.map(value => value * Math.min(1, maxGradNorm / norm));
}

function plainAdamW(theta: number[], all: number[][], options: AdamWOptions): number[] {
  const { lr = 1e-3, betas: [beta1, beta2] = [0.9, 0.999], eps = 1e-8, weightDecay = 0.01, maxGradNorm } = options;
  const m = theta.map(() => 0);
  const v = theta.map(() => 0);
  let current = theta;
  all.forEach((raw, t) => {
    const gradient = clipped(raw, maxGradNorm);
    current = current.map((value, i) => {
      const g = gradient[i]!;
      m[i] = beta1 * m[i]! + (1 - beta1) * g;
      v[i] = beta2 * v[i]! + (1 - beta2) * g * g;
      const mean = m[i]! / (1 - beta1 ** (t + 1));
      const variance = v[i]! / (1 - beta2 ** (t + 1));
      return value - lr * weightDecay * value - (lr * mean) / (Math.sqrt(variance) + eps);
    });
  });
  return current;
}

function plainSGD(theta: number[], all: number[][], options: SGDOptions): number[] {
  const { lr = 0.01, momentum = 0, weightDecay = 0, maxGradNorm } = options;
  const velocity = theta.map(() => 0);
  let current = theta;
  for (const raw of all) {
    const gradient = clipped(raw, maxGradNorm);
    current = current.map((value, i) => {
      velocity[i] = momentum * velocity[i]! + gradient[i]! + weightDecay * value;
      return value - lr * velocity[i]!;
    });
  }
  return current;
}
