import { sharedWork } from './shared-work.js';

sharedWork().then(result => console.log(JSON.stringify(result)));
