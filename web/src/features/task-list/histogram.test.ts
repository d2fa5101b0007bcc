import { expect, test } from 'vitest';
import type { TaskHistogram } from '../../api/types';
import { barsOf, brushed, bucketsOf } from './histogram';

const bucket = (start_us: number, tasks: number, failed: number, p95: number | null, cost: string | null) => ({
  ...{ start_us, tasks, failed, p95_duration_us: p95, input_tokens: 0, output_tokens: 0, cost_usd: cost },
});
const HISTOGRAM = {
  ...{ from_us: 100, to_us: 140, bucket_us: 10, tasks: 6, counted_back_to_us: null },
  items: [bucket(100, 4, 1, 50, null), bucket(130, 2, 0, null, '0.5')],
} as TaskHistogram;

test('bars are at the place of their bucket; unknown values have none', () => {
  expect(bucketsOf(HISTOGRAM)).toBe(4);
  expect(barsOf(HISTOGRAM, 'tasks').bars.map(({ place, height, failed }) => [place, height, failed])).toEqual([
    [0, 1, 0.25],
    [3, 0.5, 0],
  ]);
  expect(barsOf(HISTOGRAM, 'duration').bars.map(({ place }) => place)).toEqual([0]);
  expect(barsOf(HISTOGRAM, 'cost')).toMatchObject({ most: 500_000_000, bars: [{ place: 3, height: 1 }] });
});

test('a brush selects complete buckets in either direction', () => {
  expect(brushed(HISTOGRAM, 0.6, 0.3)).toEqual([110, 130]);
  expect(brushed(HISTOGRAM, -1, 2)).toEqual([100, 140]);
});
