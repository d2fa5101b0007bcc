/** What the pages of the account, of a project's settings and of its audit log read and change. */
import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query';
import { request, requestBlob } from './http';
import type {
  AccountSessions,
  AuditList,
  CreatedInvitation,
  InvitationList,
  InvitedProject,
  MemberList,
  Role,
  User,
} from './types';

const AUDIT_PAGE = 100;

export const sessionsOfAccountQuery = queryOptions({
  queryKey: ['account-sessions'],
  queryFn: ({ signal }) => request<AccountSessions>('/api/users/me/sessions', { signal }),
});

export const endSession = (id: string) => request<void>(`/api/users/me/sessions/${id}`, { method: 'DELETE' });

export const endOtherSessions = () =>
  request<void>('/api/users/me/sessions', { method: 'DELETE', query: { keep: 'current' } });

export const changePassword = (password: string, next: string) =>
  request<void>('/api/users/me/password', { method: 'POST', body: { password, new_password: next } });

export const changeEmail = (password: string, email: string) =>
  request<User>('/api/users/me/email', { method: 'POST', body: { password, email } });

export const deleteAccount = (password: string) =>
  request<void>('/api/users/me/delete', { method: 'POST', body: { password } });

export function membersQuery(project: string) {
  return queryOptions({
    queryKey: ['members', project],
    queryFn: ({ signal }) => request<MemberList>(`/api/projects/${project}/members`, { signal, query: { limit: 500 } }),
  });
}

export const setRole = (project: string, user: string, role: Role) =>
  request<void>(`/api/projects/${project}/members/${user}`, { method: 'PATCH', body: { role } });

export const removeMember = (project: string, user: string) =>
  request<void>(`/api/projects/${project}/members/${user}`, { method: 'DELETE' });

export function invitationsQuery(project: string) {
  return queryOptions({
    queryKey: ['invitations', project],
    queryFn: ({ signal }) => request<InvitationList>(`/api/projects/${project}/invitations`, { signal }),
  });
}

export const invite = (project: string, role: Role) =>
  request<CreatedInvitation>(`/api/projects/${project}/invitations`, { method: 'POST', body: { role } });

export const withdrawInvitation = (project: string, id: string) =>
  request<void>(`/api/projects/${project}/invitations/${id}`, { method: 'DELETE' });

export const previewInvitation = (token: string) =>
  request<InvitedProject>('/api/users/me/invitations/preview', { method: 'POST', body: { token } });

export const acceptInvitation = (token: string) =>
  request<InvitedProject>('/api/users/me/invitations', { method: 'POST', body: { token } });

export function auditQuery(project: string) {
  return infiniteQueryOptions({
    queryKey: ['audit', project],
    queryFn: ({ signal, pageParam }) =>
      request<AuditList>(`/api/projects/${project}/audit`, { signal, query: { limit: AUDIT_PAGE, cursor: pageParam } }),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
  });
}

export const exportAudit = (project: string) => requestBlob(`/api/projects/${project}/audit/export`);
