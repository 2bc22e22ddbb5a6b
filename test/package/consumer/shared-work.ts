import { LossComputer, useKernelThreads } from 'microlora-training-utils';

/** A loss and a gradient by one thread and by two, and whether the two shared the work. */
export async function sharedWork(): Promise<{ isShared: boolean; one: number[]; two: number[] }> {
  const row = (i: number): Float32Array => Float32Array.from({ length: 128 }, (_, j) => ((i + 7) * (j * j + 3)) % 31);
  const rows = Array.from({ length: 1024 }, (_, i) => row(i));
  const compute = (): number[] => {
    const { loss, gradients } = LossComputer.contrastive(rows, [...rows].reverse(), null, { gradients: true });
    return [loss, ...gradients[1000]!];
  };
  const one = compute();
  useKernelThreads(2);
  // Threads take the next index by `Atomics.add`. Where this thread does not see an index, the helper has taken it.
  let isShared = false;
  const add = Atomics.add;
  const seen = new Map<number, number>();
  Atomics.add = ((array: Int32Array, index: number, value: number): number => {
    const before = add(array, index, value);
    if (before > (seen.get(index) ?? before) + 1) isShared = true;
    seen.set(index, before);
    return before;
  }) as typeof Atomics.add;
  let two: number[] = [];
  // The helper starts and wakes at its own pace.
  for (let call = 0; call < 200 && !isShared; call++) {
    two = compute();
    await new Promise(resolve => setTimeout(resolve, 10));
  }
  Atomics.add = add;
  useKernelThreads(1);
  return { isShared, one, two };
}
