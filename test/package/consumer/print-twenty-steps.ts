import { twentySteps } from './twenty-steps.js';

twentySteps().then(result => console.log(JSON.stringify(result)));
