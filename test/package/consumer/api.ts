import utilities, {
  AdamW,
  type Adapter,
  type AdapterGradients,
  type Batch,
  BatchGenerator,
  type BatchGeneratorState,
  continualMetrics,
  cosineSimilarity,
  DataPreprocessor,
  type EmbeddedExample,
  type Embedder,
  EWCManager,
  LoRAAdapter,
  type LoRATrace,
  LossComputer,
  type LossResult,
  LRSchedulers,
  mineHardNegatives,
  type ProcessedExample,
  ReduceLROnPlateau,
  type RetrievalEvaluation,
  Retriever,
  readJsonl,
  type Schedule,
  sequence,
  type TrainingExample,
} from './reexport.js';

// The default object has the six classes with their types.
export const scheduled: number = utilities.LRSchedulers.cosine(0.01, 5, 100);
export const manager: EWCManager = new utilities.EWCManager({ lambda: 1 });
// @ts-expect-error: names that the original did not have are named exports only
export const unknown: unknown = utilities.LoRAAdapter;
// @ts-expect-error: options are checked
export const misspelt = new EWCManager({ lamda: 1 });
// @ts-expect-error: lambda is a number
export const mistyped = new EWCManager({ lambda: '1' });

// Losses accept rows of any type and return typed rows.
export const result: LossResult = LossComputer.mse([[1, 2]], [new Float32Array(2)], { gradients: true });
export const mean: number = result.loss + (result.components['mse'] ?? 0);
export const gradient: Float32Array | undefined = result.gradients?.[0];
// @ts-expect-error: gradients are returned only on request
export const rows: Float32Array[] = result.gradients;
// @ts-expect-error: a loss is a number
export const text: string = result.loss;
// @ts-expect-error: rows, not one row
LossComputer.mse([1, 2], [3, 4]);

// The type of a result has the requested gradients.
const asked = { gradients: true } as const;
export const tripletGradients: Float32Array[] = LossComputer.triplet([[1]], [[2]], [[3]], asked).negativeGradients;
export const logitGradients: Float32Array[] = LossComputer.crossEntropy([[1, 2]], [0], asked).gradients;
export const heat: number = LossComputer.contrastive([[1]], [[2]], [[3]], asked).temperatureGradient;
// @ts-expect-error: without negatives there are no gradients of negatives
export const none: Float32Array[] = LossComputer.contrastive([[1]], [[2]], null, asked).negativeGradients;
// @ts-expect-error: not a mode of negatives
LossComputer.contrastive([[1]], [[2]], [[3]], { negativeMode: 'theirs' });

// With adapters, a result has their gradients, and the requested gradients of rows.
const byName = new Map([['query', LoRAAdapter.from({ loraA: [[1]], loraB: [[1]], scaling: 1 })]]);
const routed = { adapters: byName, through: { anchors: 'query' }, gradients: true } as const;
const trained = LossComputer.contrastive([[1]], [[2]], null, routed);
new AdamW(byName).step(trained.adapterGradients);
// @ts-expect-error: gradients of rows need wrt
export const unasked: Float32Array[] = trained.gradients;
const answered = LossComputer.contrastive([[1]], [[2]], [[3]], { ...routed, wrt: ['positives', 'negatives'] });
export const backThrough: Float32Array[] = answered.targetGradients;
// @ts-expect-error: there may be no negatives
export const perhaps: Float32Array[] = answered.negativeGradients;
const encoder = LossComputer.contrastive([[1]], [[2]], null, { gradients: true, wrt: ['anchors'] });
export const ofAnchors: Float32Array[] = encoder.gradients;
// @ts-expect-error: only gradients of anchors were requested
export const ofPositives: Float32Array[] = encoder.targetGradients;
// @ts-expect-error: adapters need through
LossComputer.contrastive([[1]], [[2]], null, { adapters: byName, gradients: true }).adapterGradients.size;
// @ts-expect-error: not an argument
LossComputer.contrastive([[1]], [[2]], null, { gradients: true, wrt: ['answers'] });

// Losses of rows are returned on request.
export const each: Float64Array = LossComputer.mse([[1]], [[2]], { perRow: true }).perRow;
export const both: Float64Array = LossComputer.triplet([[1]], [[2]], [[3]], { ...asked, perRow: true }).perRow;
// @ts-expect-error: only on request
export const unrequested: Float64Array = LossComputer.mse([[1]], [[2]]).perRow;
// @ts-expect-error: a misspelt option
LossComputer.mse([[1]], [[2]], { perRows: true });

// Batches have the type of their examples.
const example: TrainingExample = { input: 'question', output: 'answer', quality: 0.5, metadata: { line: 1 } };
const embedder: Embedder = async texts => texts.map(value => [value.length, 1]);
const processed: ProcessedExample[] = await new DataPreprocessor({ embedder }).process([example]);
for (const batch of new BatchGenerator(processed, { batchSize: 8 })) {
  const inputs: string[] = batch.examples.map(({ input }) => input);
  const anchors: Float32Array[] = batch.anchors;
  const mined: Float32Array[] | null = batch.negatives;
  console.log(inputs, anchors, mined);
}
const plain = [{ inputEmb: [1, 0], outputEmb: [0, 1], label: 'first' }];
for (const { epoch, step, batch } of new BatchGenerator(plain).epochs(2)) {
  const labels: string[] = batch.examples.map(({ label }) => label);
  const first: number | undefined = batch.anchors[0]?.[0];
  console.log(epoch + step, labels, first);
}
const state: BatchGeneratorState = new BatchGenerator(plain, {
  seed: 1,
  negativeMining: { strategy: 'hardest' },
}).stateDict();
export const stored: { epoch: number } = JSON.parse(JSON.stringify(state));
export const byLabel = new BatchGenerator(plain, { noDuplicates: true, duplicatesBy: ({ label }) => label });
export const general: BatchGenerator<EmbeddedExample> = byLabel;
// @ts-expect-error: examples have no such field
export const misread = new BatchGenerator(plain, { duplicatesBy: ({ text }) => text });
// @ts-expect-error: the strategy is missing
export const idle = new BatchGenerator(plain, { negativeMining: { maxSimilarity: 0.9 } });
for await (const row of new DataPreprocessor().stream([example], { signal: AbortSignal.timeout(1000) })) {
  const tokens: number[] = row.inputTokens;
  console.log(tokens);
}
// @ts-expect-error: an example needs both embeddings
export const halves = new BatchGenerator([{ inputEmb: [1, 0] }]);
export const accepts = (batch: Batch): number => batch.size;

// An adapter is plain data. The class is one kind of adapter.
const microLora: Adapter = { loraA: [[0.1], [0.2]], loraB: [[0, 0]], scaling: 2 };
const adapter = LoRAAdapter.from(microLora);
const adapters: Map<string, Adapter> = new Map<string, Adapter>([['query', adapter]]).set('plain', microLora);
const outputs: Float32Array[] = adapter.forward([[1, 2]]);
const grads: AdapterGradients = adapter.backward(outputs);
const trace: LoRATrace = adapter.trace([[1, 2]]);
export const traced: Float32Array[] = trace.backward(trace.output).gradInputs;
new AdamW(adapters, { betas: [0.9, 0.99] }).step(new Map([['query', grads]]), 0.01);
manager.computeFisher(adapters, plain, {
  gradients: ({ label }, of) => ({ gradA: of.loraA, gradB: [[label.length, 0]] }),
});
new EWCManager({ penalty: 'function', mode: 'sum' }).merge(manager);
// @ts-expect-error: not a mode
export const mode = new EWCManager({ mode: 'sometimes' });
export const forgotten: number = continualMetrics([[0.9]], { higherIsBetter: true }).forgetting;
const bytes: Uint8Array = LoRAAdapter.toSafetensors(adapters);
export const loaded: LoRAAdapter | undefined = LoRAAdapter.fromSafetensors(bytes).get('query');
export const saved: { loraA: number[][] } = JSON.parse(JSON.stringify(adapter));
// @ts-expect-error: dim has no default
export const shapeless = new LoRAAdapter({ rank: 8 });
// @ts-expect-error: the matrices cannot be replaced
adapter.loraA = [];

// Schedules can be passed as values.
export const schedules: Schedule[] = [LRSchedulers.constant, LRSchedulers.linear, LRSchedulers.cosine];
export const spliced: Schedule = sequence([
  { schedule: LRSchedulers.warmupLinear, steps: 10, opts: { warmupSteps: 10, warmupOffset: 1 } },
  { schedule: lr => lr / 2, steps: 10 },
  { schedule: sequence(schedules.map(schedule => ({ schedule, steps: 5 }))), steps: 15 },
  { schedule: LRSchedulers.warmupStableDecay, steps: 50, opts: { decayType: '1-sqrt' } },
]);
export const rate: number = new ReduceLROnPlateau({ lr: 0.01, mode: 'max' }).step(0.5);
// @ts-expect-error: a misspelt option
LRSchedulers.warmupCosine(0.01, 1, 100, { warmup: 10 });
// @ts-expect-error: not an option of the part's schedule
sequence([{ schedule: LRSchedulers.cosine, steps: 10, opts: { warmupSteps: 10 } }]);
// @ts-expect-error: the start rate is missing
export const rateless = new ReduceLROnPlateau({ patience: 3 });

// The caller chooses the type of records.
for await (const { score } of readJsonl<{ score: number }>('scores.jsonl')) console.log(score.toFixed());
// @ts-expect-error: not a way to handle a bad line
readJsonl('scores.jsonl', { onError: 'ignore' });

// Search results, and metrics by cut-off.
const retriever = new Retriever([[1, 2], new Float32Array(2)]);
const found = retriever.search(outputs, 5);
export const nearest: Int32Array | undefined = found.indices[0];
export const cosines: Float32Array | undefined = found.scores[0];
const measured: RetrievalEvaluation = retriever.evaluate(outputs, [0], { at: [1, 5] });
export const [low, high]: [number, number] = measured.intervals.recallAt[5] ?? [0, measured.mrr];
export const mined: Int32Array[] = mineHardNegatives(outputs, retriever, [[0, 1]], { count: 2, sampling: 'random' });
export const similarity: number = cosineSimilarity([1, 2], Float64Array.of(2, 1));
// @ts-expect-error: the number of results is missing
retriever.search(outputs);
// @ts-expect-error: not a way to sample
mineHardNegatives(outputs, retriever, [0], { sampling: 'hardest' });
