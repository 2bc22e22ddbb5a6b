import { gradientTask } from 'microlora-training-utils/tasks';
import { adaptersFor, batchesOf, loadTask, THROUGH } from '../lib/training.mjs';

const task = await loadTask();
export default gradientTask({ adapters: adaptersFor(task), through: THROUGH, batch: batchesOf(task).batchOf });
