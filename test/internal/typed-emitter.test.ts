import { once } from 'node:events';
import { describe, expect, expectTypeOf, it, vi } from 'vitest';
import {
  DataPreprocessor,
  type EWCEvents,
  EWCManager,
  GradientCheckpointer,
  type PreprocessorStats,
  type ProcessProgress,
} from '../../src/index.js';

// `tsc` checks the types in this file. A line below `@ts-expect-error` that compiles is an error.

describe('event names', () => {
  const ewc = new EWCManager();
  const listener = (): void => {};

  it('are checked where a listener is added, removed or counted', () => {
    // @ts-expect-error: a misspelt name
    ewc.on('fisher:strat', listener);
    // @ts-expect-error: a misspelt name
    ewc.once('fisher:strat', listener);
    // @ts-expect-error: a misspelt name
    ewc.off('fisher:strat', listener);
    // @ts-expect-error: a misspelt name
    ewc.addListener('fisher:strat', listener);
    // @ts-expect-error: a misspelt name
    ewc.removeListener('fisher:strat', listener);
    // @ts-expect-error: a misspelt name
    ewc.prependListener('fisher:strat', listener);
    // @ts-expect-error: a misspelt name
    ewc.prependOnceListener('fisher:strat', listener);
    // @ts-expect-error: a misspelt name
    ewc.removeAllListeners('fisher:strat');
    // @ts-expect-error: a misspelt name
    expect(ewc.listeners('fisher:strat')).toEqual([]);
    // @ts-expect-error: a misspelt name
    expect(ewc.rawListeners('fisher:strat')).toEqual([]);
    // @ts-expect-error: a misspelt name
    expect(ewc.listenerCount('fisher:strat')).toBe(0);
    // @ts-expect-error: a misspelt name
    expect(ewc.emit('fisher:strat', { samples: 3 })).toBe(false);
  });

  it('are those of the class, and those of every emitter', () => {
    // @ts-expect-error: an event of another class
    new DataPreprocessor().on('fisher:start', listener);
    // @ts-expect-error: this class has no events
    new GradientCheckpointer().on('process:complete', listener);
    const added = vi.fn();
    new GradientCheckpointer().on('newListener', added).on('removeListener', listener);
    expect(added).toHaveBeenCalledExactlyOnceWith('removeListener', listener);
  });
});

describe('arguments of events', () => {
  it('are inferred for listeners', async () => {
    const ewc = new EWCManager();
    const samples: unknown[] = [];
    ewc
      .on('fisher:start', event => {
        expectTypeOf(event).toEqualTypeOf<{ samples: number }>();
        samples.push(event.samples);
      })
      .prependOnceListener('fisher:start', event => {
        expectTypeOf(event).toEqualTypeOf<{ samples: number }>();
        samples.push('first');
      })
      .once('fisher:complete', event => expectTypeOf(event).toEqualTypeOf<{ adapters: number }>());
    expect(ewc.emit('fisher:start', { samples: 3 })).toBe(true);
    expect(ewc.emit('fisher:start', { samples: 4 })).toBe(true);
    expect(samples).toEqual(['first', 3, 4]);
    expect([ewc.listenerCount('fisher:start'), ewc.listenerCount('fisher:complete')]).toEqual([1, 1]);
    expectTypeOf(ewc.listeners('fisher:start')).toEqualTypeOf<((event: { samples: number }) => void)[]>();

    const preprocessor = new DataPreprocessor();
    const complete = once(preprocessor, 'process:complete');
    preprocessor
      .on('process:progress', event => expectTypeOf(event).toEqualTypeOf<ProcessProgress>())
      .addListener('process:complete', event => {
        expectTypeOf(event).toEqualTypeOf<{ total: number; stats: PreprocessorStats }>();
      });
    await preprocessor.process([{ input: 'question', output: 'answer' }]);
    await expect(complete).resolves.toEqual([{ total: 1, stats: preprocessor.stats }]);
  });

  it('are checked', () => {
    const ewc = new EWCManager();
    const wrong = ({ samples }: { samples: string }): string => samples;
    // @ts-expect-error: samples is a number
    ewc.on('fisher:start', wrong);
    // @ts-expect-error: the payload has no such field
    ewc.once('fisher:start', ({ adapters }) => adapters);
    // @ts-expect-error: there is one argument
    ewc.prependListener('fisher:start', (_event, second) => second);
    // @ts-expect-error: samples is a number
    ewc.off('fisher:start', wrong);
    // @ts-expect-error: samples is a number
    ewc.emit('fisher:complete', { adapters: '1' });
    // @ts-expect-error: the payload is missing
    expect(() => ewc.emit('fisher:complete')).not.toThrow();
    // @ts-expect-error: there is one argument
    ewc.emit('fisher:complete', { adapters: 1 }, 2);
    // @ts-expect-error: the payload of another event
    ewc.emit('fisher:complete', { samples: 1 });
  });
});

declare module '../../src/ewc-manager/options.js' {
  interface EWCEvents {
    saved: [path: string];
  }
}

it('a subclass adds its events to the interface of events', () => {
  class SavingManager extends EWCManager {
    save(path: string): boolean {
      return this.emit('saved', path);
    }
  }
  expectTypeOf<EWCEvents['saved']>().toEqualTypeOf<[path: string]>();
  const saved = vi.fn();
  const ewc = new SavingManager().on('saved', path => {
    expectTypeOf(path).toEqualTypeOf<string>();
    saved(path);
  });
  expect(ewc.save('manager.json')).toBe(true);
  expect(saved).toHaveBeenCalledExactlyOnceWith('manager.json');
});
