/**
 * Checks for the public boundary, in one import. Every message reads `<call>: <argument> <what is wrong>, got <value>`.
 * A wrong type is a `TypeError`. A wrong value is a `RangeError`.
 */

export { describe, inWords, wrongType, wrongValue } from './validate/messages.js';
export {
  checkArray,
  checkBoolean,
  checkCount,
  checkFunction,
  checkIterable,
  checkMap,
  checkNumber,
  checkObject,
  checkOneOf,
  checkOptions,
  checkSeed,
} from './validate/option-checks.js';
export {
  checkFinite,
  checkFiniteRows,
  checkMatrix,
  checkRowShapes,
  checkRows,
  checkSameCount,
  checkVector,
  checkWeights,
  checkWidth,
  indexOfOtherWidth,
  isFiniteRow,
  isVector,
  throwNonFinite,
} from './validate/row-scans.js';
