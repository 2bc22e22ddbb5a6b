/** Number of batches before each epoch: what was counted, or else what `lengthOf` says of the epochs in between. */
export class StepCounts {
  #before = new Map([[0, 0]]);

  /** The number of batches before an epoch. */
  before(epoch: number, lengthOf: (epoch: number) => number): number {
    let known = epoch;
    while (!this.#before.has(known)) known--;
    for (; known < epoch; known++) this.#before.set(known + 1, this.#before.get(known)! + lengthOf(known));
    return this.#before.get(epoch)!;
  }

  /** The same where all epochs but those that were counted are of one length. */
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
