/** What the pages of a project's settings and keys, and of the installation's administration, read and change. */
import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query';
import { request } from './http';
import type {
  AccountList,
  CreatedKey,
  ManagedProjects,
  Member,
  ProjectUsage,
  ProjectView,
  paths,
  ResetLink,
} from './types.gen';

const PAGE = 100;

type Json = 'application/json';
type KeyBody = paths['/api/projects/{project}/keys']['post']['requestBody']['content'][Json];
export type ProjectChanges = paths['/api/projects/{project}']['patch']['requestBody']['content'][Json];
type QuotaBody = paths['/api/auth/projects/{managed}/quota']['put']['requestBody']['content'][Json];

export const newKey = (project: string, body: KeyBody) =>
  request<CreatedKey>(`/api/projects/${project}/keys`, { method: 'POST', body });

export const rotateKey = (project: string, key: string) =>
  request<CreatedKey>(`/api/projects/${project}/keys/${key}/rotate`, { method: 'POST', body: { overlap_hours: 24 } });

export const createServiceAccount = (project: string, name: string) =>
  request<Member>(`/api/projects/${project}/service-accounts`, { method: 'POST', body: { name } });

export const changeProject = (project: string, body: ProjectChanges) =>
  request<ProjectView>(`/api/projects/${project}`, { method: 'PATCH', body });

export const deleteProject = (project: string) => request<void>(`/api/projects/${project}`, { method: 'DELETE' });

export function usageQuery(project: string) {
  return queryOptions({
    queryKey: ['usage', project],
    queryFn: ({ signal }) => request<ProjectUsage>(`/api/projects/${project}/usage`, { signal }),
    refetchInterval: 10_000,
  });
}

export const accountsQuery = infiniteQueryOptions({
  queryKey: ['accounts'],
  queryFn: ({ signal, pageParam }) =>
    request<AccountList>('/api/users', { signal, query: { limit: PAGE, cursor: pageParam } }),
  initialPageParam: null as string | null,
  getNextPageParam: (page) => page.next_cursor,
});

export const setDisabled = (user: string, disabled: boolean) =>
  request<void>(`/api/users/${user}/${disabled ? 'disable' : 'enable'}`, { method: 'POST' });

export const setAdministrator = (user: string, administrator: boolean) =>
  request<void>(`/api/users/${user}/administrator`, { method: 'POST', body: { administrator } });

export const createResetLink = (user: string) =>
  request<ResetLink>(`/api/users/${user}/password-reset`, { method: 'POST' });

export const managedProjectsQuery = infiniteQueryOptions({
  queryKey: ['managed-projects'],
  queryFn: ({ signal, pageParam }) =>
    request<ManagedProjects>('/api/auth/projects', { signal, query: { limit: PAGE, cursor: pageParam } }),
  initialPageParam: null as string | null,
  getNextPageParam: (page) => page.next_cursor,
});

export const setQuota = (project: string, body: QuotaBody) =>
  request<void>(`/api/auth/projects/${project}/quota`, { method: 'PUT', body });
