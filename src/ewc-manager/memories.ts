import { DiagonalMemory } from './diagonal.js';
import { type FunctionInfo, FunctionMemory } from './function.js';
import {
  type AdapterMemory,
  type FisherInfo,
  type LatestTask,
  type Learned,
  NO_TASK,
  type OptimalParams,
} from './memory.js';

/** The original's two Maps. They show parts of the memories, and the caller may edit or replace them. */
export interface ShownMaps {
  fisherInfo: Map<string, FisherInfo>;
  optimalParams: Map<string, OptimalParams>;
}

/** All that a manager has learned, in step with the two Maps. */
export class Memories {
  readonly #memories = new Map<string, AdapterMemory>();
  latest: LatestTask = NO_TASK;
  /** Whether a Fisher among the memories was divided by its largest entry. */
  isNormalized = false;

  /** The memory of an adapter, as the caller has edited it. */
  of(name: string, { fisherInfo, optimalParams }: ShownMaps): AdapterMemory | undefined {
    const shown = { fisher: fisherInfo.get(name), optimal: optimalParams.get(name) };
    const memory = this.#memories.get(name);
    return memory ? memory.withShown(shown) : DiagonalMemory.ofShown(shown);
  }

  /** All memories, as the caller has edited them. */
  learned(maps: ShownMaps): Learned {
    const memories = new Map<string, AdapterMemory>();
    for (const name of maps.optimalParams.keys()) {
      const memory = this.of(name, maps);
      if (memory) memories.set(name, memory);
    }
    return { memories, latest: this.latest, isNormalized: this.isNormalized };
  }

  /** Replaces the memories of these adapters. */
  store({ memories, latest, isNormalized }: Learned, { fisherInfo, optimalParams }: ShownMaps): void {
    for (const [name, memory] of memories) {
      const { fisher, optimal } = memory.shown;
      this.#memories.set(name, memory);
      optimalParams.set(name, optimal);
      if (fisher) fisherInfo.set(name, fisher);
      else fisherInfo.delete(name);
    }
    this.latest = latest;
    this.isNormalized = isNormalized;
  }

  clear(): void {
    this.#memories.clear();
    this.latest = NO_TASK;
    this.isNormalized = false;
  }

  /** What the function penalty keeps, by adapter. */
  functionInfo(): Map<string, FunctionInfo> {
    const infos = new Map<string, FunctionInfo>();
    for (const [name, memory] of this.#memories) if (memory instanceof FunctionMemory) infos.set(name, memory.info);
    return infos;
  }
}
