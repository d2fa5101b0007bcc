import { useMutation, useQuery } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { asApiError } from '../api/problems';
import { formRulesQuery } from '../api/queries';
import { session } from '../api/session';
import { Link, useReloadOnNewSecret } from '../app/router';
import { FieldForm } from '../ui/FieldForm';
import { AccountCard } from './account';

/** `/reset#TOKEN`: a person chooses a new password by the link that the administrator made. */
export function ResetPage() {
  const [token] = useState(() => location.hash.slice(1));
  useReloadOnNewSecret();
  const { data: rules } = useQuery(formRulesQuery);
  const reset = useMutation({ mutationFn: (password: string) => session.resetPassword(token, password) });
  useEffect(() => history.replaceState(null, '', '/reset'), []);
  const error = reset.error ? asApiError(reset.error) : null;
  const fields = error?.fields ?? {};
  const sentence = error && Object.keys(fields).length === 0 ? error.message : null;
  return (
    <AccountCard title="Choose a new password" error={error} sentence={sentence}>
      {token === '' ? (
        <p role="alert">This link is incomplete. Copy all of it, or ask the administrator for a new one.</p>
      ) : reset.isSuccess ? (
        <p role="status">Your password was changed, and every session of your account has ended.</p>
      ) : (
        <FieldForm
          focused
          busy={reset.isPending}
          action="Change password"
          onSubmit={(values) => reset.mutate(values.new_password ?? '')}
          fields={[
            {
              name: 'new_password',
              label: 'New password',
              type: 'password',
              autoComplete: 'new-password',
              ...(rules ? { hint: `At least ${rules.password_chars_min} characters` } : {}),
            },
          ]}
          errors={fields}
        />
      )}
      <p className="quiet">
        <Link to="/signin">Sign in</Link>
      </p>
    </AccountCard>
  );
}
