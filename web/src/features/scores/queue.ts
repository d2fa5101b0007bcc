/** A queue of annotation: the tasks of a filter in the order that they had when it was opened. Scoring one moves no other. */
import { infiniteQueryOptions } from '@tanstack/react-query';
import { request } from '../../api/http';
import type { TaskPage } from '../../api/types';
import { startOf, type TaskFilter } from '../task-list/filter';
import { NEWEST_FIRST } from '../task-list/orders';

const PAGE = 100;
/** Fetch the next page when so few tasks are left. */
export const AHEAD = 10;

/** The filter that the address of a queue has: the same values as that of the tasks page. */
export function filterOf(query: URLSearchParams, nowMs: number): TaskFilter {
  const start = startOf(query.get('range') ?? '', nowMs);
  return {
    q: query.get('q') ?? '',
    status: query.get('status') ?? '',
    agent: query.get('agent') ?? '',
    from: start || (query.get('from') ?? ''),
    to: start ? '' : (query.get('to') ?? ''),
    sort: query.get('sort') || NEWEST_FIRST,
  };
}

/** The address of the queue of a filter. Values that are null or empty are left out. */
export function queueAddress(project: string, values: Record<string, string | null | undefined>): string {
  const params = new URLSearchParams();
  for (const name of ['q', 'status', 'agent', 'range', 'from', 'to', 'sort', 'view']) {
    const value = values[name];
    if (value) params.set(name, value);
  }
  const text = params.toString();
  return `/projects/${project}/annotate${text ? `?${text}` : ''}`;
}

/** Fetched once: a task that leaves the filter because it was scored stays in the queue. */
export function queueQuery(project: string, filter: TaskFilter) {
  return infiniteQueryOptions({
    queryKey: ['annotation-queue', project, filter],
    queryFn: ({ signal, pageParam }) =>
      request<TaskPage>(`/api/traces/${project}/tasks`, {
        signal,
        query: { ...filter, limit: PAGE, cursor: pageParam },
      }),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
  });
}

/** The place of a task in the queue; the first one when the address names none, or one that is not in it. */
export function placeOf(ids: readonly string[], task: string | null): number {
  return task === null ? 0 : Math.max(0, ids.indexOf(task));
}
