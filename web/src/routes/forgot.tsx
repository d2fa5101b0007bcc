import { useMutation } from '@tanstack/react-query';
import { asApiError } from '../api/problems';
import { session } from '../api/session';
import { Link } from '../app/router';
import { FieldForm } from '../ui/FieldForm';
import { AccountCard } from './account';

/** `/forgot`: a person who forgot the password asks for a link by email. */
export function ForgotPage() {
  const ask = useMutation({ mutationFn: (login: string) => session.requestReset(login) });
  const error = ask.error ? asApiError(ask.error) : null;
  return (
    <AccountCard title="Forgot your password?" error={error} sentence={error?.message ?? null}>
      {ask.data ? (
        <p role="status">{ask.data.detail}</p>
      ) : (
        <FieldForm
          focused
          busy={ask.isPending}
          action="Send a link"
          onSubmit={(values) => ask.mutate(values.login ?? '')}
          fields={[{ name: 'login', label: 'Username or email', autoComplete: 'username' }]}
          errors={{}}
        />
      )}
      <p className="quiet">
        <Link to="/signin">Sign in</Link>
      </p>
    </AccountCard>
  );
}
