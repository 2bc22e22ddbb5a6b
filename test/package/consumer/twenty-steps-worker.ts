import { parentPort } from 'node:worker_threads';
import { twentySteps } from './twenty-steps.js';

twentySteps().then(result => parentPort!.postMessage(result));
