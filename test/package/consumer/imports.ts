import original, * as reexported from './reexport.js';

const { default: same, ...named } = await import('microlora-training-utils');
const isSame =
  same === original && Object.entries(named).every(([name, value]) => Reflect.get(reexported, name) === value);
console.log(JSON.stringify({ named: Object.keys(named), original: Object.keys(original), isSame }));
