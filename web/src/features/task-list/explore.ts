/** Server data of the tasks page beside its rows: the histogram and the facets of a filter. */
import { keepPreviousData, queryOptions } from '@tanstack/react-query';
import { request } from '../../api/http';
import type { TaskFacets, TaskHistogram } from '../../api/types';
import type { TaskFilter } from './filter';

const REFRESH_MS = 10_000;

function filterOf({ q, status, agent, from, to }: TaskFilter) {
  return { q, status, agent, from, to };
}

export function histogramQuery(project: string, filter: TaskFilter, live: boolean) {
  return queryOptions({
    queryKey: ['task-histogram', project, filterOf(filter)],
    queryFn: ({ signal }) =>
      request<TaskHistogram>(`/api/traces/${project}/tasks/histogram`, { signal, query: filterOf(filter) }),
    placeholderData: keepPreviousData,
    refetchInterval: live ? REFRESH_MS : false,
  });
}

export function facetsQuery(project: string, filter: TaskFilter, live: boolean) {
  return queryOptions({
    queryKey: ['task-facets', project, filterOf(filter)],
    queryFn: ({ signal }) =>
      request<TaskFacets>(`/api/traces/${project}/tasks/facets`, { signal, query: filterOf(filter) }),
    placeholderData: keepPreviousData,
    refetchInterval: live ? REFRESH_MS : false,
  });
}
