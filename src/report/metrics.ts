import { describe, wrongType, wrongValue } from '../internal/validate/messages.js';
import { checkNumber, checkObject } from '../internal/validate/option-checks.js';
import type { RetrievalMetrics } from '../retriever.js';
import { CALL, checkEntries } from './checks.js';
import { percent } from './numbers.js';

/** What a search measured. A result of `Retriever.evaluate` is one, and every metric is optional. */
export interface ReportMetrics extends Partial<RetrievalMetrics> {
  /** Ends of the interval of each metric. */
  intervals?: Partial<RetrievalMetrics<readonly [low: number, high: number]>>;
}

/** A metric, alone or at one cut-off. */
export interface Metric {
  /** The same for the same metric of another evaluation. */
  name: string;
  /** The field that it was read from. */
  field: keyof RetrievalMetrics;
  value: number;
  interval?: readonly [low: number, high: number];
}

/** What rounding may add to a share. */
const SLACK = 1e-9;
const AT = { recallAt: 'Recall', accuracyAt: 'Accuracy', precisionAt: 'Precision', ndcgAt: 'nDCG' } as const;
const WHOLE = { mrr: 'MRR', map: 'MAP' } as const;
/** The fields in the order that they are shown in. */
const FIELDS = ['recallAt', 'mrr', 'ndcgAt', 'map', 'accuracyAt', 'precisionAt'] as const;

/** The metrics of an evaluation, checked. */
export function metricsOf(name: string, evaluation: unknown): Metric[] {
  checkObject(CALL, name, evaluation);
  const intervals = evaluation['intervals'] ?? {};
  checkObject(CALL, `${name}.intervals`, intervals);
  return FIELDS.flatMap((field): Metric[] => {
    const value = evaluation[field];
    const label = `${name}.${field}`;
    const intervalLabel = `${name}.intervals.${field}`;
    if (value === undefined) return [];
    if (field === 'mrr' || field === 'map')
      return [
        { name: WHOLE[field], field, value: checkShare(label, value), ...intervalOf(intervalLabel, intervals[field]) },
      ];
    const ofField = intervals[field] ?? {};
    checkObject(CALL, intervalLabel, ofField);
    return checkEntries(label, value).map(([cutOff, at]) => {
      if (!/^[1-9]\d*$/.test(cutOff))
        throw new RangeError(
          `${CALL}: ${label} has the cut-off ${describe(cutOff)}, expected an integer of at least 1`,
        );
      return {
        name: `${AT[field]}@${cutOff}`,
        field,
        value: checkShare(`${label}[${cutOff}]`, at),
        ...intervalOf(`${intervalLabel}[${cutOff}]`, ofField[cutOff]),
      };
    });
  });
}

/** How the values of a metric are written. */
export function formatOf(field: Metric['field']): (value: number) => string {
  return field in WHOLE || field === 'ndcgAt' ? value => value.toFixed(3) : percent;
}

function intervalOf(name: string, interval: unknown): Pick<Metric, 'interval'> {
  if (interval === undefined) return {};
  if (!Array.isArray(interval) || interval.length !== 2) throw wrongType(CALL, name, 'an array of 2 numbers', interval);
  const low = checkShare(`${name}[0]`, interval[0]);
  const high = checkShare(`${name}[1]`, interval[1]);
  if (low > high) throw wrongValue(CALL, `${name}[1]`, `at least ${low}`, high);
  return { interval: [low, high] };
}

function checkShare(name: string, value: unknown): number {
  const isRounded = typeof value === 'number' && Math.abs(value - 0.5) <= 0.5 + SLACK;
  return checkNumber(CALL, name, isRounded ? Math.min(1, Math.max(0, value)) : value, { min: 0, max: 1 });
}
