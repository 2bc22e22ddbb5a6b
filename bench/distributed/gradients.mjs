import { gradientTask } from 'microlora-training-utils/tasks';
import { makeAdapters, makeBatches, through } from './training.mjs';

export default gradientTask({ adapters: makeAdapters(), through, batch: makeBatches(Number(process.env.BATCH)) });
