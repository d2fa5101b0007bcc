/** The bars of the histogram: heights, and the range that a brush selects. */
import type { TaskHistogram } from '../../api/types';
import { nusd } from '../../ui/format';

export type Metric = 'tasks' | 'duration' | 'cost';

export interface Bar {
  /** place of the bucket, from 0 */
  place: number;
  startUs: number;
  /** share of the tallest bar, 0 to 1 */
  height: number;
  /** share of the bar that failed */
  failed: number;
}

export function bucketsOf({ from_us, to_us, bucket_us }: TaskHistogram): number {
  return Math.max(1, Math.round((to_us - from_us) / bucket_us));
}

export function metricOf(bucket: TaskHistogram['items'][number], metric: Metric): number | null {
  if (metric === 'tasks') return bucket.tasks;
  if (metric === 'duration') return bucket.p95_duration_us;
  return nusd(bucket.cost_usd);
}

export function barsOf(histogram: TaskHistogram, metric: Metric): { bars: Bar[]; most: number } {
  const values = histogram.items.map((bucket) => metricOf(bucket, metric));
  const most = Math.max(0, ...values.map((value) => value ?? 0));
  const bars = histogram.items.flatMap((bucket, index) => {
    const value = values[index];
    if (value === null || value === undefined) return [];
    return {
      place: Math.round((bucket.start_us - histogram.from_us) / histogram.bucket_us),
      startUs: bucket.start_us,
      height: most > 0 ? value / most : 0,
      failed: metric === 'tasks' ? bucket.failed / bucket.tasks : 0,
    };
  });
  return { bars, most };
}

/** Whole buckets between two places of the pointer, each 0 to 1 of the width: start and end in microseconds. */
export function brushed(histogram: TaskHistogram, a: number, b: number): [number, number] {
  const count = bucketsOf(histogram);
  const at = (share: number) => Math.max(0, Math.min(count - 1, Math.floor(share * count)));
  const [first, last] = [at(Math.min(a, b)), at(Math.max(a, b))];
  return [histogram.from_us + first * histogram.bucket_us, histogram.from_us + (last + 1) * histogram.bucket_us];
}
