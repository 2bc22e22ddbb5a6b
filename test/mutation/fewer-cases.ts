import fc from 'fast-check';

/** Cases of a property that names no number of its own. */
fc.configureGlobal({ ...fc.readConfigureGlobal(), numRuns: 30 });
