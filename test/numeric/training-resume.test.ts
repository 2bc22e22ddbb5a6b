import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import {
  AdamW,
  type Adapter,
  type AdapterGradients,
  type Batch,
  BatchGenerator,
  type EmbeddedExample,
  EWCManager,
  LoRAAdapter,
  LossComputer,
  LRSchedulers,
  SGD,
} from '../../src/index.js';

const DIM = 6;
const EPOCHS = 3;

function task(phase: number): EmbeddedExample[] {
  const row = (i: number): number[] => Array.from({ length: DIM }, (_, j) => Math.sin(phase + i * (j + 1)));
  return Array.from({ length: 14 }, (_, i) => ({ inputEmb: row(i), outputEmb: row(i + 0.5) }));
}

const optimizers = {
  AdamW: (adapters: Map<string, Adapter>) => new AdamW(adapters, { lr: 0.02, maxGradNorm: 1 }),
  SGD: (adapters: Map<string, Adapter>) => new SGD(adapters, { lr: 0.1, momentum: 0.9, weightDecay: 0.01 }),
};

/** Everything that a training run has. A state goes through JSON, as through a file. */
class Training {
  readonly query = new LoRAAdapter({ dim: DIM, rank: 3, seed: 1 });
  readonly answer = new LoRAAdapter({ dim: DIM, rank: 2, alpha: 3, seed: 2 });
  readonly adapters = new Map([
    ['query', this.query],
    ['answer', this.answer],
  ]);
  readonly optimizer: AdamW | SGD;
  readonly ewc = new EWCManager({ lambda: 5 });
  readonly batches = new BatchGenerator(task(1), { batchSize: 4, seed: 3 });

  constructor(kind: keyof typeof optimizers) {
    this.optimizer = optimizers[kind](this.adapters);
  }

  save(): string {
    const { adapters, optimizer, ewc, batches } = this;
    const weights = Array.from(adapters, ([name, adapter]) => [name, adapter.stateDict()]);
    return JSON.stringify([weights, optimizer.stateDict(), ewc.export(), batches.stateDict()]);
  }

  load(text: string): void {
    const [weights, optimizer, ewc, batches] = JSON.parse(text);
    for (const [name, state] of weights) this.adapters.get(name)!.loadStateDict(state);
    this.optimizer.loadStateDict(optimizer);
    this.ewc.import(ewc);
    this.batches.loadStateDict(batches);
  }

  /** Trains to the end, and yields after each step. */
  *steps(): Generator<void> {
    const total = this.batches.length * EPOCHS;
    for (const { batch, step } of this.batches.epochs(EPOCHS)) {
      const grads = this.#gradients(batch);
      this.ewc.addPenaltyGradient(this.adapters, grads);
      this.optimizer.step(grads, LRSchedulers.warmupCosine(this.optimizer.lr, step, total, { warmupSteps: 3 }));
      yield;
    }
  }

  #gradients({ anchors, positives }: Batch<EmbeddedExample>): Map<string, AdapterGradients> {
    const [queries, answers] = [this.query.forward(anchors), this.answer.forward(positives)];
    const { gradients, targetGradients } = LossComputer.contrastive(queries, answers, null, { gradients: true });
    return new Map([
      ['query', this.query.backward(gradients)],
      ['answer', this.answer.backward(targetGradients)],
    ]);
  }
}

describe('a training interrupted after any step', () => {
  it.each(Object.keys(optimizers) as (keyof typeof optimizers)[])(
    'resumes and reaches weights that are equal to the bit, with %s',
    kind => {
      const whole = new Training(kind);
      whole.ewc.computeFisher(whole.adapters, task(0));
      const states = [whole.save()];
      for (const _ of whole.steps()) states.push(whole.save());
      expect(states.length).toBe(1 + 4 * EPOCHS);
      states.forEach(state => {
        const resumed = new Training(kind);
        resumed.load(state);
        for (const _ of resumed.steps());
        expect(bytesOf(resumed)).toBe(bytesOf(whole));
        expect(resumed.save()).toBe(whole.save());
      });
      expect(new Set(states).size).toBe(states.length);
    },
  );

  it('continues in another process after the first was killed', async () => {
    const script = fileURLToPath(new URL('../support/interrupted-training.mjs', import.meta.url));
    const folder = mkdtempSync(join(tmpdir(), 'resume-'));
    const [whole, first] = [join(folder, 'whole'), join(folder, 'interrupted')];
    const linesOf = (path: string): string[] => readFileSync(`${path}.log`, 'utf8').trimEnd().split('\n');
    try {
      execFileSync(process.execPath, [script, whole]);
      expect(linesOf(whole).length).toBe(15);

      const child = spawn(process.execPath, [script, first, 'slowly'], { stdio: ['ignore', 'pipe', 'inherit'] });
      let seen = 0;
      child.stdout.on('data', chunk => {
        seen += String(chunk).split('\n').length - 1;
        // An epoch has five batches, so the seventh is in the middle of the second epoch.
        if (seen >= 7) child.kill('SIGKILL');
      });
      const signal = await new Promise(resolve => child.on('exit', (_, by) => resolve(by)));
      expect(signal).toBe('SIGKILL');
      expect(existsSync(`${first}.safetensors`)).toBe(false);
      expect(linesOf(first).length).toBeLessThan(15);

      execFileSync(process.execPath, [script, first]);
      expect(linesOf(first)).toEqual(linesOf(whole));
      const [resumed, expected] = [first, whole].map(path => readFileSync(`${path}.safetensors`));
      expect(Buffer.compare(resumed!, expected!)).toBe(0);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

function bytesOf({ adapters }: Training): string {
  return Buffer.from(LoRAAdapter.toSafetensors(adapters)).toString('hex');
}
