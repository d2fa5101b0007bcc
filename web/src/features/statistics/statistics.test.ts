import { expect, test } from 'vitest';
import type { Statistics, StatisticsGroup } from '../../api/types';
import { csvOf, intervalOf, percent, seriesOf, startOf } from './statistics';

const NONE = { p50: null, p90: null, p95: null, p99: null };
const group = (key: string, more: Partial<StatisticsGroup> = {}): StatisticsGroup => ({
  ...{ key, steps: 4, errors: 1, priced_steps: 0, input_tokens: 0, output_tokens: 0, cost_usd: null },
  ...{ mean_duration_us: null, duration_us: NONE, tokens: NONE, cost_nusd: NONE },
  ...more,
});
const HOUR_US = 3_600_000_000;

test('a series has a point for every interval', () => {
  const answer: Statistics = { from_us: 0, to_us: 3 * HOUR_US, truncated: false, items: [group(String(HOUR_US))] };
  expect(seriesOf(answer, 'hour').map(({ group: at }) => at?.steps ?? null)).toEqual([null, 4, null]);
  expect(seriesOf({ ...answer, items: [group('0')] }, 'day')).toHaveLength(1);
  expect([intervalOf(168), intervalOf(720)]).toEqual(['hour', 'day']);
  expect(startOf(24, Date.UTC(2026, 5, 2, 10, 30))).toBe('2026-06-01T11:00:00.000Z');
});

test('values for a spreadsheet are quoted and are no formulas', () => {
  const lines = csvOf('agent', [group('a "b", c', { cost_usd: '0.5' }), group('=1+1')]).split('\r\n');
  expect(lines[0]).toMatch(/^agent,steps,errors,/);
  expect(lines[1]).toBe('"a ""b"", c",4,1,,,,,0,0,0,0.5');
  expect(lines[2]).toMatch(/^'=1\+1,/);
});

test('shares are short', () => {
  expect([0, 0.0004, 0.004, 0.125].map(percent)).toEqual(['0 %', '<0.1 %', '0.4 %', '13 %']);
});
