/** Numbers of batches before each epoch: those that were counted, and those that follow from them. */
export class StepCounts {
  #before = new Map([[0, 0]]);

  /** Number of batches before an epoch. `lengthOf` gives the number in each epoch that was not counted. */
  before(epoch: number, lengthOf: (epoch: number) => number): number {
    let known = epoch;
    while (!this.#before.has(known)) known--;
    for (; known < epoch; known++) this.#before.set(known + 1, this.#before.get(known)! + lengthOf(known));
    return this.#before.get(epoch)!;
  }

  /** Number of batches before an epoch, where all epochs that were not counted have one length. */
  beforeEqual(epoch: number, length: number): number {
    return this.#before.get(epoch) ?? epoch * length;
  }

  has(epoch: number): boolean {
    return this.#before.has(epoch);
  }

  set(epoch: number, steps: number): void {
    this.#before.set(epoch, steps);
  }

  forget(): void {
    this.#before = new Map([[0, 0]]);
  }
}
