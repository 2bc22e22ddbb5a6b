/** The address where the host's regions may start. Static data lies below. */
export function heapBase(): usize {
  return __heap_base;
}
