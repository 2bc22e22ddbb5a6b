import { once } from 'node:events';
import { DataPreprocessor, EWCManager, type EWCOptions, type PreprocessorStats } from 'microlora-training-utils';

const preprocessor = new DataPreprocessor();
const ewc = new EWCManager();

// Listeners know their payload.
preprocessor
  .on('process:complete', ({ total, stats }) => {
    const counts: [number, PreprocessorStats] = [total, stats];
    console.log(counts);
  })
  .once('process:complete', ({ stats }) => console.log(stats.cacheHits.toFixed()))
  .on('process:complete', () => {})
  .getStats();
ewc
  .on('fisher:start', ({ samples }) => console.log(samples.toFixed()))
  .once('fisher:complete', ({ adapters }) => console.log(adapters.toFixed()))
  .reset();

// @ts-expect-error: total is a number
preprocessor.on('process:complete', ({ total }: { total: string }) => console.log(total));
// @ts-expect-error: total is a number
preprocessor.once('process:complete', ({ total }: { total: string }) => console.log(total));
// @ts-expect-error: there is one argument
preprocessor.on('process:complete', (_payload, second) => console.log(second));
// @ts-expect-error: the payload has no such field
ewc.on('fisher:start', ({ adapters }) => console.log(adapters));
// @ts-expect-error: samples is a number
ewc.once('fisher:start', ({ samples }: { samples: string }) => console.log(samples));
// @ts-expect-error: adapters is a number
ewc.on('fisher:complete', ({ adapters }: { adapters: string[] }) => console.log(adapters));
// @ts-expect-error: the payload has no such field
ewc.once('fisher:complete', ({ samples }) => console.log(samples));

// Emitters know it too.
ewc.emit('fisher:start', { samples: 3 });
ewc.emit('fisher:complete', { adapters: 1 });
preprocessor.emit('process:complete', { total: 1, stats: preprocessor.stats });
// @ts-expect-error: the payload is missing
ewc.emit('fisher:start');
// @ts-expect-error: samples is a number
ewc.emit('fisher:start', { samples: '3' });
// @ts-expect-error: the payload of another event
ewc.emit('fisher:complete', { samples: 3 });
// @ts-expect-error: there is one argument
ewc.emit('fisher:complete', { adapters: 1 }, 2);
// @ts-expect-error: stats is missing
preprocessor.emit('process:complete', { total: 1 });

// @ts-expect-error: a misspelt name
ewc.on('fisher:strat', () => {});
// @ts-expect-error: a misspelt name
preprocessor.once('process:completed', () => {});
// @ts-expect-error: a misspelt name
ewc.off('fisher:strat', () => {});
// @ts-expect-error: a misspelt name
ewc.emit('fisher:strat', { samples: 3 });
// @ts-expect-error: a misspelt name
ewc.listenerCount('fisher:strat');

// A subclass adds its events to the interface of events. Node's helpers accept the emitter.
declare module 'microlora-training-utils' {
  interface EWCEvents {
    saved: [path: string];
  }
}

export class LoggingManager extends EWCManager {
  constructor(options?: EWCOptions) {
    super(options);
    this.on('saved', path => console.log(path.length));
  }

  save(path: string): void {
    this.emit('saved', path);
  }
}

export const completed: Promise<unknown[]> = once(preprocessor, 'process:complete');
