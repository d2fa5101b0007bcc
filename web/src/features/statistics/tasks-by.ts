/** Statistics of tasks by user and tag: their server data, the query that finds a group's tasks, and rows for a spreadsheet. */
import { keepPreviousData, queryOptions } from '@tanstack/react-query';
import { request } from '../../api/http';
import type { TaskGroup, TaskGroups, TaskHistogram } from '../../api/types';
import { clauseOf } from '../task-list/filter';
import { csvText } from './statistics';

export const TASK_DIMENSIONS = [
  { value: 'user', label: 'User' },
  { value: 'tag', label: 'Tag' },
] as const;

export type TaskDimension = (typeof TASK_DIMENSIONS)[number]['value'];

const GROUPS_MAX = 500;
const BUCKETS = 60;

export function taskGroupsQuery(project: string, dimension: TaskDimension, from: string) {
  return queryOptions({
    queryKey: ['task-groups', project, dimension, from],
    queryFn: ({ signal }) =>
      request<TaskGroups>(`/api/traces/${project}/tasks/groups`, {
        signal,
        query: { group_by: dimension, from, limit: GROUPS_MAX },
      }),
    placeholderData: keepPreviousData,
    refetchInterval: 30_000,
  });
}

export function tasksOverTimeQuery(project: string, q: string, from: string, to: string) {
  return queryOptions({
    queryKey: ['tasks-over-time', project, q, from, to],
    queryFn: ({ signal }) =>
      request<TaskHistogram>(`/api/traces/${project}/tasks/histogram`, {
        signal,
        query: { q, from, to, buckets: BUCKETS },
      }),
    placeholderData: keepPreviousData,
    refetchInterval: 30_000,
  });
}

/** The query that finds the tasks of a group; null for the groups beyond the limit. */
export function queryOf(dimension: TaskDimension, group: TaskGroup): string | null {
  if (group.other) return null;
  if (dimension === 'user') return group.key === '' ? '-user:*' : clauseOf('user', group.key);
  const name = group.tag ?? '';
  const field = /^[\w-]+$/.test(name) ? `tag.${name}` : `tag."${name.replace(/["\\]/g, '\\$&')}"`;
  return clauseOf(field, group.key);
}

export function nameOf(group: TaskGroup): string {
  if (group.other) return 'other';
  return group.tag === null ? group.key : `${group.tag}: ${group.key}`;
}

export interface TaskPoint {
  startUs: number;
  bucket: TaskHistogram['items'][number] | null;
}

/** A point for each bucket of the range, those without tasks included. */
export function taskPoints(histogram: TaskHistogram): TaskPoint[] {
  const found = new Map(histogram.items.map((bucket) => [bucket.start_us, bucket]));
  const points: TaskPoint[] = [];
  for (let at = histogram.from_us; at < histogram.to_us; at += histogram.bucket_us) {
    points.push({ startUs: at, bucket: found.get(at) ?? null });
  }
  return points;
}

export function taskGroupsCsv(dimension: TaskDimension, groups: readonly TaskGroup[]): string {
  const names = dimension === 'tag' ? ['tag', 'value'] : ['user'];
  const head = [
    ...names,
    ...['tasks', 'failed', 'p50_duration_us', 'p95_duration_us', 'steps', 'input_tokens', 'output_tokens', 'cost_usd'],
  ];
  const rows = groups.map((group) => [
    ...(group.other
      ? dimension === 'tag'
        ? ['', 'other']
        : ['other']
      : dimension === 'tag'
        ? [group.tag, group.key]
        : [group.key]),
    group.tasks,
    group.failed,
    group.p50_duration_us,
    group.p95_duration_us,
    group.steps,
    group.input_tokens,
    group.output_tokens,
    group.cost_usd,
  ]);
  return csvText([head, ...rows]);
}
