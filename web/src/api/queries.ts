/** Server data by name: keys and fetches of the lists and pages. Live news is written into the same cache. */
import { QueryClient, queryOptions } from '@tanstack/react-query';
import { request } from './http';
import { asApiError } from './problems';
import type { Agent, ApiKey, NewApiKey, Page, Project, StepAnswer } from './types';

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      refetchOnWindowFocus: false,
      retry: (failures, error) => asApiError(error).transient && failures < 3,
      retryDelay: (attempt) => Math.min(4_000, 400 * 2 ** attempt),
    },
  },
});

export const projectsQuery = queryOptions({
  queryKey: ['projects'],
  queryFn: ({ signal }) => request<Page<Project>>('/api/projects', { signal, query: { limit: 200 } }),
  staleTime: 60_000,
});

export function keysQuery(project: string) {
  return queryOptions({
    queryKey: ['keys', project],
    queryFn: ({ signal }) => request<Page<ApiKey>>(`/api/projects/${project}/keys`, { signal, query: { limit: 200 } }),
  });
}

export function agentsQuery(project: string) {
  return queryOptions({
    queryKey: ['agents', project],
    queryFn: ({ signal }) => request<Page<Agent>>(`/api/traces/${project}/agents`, { signal, query: { limit: 200 } }),
    staleTime: 30_000,
  });
}

export function stepQuery(project: string, task: string, step: string) {
  return queryOptions({
    queryKey: ['step', project, task, step],
    queryFn: ({ signal }) => request<StepAnswer>(`/api/traces/${project}/tasks/${task}/steps/${step}`, { signal }),
    staleTime: 2_000,
  });
}

export function createKey(project: string, name: string): Promise<NewApiKey> {
  return request<NewApiKey>(`/api/projects/${project}/keys`, { method: 'POST', body: { name } });
}

export function deleteKey(project: string, key: string): Promise<void> {
  return request<void>(`/api/projects/${project}/keys/${key}`, { method: 'DELETE' });
}

export function createProject(name: string): Promise<Project> {
  return request<Project>('/api/projects', { method: 'POST', body: { name } });
}

export function deleteTask(project: string, task: string): Promise<void> {
  return request<void>(`/api/ingest/${project}/tasks/${task}`, { method: 'DELETE' });
}
