/** The way to an OpenID provider and back. What the page wanted is kept in this tab, because the browser leaves the page. */
import { queryOptions } from '@tanstack/react-query';
import { forgetRefusedInvitation, keptInvitation } from '../app/invitation';
import { request } from './http';
import { type ProviderAnswer, session } from './session';
import type { Confirmed, IdentityList, ProviderAddress, SecondFactorNeeded } from './types';

const KEPT = 'ams.provider';

export type Purpose = 'sign-in' | 'link' | 'proof';

export interface Trip {
  purpose: Purpose;
  /** where the person continues, an address of this site */
  next: string;
}

export const identitiesQuery = queryOptions({
  queryKey: ['identities'],
  queryFn: ({ signal }) => request<IdentityList>('/api/users/me/identities', { signal }),
});

export const unlinkIdentity = (id: string) => request<void>(`/api/users/me/identities/${id}`, { method: 'DELETE' });

/** Leave for a provider. The browser leaves this page when it succeeds. */
export async function leaveFor(provider: string, trip: Trip): Promise<void> {
  const url =
    trip.purpose === 'sign-in'
      ? await session.startProvider(provider)
      : (
          await request<ProviderAddress>('/api/auth/oidc/own/start', {
            method: 'POST',
            body: { provider, purpose: trip.purpose },
          })
        ).url;
  sessionStorage.setItem(KEPT, JSON.stringify(trip));
  location.assign(url);
}

/** What the person left for; once. A page that was opened otherwise is a sign-in. */
export function takeTrip(): Trip {
  const kept = sessionStorage.getItem(KEPT);
  sessionStorage.removeItem(KEPT);
  return kept === null ? { purpose: 'sign-in', next: '/' } : (JSON.parse(kept) as Trip);
}

/** The parameters with which a provider sent the browser back, as the service takes them. */
export function answerOf(provider: string, params: URLSearchParams): ProviderAnswer {
  const answer: ProviderAnswer = { provider, state: params.get('state') ?? '' };
  for (const name of ['code', 'iss', 'error'] as const) {
    const value = params.get(name);
    if (value !== null) answer[name] = value;
  }
  return answer;
}

/** Sign in with a provider's answer: null when the person is signed in; else what the second step needs. */
export async function signInWith(answer: ProviderAnswer): Promise<SecondFactorNeeded | null> {
  const invitation = keptInvitation();
  try {
    return await session.answerProvider(invitation === null ? answer : { ...answer, invitation });
  } catch (thrown) {
    forgetRefusedInvitation(thrown);
    throw thrown;
  }
}

export const finishOwn = (answer: ProviderAnswer) =>
  request<Confirmed>('/api/auth/oidc/own/callback', { method: 'POST', body: answer });
