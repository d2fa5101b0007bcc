export const INVITATION_KEPT = 'ams.invitation';

/** Keep the token of an invitation's link while its person signs in or registers in this tab. It is in the fragment, which no server sees. */
export function keepInvitation(): void {
  const token = location.hash.slice(1);
  if (location.pathname !== '/invitation' || !token) return;
  sessionStorage.setItem(INVITATION_KEPT, token);
  history.replaceState(null, '', '/invitation');
}
