/**
 * Running counts over all calls, of what was done: a call that fails or is left has counted all that it finished,
 * whether or not it was handed out. A chunk counts from when its texts are embedded: then the examples it skips, and each
 * example as it is finished.
 */
export interface PreprocessorStats {
  /** Examples taken. */
  processed: number;
  /** Examples skipped for their quality. */
  filtered: number;
  /** Examples skipped as repeats. Present with `deduplicate`. */
  duplicates?: number;
  /** Variations added. */
  augmented: number;
  /** Embeddings that came from the cache. */
  cacheHits: number;
}

/** How far a call has come. */
export interface ProcessProgress {
  /** Examples read from the source. */
  read: number;
  /** Rows made of them, variations included. */
  produced: number;
  /** Examples in the source where that is known: of an array or a Set. */
  total: number | undefined;
}

export interface DataPreprocessorEvents {
  /** After each chunk of a call, as `onProgress`. */
  'process:progress': [ProcessProgress];
  /** After each `process`, and each `stream` read to its end: how many rows it gave, and the running counts. */
  'process:complete': [{ total: number; stats: PreprocessorStats }];
}
