/**
 * Embeddings by text, bounded in bytes. The entries that were written least recently leave first. Once the cache is half
 * full, reading an entry counts as writing it. Otherwise it is a `Map`, as callers of the original may look into it.
 */
export class EmbeddingCache extends Map<string, Float32Array> {
  #bytes = 0;
  readonly #maxBytes: number;

  constructor(maxBytes: number) {
    super();
    this.#maxBytes = maxBytes;
  }

  override get(text: string): Float32Array | undefined {
    const embedding = super.get(text);
    // A Map iterates in order of insertion, so moving an entry to the end keeps the oldest first. In a cache that is
    // not half full no entry leaves soon, and keeping the order would take two thirds of the time of a hit.
    if (embedding !== undefined && this.#bytes > this.#maxBytes / 2) {
      super.delete(text);
      super.set(text, embedding);
    }
    return embedding;
  }

  override set(text: string, embedding: Float32Array): this {
    this.delete(text);
    // A larger entry would remove all others, and then itself.
    if (sizeOf(text, embedding) > this.#maxBytes) return this;
    super.set(text, embedding);
    this.#bytes += sizeOf(text, embedding);
    if (this.#bytes > this.#maxBytes) this.#evict();
    return this;
  }

  override delete(text: string): boolean {
    const embedding = super.get(text);
    if (embedding === undefined) return false;
    this.#bytes -= sizeOf(text, embedding);
    return super.delete(text);
  }

  override clear(): void {
    super.clear();
    this.#bytes = 0;
  }

  #evict(): void {
    for (const text of this.keys()) {
      if (this.#bytes <= this.#maxBytes) return;
      this.delete(text);
    }
  }
}

function sizeOf(text: string, embedding: Float32Array): number {
  return embedding.byteLength + 2 * text.length;
}
