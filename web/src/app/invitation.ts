import { asApiError } from '../api/problems';

const KEPT = 'ams.invitation';

/** Keep the token of an invitation's link while its person signs in or registers in this tab. It is in the fragment, which no server sees. */
export function keepInvitation(): void {
  const token = location.hash.slice(1);
  if (location.pathname !== '/invitation' || !token) return;
  sessionStorage.setItem(KEPT, token);
  history.replaceState(null, '', '/invitation');
}

/** The token of the invitation that this tab follows. */
export function keptInvitation(): string | null {
  return sessionStorage.getItem(KEPT);
}

/** After the invitation was accepted. Signing out forgets it with all that the tab keeps. */
export function forgetInvitation(): void {
  sessionStorage.removeItem(KEPT);
}

/** After a request with the invitation failed: forget one that nobody can accept any more, or that this person need not. */
export function forgetRefusedInvitation(thrown: unknown): void {
  if (['invitation_not_found', 'already_member'].includes(asApiError(thrown).code)) forgetInvitation();
}
