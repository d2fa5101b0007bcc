/** Server data of the statistics page, and what it shows of them: series over time, sums, and rows for a spreadsheet. */
import { keepPreviousData, queryOptions } from '@tanstack/react-query';
import { request } from '../../api/http';
import type { Statistics, StatisticsGroup } from '../../api/types';

export const RANGES = [
  { value: '24h', label: '24 hours', hours: 24 },
  { value: '7d', label: '7 days', hours: 168 },
  { value: '30d', label: '30 days', hours: 720 },
  { value: '90d', label: '90 days', hours: 2_159 },
] as const;

export const DIMENSIONS = [
  { value: 'agent', label: 'Agent' },
  { value: 'model', label: 'Model' },
  { value: 'tool', label: 'Tool' },
  { value: 'type', label: 'Step type' },
] as const;

export type Dimension = (typeof DIMENSIONS)[number]['value'];
export type Only = Partial<Record<Dimension, string>>;

const HOUR_US = 3_600_000_000;
/** Beyond, the time is shown by day. */
const HOURS_BY_HOUR_MAX = 168;
const GROUPS_MAX = 500;

export function intervalOf(hours: number): 'hour' | 'day' {
  return hours <= HOURS_BY_HOUR_MAX ? 'hour' : 'day';
}

/** Without the parts of an hour, so that a page that is shown again asks the same. */
export function startOf(hours: number, nowMs: number): string {
  return new Date(Math.floor(nowMs / 3_600_000 - hours + 1) * 3_600_000).toISOString();
}

export function statisticsQuery(project: string, groupBy: string | null, from: string, only: Only) {
  const query = { group_by: groupBy, from, limit: GROUPS_MAX, ...only };
  return queryOptions({
    queryKey: ['statistics', project, query],
    queryFn: ({ signal }) => {
      // an empty filter means steps without the value: it must not be left out
      const params = new URLSearchParams();
      for (const [name, value] of Object.entries(query)) {
        if (value !== null && value !== undefined) params.set(name, String(value));
      }
      return request<Statistics>(`/api/traces/${project}/statistics?${params}`, { signal });
    },
    placeholderData: keepPreviousData,
    refetchInterval: 30_000,
  });
}

export interface Point {
  startUs: number;
  group: StatisticsGroup | null;
}

/** A point for each interval of the range, those without steps included. */
export function seriesOf(statistics: Statistics, interval: 'hour' | 'day'): Point[] {
  const width = interval === 'hour' ? HOUR_US : 24 * HOUR_US;
  const found = new Map(statistics.items.map((group) => [Number(group.key), group]));
  const points: Point[] = [];
  for (let at = Math.floor(statistics.from_us / width) * width; at < statistics.to_us; at += width) {
    points.push({ startUs: at, group: found.get(at) ?? null });
  }
  return points;
}

export function errorRate(group: StatisticsGroup): number {
  return group.steps > 0 ? group.errors / group.steps : 0;
}

/** `0 %`, `0.4 %`, `12 %`. */
export function percent(share: number): string {
  if (share === 0) return '0 %';
  if (share < 0.001) return '<0.1 %';
  return `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
}

const CSV_COLUMNS: [string, (group: StatisticsGroup) => string | number | null][] = [
  ['steps', (group) => group.steps],
  ['errors', (group) => group.errors],
  ['mean_duration_us', (group) => group.mean_duration_us],
  ['p50_duration_us', (group) => group.duration_us.p50],
  ['p95_duration_us', (group) => group.duration_us.p95],
  ['p99_duration_us', (group) => group.duration_us.p99],
  ['input_tokens', (group) => group.input_tokens],
  ['output_tokens', (group) => group.output_tokens],
  ['priced_steps', (group) => group.priced_steps],
  ['cost_usd', (group) => group.cost_usd],
];

/** Comma-separated values with a head. */
export function csvOf(dimension: string, groups: readonly StatisticsGroup[]): string {
  return csvText([
    [dimension, ...CSV_COLUMNS.map(([name]) => name)],
    ...groups.map((group) => [group.key, ...CSV_COLUMNS.map(([, read]) => read(group))]),
  ]);
}

/** Rows as comma-separated values. A text that a spreadsheet would take for a formula gets an apostrophe in front. */
export function csvText(rows: readonly (readonly (string | number | null)[])[]): string {
  const cell = (value: string | number | null) => {
    if (value === null) return '';
    if (typeof value === 'number') return String(value);
    const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
    return /[",\r\n]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
  };
  return rows.map((row) => `${row.map(cell).join(',')}\r\n`).join('');
}
