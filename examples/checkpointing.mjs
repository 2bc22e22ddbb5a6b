// Trains 200 residual LoRA layers, once with all states stored and once under a memory budget.
//
//   node examples/checkpointing.mjs

import { AdamW, GradientCheckpointer, LoRAAdapter, LossComputer } from 'microlora-training-utils';

const LAYERS = 200;
const DIM = 128;
const ROWS = 256;
const STEPS = 10;
const MEMORY_BUDGET = 2 * 2 ** 20;

// The task: rotate each row by one entry.
const inputs = Array.from({ length: ROWS }, (_, i) =>
  Float32Array.from({ length: DIM }, (_, j) => Math.sin(i * j + i)),
);
const targets = inputs.map(row => row.map((_, j) => row[(j + 1) % DIM]));

console.log(`${LAYERS} layers of ${DIM}, rank 4, ${ROWS} rows, ${STEPS} steps\n`);
console.log(['', 'peak MiB', 'forwards', 'ms per step', 'loss before', 'after'].map(pad).join(''));
train({ strategy: 'store-all' }); // Warms up.
const stored = train({ strategy: 'store-all' });
const budgeted = train({ strategy: 'budget', memoryBudget: MEMORY_BUDGET });
report('store all', stored);
report(`budget of ${MEMORY_BUDGET / 2 ** 20} MiB`, budgeted);
console.log(
  `\nThe budget takes ${(stored.peakBytes / budgeted.peakBytes).toFixed(1)} times less memory and ` +
    `${(budgeted.milliseconds / stored.milliseconds).toFixed(2)} times the time, and gives ` +
    `${budgeted.losses.every((loss, i) => loss === stored.losses[i]) ? 'the same' : 'other'} losses.`,
);

function train(options) {
  const layers = Array.from({ length: LAYERS }, (_, seed) => new LoRAAdapter({ dim: DIM, rank: 4, alpha: 1, seed }));
  const adapters = new Map(layers.map((layer, i) => [`layer${i}`, layer]));
  const optimizer = new AdamW(adapters, { lr: 1e-3 });
  const checkpointer = new GradientCheckpointer(options);
  const steps = layers.map(layer => layer.asStep());
  const losses = [];
  const times = [];
  let stats;
  for (let step = 0; step < STEPS; step++) {
    const start = performance.now();
    const chain = checkpointer.chain(steps, inputs);
    const { loss, gradients } = LossComputer.mse(chain.output, targets, { gradients: true });
    const back = chain.backward(gradients);
    optimizer.step(new Map(back.gradParams.map((grads, i) => [`layer${i}`, grads])));
    times.push(performance.now() - start);
    losses.push(loss);
    stats = back.stats;
  }
  return { ...stats, losses, milliseconds: times.sort((a, b) => a - b)[STEPS / 2] };
}

function report(name, { peakBytes, forwardCalls, milliseconds, losses }) {
  const loss = [losses[0], losses.at(-1)].map(value => value.toFixed(4));
  const cells = [name, (peakBytes / 2 ** 20).toFixed(2), forwardCalls, milliseconds.toFixed(0), ...loss];
  console.log(cells.map(pad).join(''));
}

function pad(cell, column) {
  return column === 0 ? cell.padEnd(18) : String(cell).padStart(13);
}
