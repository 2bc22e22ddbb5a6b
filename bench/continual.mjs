// Continual learning on made-up tasks. One adapter of rank 8 learns four tasks one after the other. Each task is a
// linear map on a 6-dimensional subspace of 32 inputs. Prints the error over all tasks at the end.

import { AdamW, continualMetrics, EWCManager, LoRAAdapter, LossComputer, LRSchedulers } from 'microlora-training-utils';

const [DIM, RANK, SUBSPACE, TASKS, EXAMPLES, STEPS, BATCH] = [32, 8, 6, 4, 256, 600, 64];

const METHODS = [
  ['no penalty', undefined],
  ["the original's EWC, lambda 2000", () => new EWCManager({ sampleSize: EXAMPLES })],
  ["the original's online EWC, lambda 2000", () => new EWCManager({ sampleSize: EXAMPLES, online: true })],
  ...['last', 'average', 'online', 'sum'].flatMap(mode =>
    ['empirical', 'exact'].map(fisher => [
      `diagonal, ${fisher}, ${mode}`,
      lambda => new EWCManager({ sampleSize: EXAMPLES, mode, fisher, lambda }),
      [0.3, 3, 30, 3000],
    ]),
  ),
  ...['last', 'average', 'online', 'sum'].map(mode => [
    `function, ${mode}`,
    lambda => new EWCManager({ penalty: 'function', mode, lambda }),
    [1, 3, 10],
  ]),
];

/** @param {number} seed Seed of tasks and weights. */
export function runContinual(seed = 1) {
  const tasks = Array.from({ length: TASKS }, (_, t) => taskOf(generator(seed * 100 + t)));
  const adapterOf = () => new Map([['a', new LoRAAdapter({ dim: DIM, rank: RANK, alpha: RANK, seed })]]);
  const errorsOf = adapters => tasks.map(({ test }) => errorOf(adapters, test));

  console.log(
    `\ncontinual: ${TASKS} tasks of ${SUBSPACE} of ${DIM} dimensions, rank ${RANK}, MSE over all tasks at the end`,
  );
  const untrained = mean(errorsOf(adapterOf()));
  const joint = adapterOf();
  train(
    joint,
    { inputs: tasks.flatMap(task => task.train.inputs), targets: tasks.flatMap(task => task.train.targets) },
    TASKS * STEPS,
    seed,
  );
  const jointError = mean(errorsOf(joint));
  const rows = [
    ['untrained', untrained],
    ['all tasks at once', jointError],
  ];
  for (const [name, make, lambdas = [undefined]] of METHODS) {
    const runs = lambdas.map(lambda => {
      const adapters = adapterOf();
      const ewc = make?.(lambda);
      const scores = tasks.map((task, t) => {
        train(adapters, task.train, STEPS, seed + t, ewc);
        ewc?.computeFisher(adapters, task.train.examples);
        return errorsOf(adapters);
      });
      return { lambda, ...continualMetrics(scores, { higherIsBetter: false }) };
    });
    // No strength fits every method, so each method gets the best of a few.
    const best = runs.reduce((a, b) => (b.accuracy < a.accuracy ? b : a));
    rows.push([best.lambda === undefined ? name : `${name}, lambda ${best.lambda}`, best.accuracy, best.forgetting]);
  }
  for (const [name, error, forgetting] of rows) {
    const ratio = `${(error / jointError).toFixed(2)} × joint`;
    const forgot = forgetting === undefined ? '' : `forgetting ${forgetting.toFixed(4)}`;
    console.log(`${name.padEnd(44)}${error.toFixed(4).padStart(9)}${ratio.padStart(16)}   ${forgot}`);
  }
}

function train(adapters, { inputs, targets }, steps, seed, ewc) {
  const adapter = adapters.get('a');
  const optimizer = new AdamW(adapters, { weightDecay: 0 });
  const random = generator(seed);
  for (let step = 0; step < steps; step++) {
    const batch = Array.from({ length: BATCH }, () => Math.floor(random() * inputs.length));
    const { output, backward } = adapter.trace(batch.map(i => inputs[i]));
    const { gradients } = LossComputer.mse(
      output,
      batch.map(i => targets[i]),
      { gradients: true },
    );
    const grads = new Map([['a', backward(gradients)]]);
    ewc?.addPenaltyGradient(adapters, grads);
    optimizer.step(grads, LRSchedulers.warmupCosine(1e-2, step, steps, { warmupSteps: steps / 20 }));
  }
}

/** A random linear map of inputs that fill a random subspace evenly. */
function taskOf(random) {
  const basis = matrixOf(random, SUBSPACE, DIM, 1 / Math.sqrt(DIM));
  const map = matrixOf(random, SUBSPACE, DIM, 1 / Math.sqrt(SUBSPACE));
  const draw = count => {
    const codes = matrixOf(random, count, SUBSPACE, 1);
    const inputs = multiply(codes, basis);
    const targets = multiply(codes, map);
    return { inputs, targets, examples: inputs.map((inputEmb, i) => ({ inputEmb, outputEmb: targets[i] })) };
  };
  return { train: draw(EXAMPLES), test: draw(EXAMPLES) };
}

function errorOf(adapters, { inputs, targets }) {
  return LossComputer.mse(adapters.get('a').forward(inputs), targets).loss;
}

function multiply(a, b) {
  return a.map(row => Float32Array.from(b[0], (_, j) => row.reduce((sum, value, k) => sum + value * b[k][j], 0)));
}

function matrixOf(random, height, width, scale) {
  return Array.from({ length: height }, () => Float32Array.from({ length: width }, () => scale * gaussian(random)));
}

function gaussian(random) {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** A small random generator of numbers from 0 to 1 (xorshift). */
function generator(seed) {
  let state = (seed * 2654435761) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
