/** What the pages of the account, of a project's settings and of its audit log read and change. */
import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query';
import { request, requestBlob } from './http';
import { answerWithPasskey, createPasskey } from './passkeys';
import { ApiError } from './problems';
import type {
  AccountSessions,
  AddedPasskey,
  AppEnrolment,
  AuditList,
  CreatedInvitation,
  FactorList,
  InvitationList,
  InvitedProject,
  MemberList,
  PasskeyRequest,
  Project,
  ProofOptions,
  RecoveryCodes,
  Requested,
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

export const sendVerification = () => request<Requested>('/api/users/me/email/verification', { method: 'POST' });

export const deleteAccount = (password: string) =>
  request<void>('/api/users/me/delete', { method: 'POST', body: { password } });

export const factorsQuery = queryOptions({
  queryKey: ['factors'],
  queryFn: ({ signal }) => request<FactorList>('/api/users/me/factors', { signal }),
});

export const beginApp = () => request<AppEnrolment>('/api/users/me/factors/app', { method: 'POST' });

export const confirmApp = (code: string) =>
  request<RecoveryCodes>('/api/users/me/factors/app/confirm', { method: 'POST', body: { code } });

export const removeApp = () => request<void>('/api/users/me/factors/app', { method: 'DELETE' });

export const newRecoveryCodes = () =>
  request<RecoveryCodes>('/api/users/me/factors/recovery-codes', { method: 'POST' });

/** Ask the browser for a new passkey, and add it to the account. */
export async function addPasskey(name: string): Promise<AddedPasskey> {
  const asked = await request<PasskeyRequest>('/api/users/me/passkeys/options', { method: 'POST' });
  const credential = await createPasskey(asked);
  return request<AddedPasskey>('/api/users/me/passkeys', {
    method: 'POST',
    body: { token: asked.token, name, credential },
  });
}

export const renamePasskey = (id: string, name: string) =>
  request<void>(`/api/users/me/passkeys/${id}`, { method: 'PATCH', body: { name } });

export const removePasskey = (id: string) => request<void>(`/api/users/me/passkeys/${id}`, { method: 'DELETE' });

const sendProof = (body: object) => request<void>('/api/users/me/proof', { method: 'POST', body });

export const proveByPassword = (password: string) => sendProof({ password });

export const proveByCode = (code: string) => sendProof({ code });

export async function proveByPasskey(): Promise<void> {
  const { passkey } = await request<ProofOptions>('/api/users/me/proof/options', { method: 'POST' });
  if (!passkey) throw new ApiError(0, 'no_passkey', 'This account has no passkey.');
  await sendProof({ token: passkey.token, credential: await answerWithPasskey(passkey) });
}

export const requireSecondFactor = (project: string, required: boolean) =>
  request<Project>(`/api/projects/${project}`, { method: 'PATCH', body: { second_factor_required: required } });

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
