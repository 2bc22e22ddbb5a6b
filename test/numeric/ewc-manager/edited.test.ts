import { describe, expect, it } from 'vitest';
import { AdamW, BatchGenerator, EWCManager, LoRAAdapter } from '../../../src/index.js';

const untyped = (value: unknown): never => value as never;
const data = Array.from({ length: 5 }, (_, i) => ({
  inputEmb: [Math.sin(i), Math.cos(i), 1],
  outputEmb: [Math.cos(2 * i), Math.sin(3 * i), -1],
}));

function trained(options = {}): { ewc: EWCManager; adapters: Map<string, LoRAAdapter>; adapter: LoRAAdapter } {
  const adapter = new LoRAAdapter({ dim: 3, rank: 2, seed: 1 });
  for (const [k, row] of adapter.loraB.entries()) for (let j = 0; j < row.length; j++) row[j] = 0.1 * (k + j + 1);
  const adapters = new Map([['q', adapter]]);
  const ewc = new EWCManager(options);
  ewc.computeFisher(adapters, data);
  adapter.loraA[0]![0]! += 0.5;
  return { ewc, adapters, adapter };
}

describe('what the caller has put in', () => {
  it.each<[string, object, (ewc: EWCManager) => void]>([
    [
      'optimalParams.get("q").loraA[0][0] must be finite, got NaN',
      {},
      e => (e.optimalParams.get('q')!.loraA[0]![0] = NaN),
    ],
    [
      'fisherInfo.get("q").fisherA[1][1] must be finite, got NaN',
      {},
      e => (e.fisherInfo.get('q')!.fisherA[1]![1] = NaN),
    ],
    [
      'optimalParams.get("q").loraB[1][2] must be finite, got NaN',
      { penalty: 'function' },
      e => (e.optimalParams.get('q')!.loraB[1]![2] = NaN),
    ],
  ])('is named where no penalty is a number, with the adapters unchanged: %s', (message, options, edit) => {
    const { ewc, adapters, adapter } = trained(options);
    const before = adapter.stateDict();
    edit(ewc);
    for (const call of ['computePenalty', 'penaltyGradient', 'applyGradient'] as const)
      expect(() => ewc[call](adapters, 0.01)).toThrow(`EWCManager.${call}: ${message}`);
    expect(adapter.stateDict()).toEqual(before);
  });

  it.each<[string, (ewc: EWCManager) => unknown]>([
    ['fisherInfo.get("q").fisherA[1][1] must be finite, got NaN', e => (e.fisherInfo.get('q')!.fisherA[1]![1] = NaN)],
    ['fisherInfo.get("q").fisherA[1][1] must be', e => (e.fisherInfo.get('q')!.fisherA[1]![1] = -5)],
    ['fisherInfo.get("q").fisherA[0] has 1 entry, expected 2', e => (e.fisherInfo.get('q')!.fisherA[0] = [9])],
    ['fisherInfo.get("q").fisherA has 1 row, ', e => (e.fisherInfo.get('q')!.fisherA = [[1, 1]])],
    ['fisherInfo.get("q").fisherA has 4 rows, ', e => e.fisherInfo.get('q')!.fisherA.push([1, 1])],
    ['fisherInfo.get("q").fisherA', e => (e.fisherInfo.get('q')!.fisherA.length = 0)],
  ])('is refused by merge and export where it cannot be used: %s', (message, edit) => {
    const [mine, theirs] = [trained().ewc, trained().ewc];
    const before = mine.export();
    edit(theirs);
    expect(() => mine.merge(theirs)).toThrow(`EWCManager.merge: other.${message}`);
    expect(mine.export()).toEqual(before);
    expect(() => theirs.merge(mine)).toThrow(`EWCManager.merge: ${message}`);
    expect(() => theirs.export()).toThrow(`EWCManager.export: ${message}`);
    expect(() => theirs.stateDict()).toThrow(`EWCManager.export: ${message}`);
  });
});

describe('a state of something else', () => {
  it.each<[string, () => object]>([
    ['a LoRAAdapter', () => new LoRAAdapter({ dim: 3 }).stateDict()],
    ['an AdamW', () => new AdamW(new Map([['q', new LoRAAdapter({ dim: 3 })]])).stateDict()],
    ['a BatchGenerator', () => new BatchGenerator(data, { seed: 1 }).stateDict()],
  ])('is refused, with nothing changed: %s', (_, stateOf) => {
    const { ewc, adapters } = trained();
    const before = ewc.computePenalty(adapters);
    expect(before).toBeGreaterThan(0);
    expect(() => ewc.loadStateDict(untyped(stateOf()))).toThrow(
      'EWCManager.loadStateDict: state is no state of an EWCManager: it has no fisherInfo',
    );
    expect(() => ewc.import(stateOf())).toThrow('EWCManager.import: data is no state of an EWCManager');
    expect(ewc.computePenalty(adapters)).toBe(before);
  });

  it('names the method and the argument', () => {
    expect(() => new EWCManager().loadStateDict(untyped(3))).toThrow(
      'EWCManager.loadStateDict: state must be an object',
    );
  });
});

it('no adapters leave the default strength as it is', () => {
  const ewc = new EWCManager({ penalty: 'function' });
  ewc.computeFisher(new Map(), data);
  expect(ewc.config.lambda).toBe(960);
});
