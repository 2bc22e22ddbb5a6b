import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  AdamW,
  type AdamWOptions,
  type AdamWState,
  type Adapter,
  LoRAAdapter,
  LossComputer,
  SGD,
  type SGDOptions,
  type SGDState,
} from '../../src/index.js';
import { fingerprintOf } from '../../src/internal/fingerprint.js';
import { expectClose } from '../support/close.js';
import { mulberry32 } from '../support/golden.js';

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
    '%o does not change adapters without gradients, and takes a new rate at each step',
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
    // The step has not been counted either.
    optimizer.step(new Map([['a', gradients[0]!]]));
    const expected = new Map([['a', make()]]);
    new Optimizer(expected).step(new Map([['a', gradients[0]!]]));
    expect(flat(adapters.get('a')!)).toEqual(flat(expected.get('a')!));
    expect(control.lr).toBe(optimizer.lr);
  });
});

describe.each([AdamW, SGD])('%o', Optimizer => {
  const shared = [0.1, 0.2];
  const flat32 = new Float32Array(8);
  const one = LoRAAdapter.from({ loraA: [[1], [2]], loraB: [[3, 4]], scaling: 1 });
  const other = { loraA: [[1], [2]], loraB: [[3, 4]], scaling: 1 };

  it.each<[message: string, adapters: Record<string, Adapter>]>([
    ['adapters.get("a") and adapters.get("b") are one adapter', { a: one, b: one }],
    [
      'adapters.get("a").loraA and adapters.get("b").loraA are one matrix',
      { a: one, b: { ...other, loraA: one.loraA } },
    ],
    [
      'adapters.get("a").loraB[0] and adapters.get("a").loraB[1] are one array',
      { a: { loraA: [[1, 2]], loraB: new Array(2).fill(shared), scaling: 1 } },
    ],
    [
      'adapters.get("a").loraB[0] and adapters.get("b").loraB[0] are one array',
      { a: { ...other, loraB: [shared] }, b: { loraA: [[1], [2]], loraB: [shared], scaling: 1 } },
    ],
    [
      'adapters.get("a").loraA and adapters.get("b").loraA[1] are views of the same numbers',
      { a: one, b: { ...other, loraA: [Float32Array.of(1), one.loraA[1]!] } },
    ],
    [
      'adapters.get("a").loraA[0] and adapters.get("a").loraA[1] are views of the same numbers',
      { a: { loraA: [flat32.subarray(0, 2), flat32.subarray(1, 3)], loraB: [[1], [2]], scaling: 1 } },
    ],
  ])('refuses numbers that it would step twice: %s', (message, adapters) => {
    const make = (): unknown => new Optimizer(new Map(Object.entries(adapters)));
    expect(make).toThrow(RangeError);
    expect(make).toThrow(`${Optimizer.name}: ${message}, which would be changed twice`);
  });

  it('accepts adapters whose rows are neighbours in one buffer', () => {
    const buffer = new Float32Array(5);
    const loraA = [buffer.subarray(0, 2), buffer.subarray(2, 4)];
    const adapters = new Map([['a', { loraA, loraB: [[1], [1]], scaling: 1 }]]);
    new Optimizer(adapters, { lr: 1 }).step(
      new Map([
        [
          'a',
          {
            gradA: [
              [1, 1],
              [1, 1],
            ],
            gradB: [[0], [0]],
          },
        ],
      ]),
    );
    expect(Array.from(buffer, Math.sign)).toEqual([-1, -1, -1, -1, 0]);
  });

  it.each<[message: string, change: (adapter: Adapter) => void]>([
    ['adapters.get("a").loraB[1] is frozen', ({ loraB }) => Object.freeze(loraB[1])],
    [
      'adapters.get("a").loraA[2] must be a Float32Array, Float64Array or number[], got an Int8Array',
      ({ loraA }) => {
        (loraA as unknown[])[2] = new Int8Array(2);
      },
    ],
    [
      'adapters.get("a").loraA[2] has 1 entry, loraB has 2 rows',
      ({ loraA }) => {
        (loraA[2] as number[]).length = 1;
      },
    ],
    ['adapter "a" is 6 × 2 × 5, was 5 × 2 × 5', ({ loraA }) => (loraA as number[][]).push([0, 0])],
  ])('changes nothing when rows were replaced after its construction: %s', (message, change) => {
    const adapter = structuredClone(start);
    const optimizer = new Optimizer(new Map([['a', adapter]]), { lr: 0.5 });
    change(adapter);
    const [before, state] = [structuredClone(adapter), optimizer.stateDict()];
    expect(() => optimizer.step(new Map([['a', gradients[0]!]]))).toThrow(`${Optimizer.name}.step: ${message}`);
    expect(adapter).toEqual(before);
    expect(optimizer.stateDict()).toEqual(state);
  });

  it('refuses a name that is not a string', () => {
    const adapters = new Map([[1, structuredClone(start)]]) as unknown as Map<string, Adapter>;
    expect(() => new Optimizer(adapters)).toThrow(`${Optimizer.name}: the name of an adapter must be a string, got 1`);
  });
});

it('AdamW counts steps per adapter, as PyTorch does per parameter', () => {
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

describe('a state taken after any step', () => {
  const parsed = <T>(state: T): T => JSON.parse(JSON.stringify(state)) as T;
  const options = fc.record(
    { lr: fc.constantFrom(0.1, 0.003), weightDecay: fc.constantFrom(0, 0.1), maxGradNorm: fc.constant(0.5) },
    { requiredKeys: ['lr', 'weightDecay'] },
  );
  const momentum = fc.constantFrom(0, 0.9);

  it.each(kinds)('continues as the uninterrupted run does, to the bit, on %s', (_, make) => {
    const run = (name: string, more: AdamWOptions | SGDOptions, done: number): void => {
      const fresh = (adapter: Adapter): AdamW | SGD =>
        name === 'AdamW'
          ? new AdamW(new Map([['__proto__', adapter]]), more)
          : new SGD(new Map([['__proto__', adapter]]), more);
      const whole = make();
      const first = fresh(whole);
      gradients.slice(0, done).forEach(each => {
        first.step(new Map([['__proto__', each]]));
      });
      first.lr = 0.07;
      const [state, weights] = [parsed(first.stateDict()), parsed(plain(whole))];
      const resumed = whole instanceof LoRAAdapter ? LoRAAdapter.from(weights) : weights;
      const second = fresh(resumed);
      second.loadStateDict(state as never);
      expect(second.stateDict()).toEqual(state);
      for (const each of gradients.slice(done)) {
        first.step(new Map([['__proto__', each]]));
        second.step(new Map([['__proto__', each]]));
      }
      expect(flat(resumed)).toEqual(flat(whole));
      expect(second.stateDict()).toEqual(first.stateDict());
    };
    fc.assert(
      fc.property(fc.constantFrom('AdamW', 'SGD'), options, momentum, fc.nat(6), (name, common, factor, done) => {
        run(name, name === 'AdamW' ? common : { ...common, momentum: factor }, done);
      }),
      { numRuns: 60 },
    );
  });

  it('is plain data', () => {
    const adam = new AdamW(new Map([['a', { loraA: [[1]], loraB: [[1]], scaling: 1 }]]), { lr: 0.5, betas: [0, 0.5] });
    adam.step(new Map([['a', { gradA: [[2]], gradB: [[-1]] }]]));
    expect(JSON.parse(JSON.stringify(adam.stateDict()))).toEqual({
      optimizer: 'AdamW',
      lr: 0.5,
      options: { betas: [0, 0.5], eps: 1e-8, weightDecay: 0.01 },
      adapters: {
        a: { loraA: { steps: 1, first: [[2]], second: [[2]] }, loraB: { steps: 1, first: [[-1]], second: [[0.5]] } },
      },
      fingerprints: { a: expect.stringMatching(/^[0-9a-f]{16}$/) },
    });
    const sgd = new SGD(new Map([['a', { loraA: [[1]], loraB: [[1]], scaling: 1 }]]), { maxGradNorm: 1 });
    expect(sgd.stateDict()).toEqual({
      optimizer: 'SGD',
      lr: 0.01,
      options: { momentum: 0, weightDecay: 0, maxGradNorm: 1 },
      adapters: { a: { loraA: { velocity: null }, loraB: { velocity: null } } },
      fingerprints: { a: expect.stringMatching(/^[0-9a-f]{16}$/) },
    });
  });

  it('is a copy, both ways', () => {
    const optimizer = new AdamW(new Map([['a', structuredClone(start)]]));
    const state = optimizer.stateDict();
    state.adapters['a']!.loraA.first[0]![0] = 9;
    state.options.betas[0] = 0.5;
    expect(optimizer.stateDict()).not.toEqual(state);
    state.options.betas[0] = 0.9;
    optimizer.loadStateDict(state);
    state.adapters['a']!.loraA.first[0]![0] = 8;
    expect(optimizer.stateDict().adapters['a']!.loraA.first[0]![0]).toBe(9);
  });
});

describe('fingerprints', () => {
  const stateOf = (adapters: Map<string, Adapter>): AdamWState => {
    const optimizer = new AdamW(adapters);
    optimizer.step(new Map(Array.from(adapters.keys(), (name, i) => [name, gradients[i]!])));
    return JSON.parse(JSON.stringify(optimizer.stateDict()));
  };
  const two = (): Map<string, Adapter> =>
    new Map([
      ['query', new LoRAAdapter({ dim: 5, rank: 2, seed: 1 })],
      ['answer', new LoRAAdapter({ dim: 5, rank: 2, seed: 2 })],
    ]);

  it('lead to an error with the adapter’s name for other weights of equal size, and nothing changes', () => {
    const trained = two();
    const state = stateOf(trained);
    const [query, answer] = [trained.get('query')!, trained.get('answer')!];
    const changed = LoRAAdapter.from(query);
    changed.loraA[4]![1]! += 1e-6;
    for (const [name, adapters] of [
      ['query', two()],
      [
        'query',
        new Map([
          ['query', answer],
          ['answer', query],
        ]),
      ],
      [
        'query',
        new Map<string, Adapter>([
          ['query', changed],
          ['answer', answer],
        ]),
      ],
      [
        'answer',
        new Map([
          ['query', query],
          ['answer', LoRAAdapter.from(query)],
        ]),
      ],
    ] as const) {
      const optimizer = new AdamW(adapters, { lr: 9 });
      const before = optimizer.stateDict();
      expect(() => optimizer.loadStateDict({ ...state, options: before.options })).toThrow(
        `AdamW.loadStateDict: state.fingerprints["${name}"] belongs to other weights than adapters.get("${name}") has`,
      );
      expect(optimizer.stateDict()).toEqual(before);
      const { fingerprints: _, ...anyWeights } = state;
      optimizer.loadStateDict(anyWeights);
      expect(optimizer.stateDict().adapters).toEqual(state.adapters);
    }
  });

  it('are computed from the weights in float32, in any container', () => {
    const trained = two();
    const state = stateOf(trained);
    const asArrays = ({ loraA, loraB, scaling }: Adapter): Adapter => ({
      loraA: loraA.map(row => Array.from(row)),
      loraB: loraB.map(row => Array.from(row, weight => weight * (1 + 1e-12))),
      scaling,
    });
    for (const adapters of [
      new Map(Array.from(trained, ([name, adapter]) => [name, asArrays(adapter)])),
      LoRAAdapter.fromSafetensors(LoRAAdapter.toSafetensors(trained)),
    ]) {
      const optimizer = new AdamW(adapters);
      optimizer.loadStateDict(state);
      expect(optimizer.stateDict()).toEqual(state);
    }
  });

  it('must be texts for every adapter', () => {
    const trained = two();
    const { fingerprints, ...state } = stateOf(trained);
    const load = (value: unknown): void =>
      new AdamW(trained).loadStateDict({ ...state, fingerprints: value } as AdamWState);
    expect(() => load(1)).toThrow('AdamW.loadStateDict: state.fingerprints must be an object, got 1');
    expect(() => load({ query: fingerprints!['query'] })).toThrow(
      'AdamW.loadStateDict: state.fingerprints["answer"] must be a string, got undefined',
    );
  });

  it('differ for every change of one number, of shape and of order', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), { minLength: 1, maxLength: 4 }), {
          minLength: 1,
          maxLength: 4,
        }),
        fc.nat(3),
        fc.nat(3),
        (rows, i, j) => {
          const [row, original] = [rows[i % rows.length]!, fingerprintOf(rows)];
          const at = j % row.length;
          const value = row[at]!;
          row[at] = value === 0 ? 1e-30 : -value;
          expect(fingerprintOf(rows)).not.toBe(original);
          row[at] = value;
          expect(fingerprintOf(rows.map(each => each.map(number => (number === 0 ? -0 : number))))).toBe(original);
          expect(fingerprintOf([...rows, [0]])).not.toBe(original);
          expect(fingerprintOf([[...rows.flat(), 0]])).not.toBe(original);
        },
      ),
    );
  });
});

describe('loadStateDict', () => {
  type Damage<State> = [message: string, damage: (state: State) => unknown];
  /** A call that breaks the static types, as a file may. */
  const withMoments =
    (change: object) =>
    (state: AdamWState): unknown => ({
      ...state,
      adapters: { a: { ...state.adapters['a'], loraB: { ...state.adapters['a']!.loraB, ...change } } },
    });

  it.each<Damage<AdamWState>>([
    ['state must be an object, got null', () => null],
    ['state.optimizer must be \'AdamW\', got "SGD"', state => ({ ...state, optimizer: 'SGD' })],
    ["state.optimizer must be 'AdamW', got undefined", ({ lr }) => ({ lr })],
    ['state.lr must be a finite number of at least 0, got null', state => ({ ...state, lr: null })],
    ['state.options must be an object, got undefined', state => ({ ...state, options: undefined })],
    [
      'state has betas [0.5,0.999], this optimizer has [0.9,0.999]',
      state => ({ ...state, options: { ...state.options, betas: [0.5, 0.999] } }),
    ],
    [
      'state has maxGradNorm 1, this optimizer has undefined',
      state => ({ ...state, options: { ...state.options, maxGradNorm: 1 } }),
    ],
    [
      'state has weightDecay undefined, this optimizer has 0.01',
      ({ options: { weightDecay, ...options }, ...state }) => ({ ...state, options }),
    ],
    ['state.adapters must be an object, got an array of 0', state => ({ ...state, adapters: [] })],
    ['state.adapters["a"] must be an object, got undefined', state => ({ ...state, adapters: {} })],
    [
      'state.adapters has "b", which is no adapter',
      state => ({ ...state, adapters: { ...state.adapters, b: state.adapters['a'] } }),
    ],
    [
      'state.adapters["a"] is of rank 1, the adapter of rank 2',
      ({ adapters: _, ...state }) => ({
        ...state,
        adapters: new AdamW(new Map([['a', new LoRAAdapter({ dim: 5, rank: 1 })]])).stateDict().adapters,
      }),
    ],
    ['state.adapters["a"].loraA must be an object, got 1', state => ({ ...state, adapters: { a: { loraA: 1 } } })],
    ['state.adapters["a"].loraB.steps must be an integer of at least 0, got -1', withMoments({ steps: -1 })],
    ['state.adapters["a"].loraB.steps must be an integer of at least 0, got "1"', withMoments({ steps: '1' })],
    ['state.adapters["a"].loraB.first must be an array, got undefined', withMoments({ first: undefined })],
    ['state.adapters["a"].loraB.first has 1 row, the adapter has 2', withMoments({ first: [[1, 2]] })],
    ['state.adapters["a"].loraB.first[1] has 1 entry, expected 5', withMoments({ first: [[1, 2, 3, 4, 5], [1]] })],
    ['state.adapters["a"].loraB.second[0][1] must be a number, got null', withMoments({ second: two([0, null]) })],
    ['state.adapters["a"].loraB.second[0][1] must be at least 0, got -2', withMoments({ second: two([0, -2]) })],
    ['state.adapters["a"].loraB.second[0][1] must be finite, got Infinity', withMoments({ second: two([0, 1e39]) })],
  ])('of AdamW refuses a bad state and changes nothing: %s', (message, damage) => {
    const adapter = LoRAAdapter.from(start);
    const optimizer = new AdamW(new Map([['a', adapter]]));
    optimizer.step(new Map([['a', gradients[0]!]]));
    const good = optimizer.stateDict();
    expect(() => optimizer.loadStateDict(damage({ ...structuredClone(good), lr: 9 }) as AdamWState)).toThrow(
      `AdamW.loadStateDict: ${message}`,
    );
    expect(optimizer.stateDict()).toEqual(good);
  });

  it.each<Damage<SGDState>>([
    [
      'state.adapters["a"].loraA.velocity must be an array, got null',
      state => ({ ...state, adapters: { a: { ...state.adapters['a'], loraA: { velocity: null } } } }),
    ],
    [
      'state has momentum 0, this optimizer has 0.9',
      state => ({ ...state, options: { ...state.options, momentum: 0 } }),
    ],
  ])('of SGD refuses a bad state: %s', (message, damage) => {
    const optimizer = new SGD(new Map([['a', structuredClone(start)]]), { momentum: 0.9 });
    expect(() => optimizer.loadStateDict(damage(optimizer.stateDict()) as SGDState)).toThrow(
      `SGD.loadStateDict: ${message}`,
    );
  });

  it('of SGD without momentum refuses a velocity', () => {
    const optimizer = new SGD(new Map([['a', structuredClone(start)]]));
    const state = optimizer.stateDict();
    state.adapters['a']!.loraA.velocity = [[1]];
    expect(() => optimizer.loadStateDict(state)).toThrow(
      'SGD.loadStateDict: state.adapters["a"].loraA.velocity must be null, got an array of 1',
    );
  });

  function two(firstEntries: unknown[]): unknown[][] {
    return [
      [...firstEntries, 0, 0, 0],
      [0, 0, 0, 0, 0],
    ];
  }
});

function plain({ loraA, loraB, scaling }: Adapter): { loraA: number[][]; loraB: number[][]; scaling: number } {
  return { loraA: loraA.map(row => Array.from(row)), loraB: loraB.map(row => Array.from(row)), scaling };
}

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
