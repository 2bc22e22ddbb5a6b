/** Where the host's regions may start: static data lies below. */
export function heapBase(): usize {
  return __heap_base;
}
