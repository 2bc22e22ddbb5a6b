/**
 * Training on many machines, over BullMQ and Redis.
 *
 * @module bullmq
 */

export type { Blobs } from './bullmq/blobs.js';
export { DataParallel, type DataParallelOptions, type GradientsOfStep } from './bullmq/data-parallel.js';
export { type FolderBlobsOptions, folderBlobs } from './bullmq/folder-blobs.js';
export { LocalRounds, type LocalRoundsOptions, type RoundResult } from './bullmq/local-rounds.js';
export {
  type BlobReference,
  type MapShardsOptions,
  mapShards,
  type ShardProgress,
  ShardsFailed,
} from './bullmq/map-shards.js';
export { type RedisBlobsOptions, type RedisClient, redisBlobs } from './bullmq/redis-blobs.js';
export { type TrainingWorker, type TrainingWorkerOptions, trainingWorker } from './bullmq/training-worker.js';
export type { TrainingJobsOptions } from './bullmq/weight-jobs.js';
