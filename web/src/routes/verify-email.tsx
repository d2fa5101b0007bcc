import { useMutation } from '@tanstack/react-query';
import { useEffect, useRef } from 'react';
import { asApiError } from '../api/problems';
import { session } from '../api/session';
import { Link, useReloadOnNewSecret } from '../app/router';
import { AccountCard } from './account';

/** `/verify-email#TOKEN`: the link that the platform sent to an address. */
export function VerifyEmailPage() {
  const token = useRef(location.hash.slice(1));
  const verify = useMutation({ mutationFn: (value: string) => session.verifyEmail(value) });
  const { mutate } = verify;
  useReloadOnNewSecret();
  useEffect(() => {
    history.replaceState(null, '', '/verify-email');
    if (token.current) mutate(token.current);
    token.current = '';
  }, [mutate]);
  const error = verify.error ? asApiError(verify.error) : null;
  return (
    <AccountCard title="Email address" error={error} sentence={error?.message ?? null}>
      {verify.isSuccess ? (
        <p role="status">The email address is verified.</p>
      ) : verify.isPending ? (
        <div className="loading-bar" />
      ) : error ? null : (
        <p role="alert">This link is incomplete. Copy all of it.</p>
      )}
      <p className="quiet">
        <Link to="/account">Go to your account</Link>
      </p>
    </AccountCard>
  );
}
