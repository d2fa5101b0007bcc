import { useMutation, useQuery } from '@tanstack/react-query';
import { type ReactNode, useEffect } from 'react';
import {
  changeEmail,
  changePassword,
  deleteAccount,
  endOtherSessions,
  endSession,
  sendVerification,
  sessionsOfAccountQuery,
} from '../api/people';
import { asApiError } from '../api/problems';
import { formRulesQuery, queryClient } from '../api/queries';
import { session } from '../api/session';
import type { AccountSession, User } from '../api/types';
import { OuterShell } from '../app/OuterShell';
import { Providers } from '../features/factors/Providers';
import { SecondFactors } from '../features/factors/SecondFactors';
import { programOf } from '../ui/agents';
import { ErrorStrip, toast, When } from '../ui/controls';
import { type Field, FieldForm } from '../ui/FieldForm';
import { microsecondsOf } from '../ui/format';
import './own-account.css';

/** `/account`: the signed-in person's address, password, sessions, and the deletion of the account. */
export function OwnAccount({ user }: { user: User }) {
  const { data: rules } = useQuery(formRulesQuery);
  // an account that a provider made has none; the platform then asks for another proof
  const person = user.kind === 'person';
  const byPassword = user.has_password && rules?.password_login !== false;
  useEffect(() => {
    document.title = 'Account · AMS';
  }, []);
  return (
    <OuterShell>
      <div className="page">
        <div className="page-inner">
          <div className="page-head">
            <div>
              <h1>Account</h1>
              <p className="quiet">
                Signed in as <strong>{user.username}</strong>
                {person
                  ? ''
                  : '. This account has no password: it signs in by links that the operator of the installation makes.'}
              </p>
            </div>
          </div>
          <Email user={user} byPassword={byPassword} />
          {byPassword ? <Password /> : null}
          {person ? (
            <>
              <Providers />
              <SecondFactors />
            </>
          ) : null}
          <Sessions />
          {person ? <Deletion byPassword={byPassword} /> : null}
        </div>
      </div>
    </OuterShell>
  );
}

function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className="settings-section" aria-label={title}>
      <h2>{title}</h2>
      {children}
    </section>
  );
}

const CURRENT_PASSWORD: Field = {
  name: 'password',
  label: 'Current password',
  type: 'password',
  autoComplete: 'current-password',
};

function Email({ user, byPassword }: { user: User; byPassword: boolean }) {
  const { data: rules } = useQuery(formRulesQuery);
  const verify = useMutation({ mutationFn: sendVerification, onSuccess: (sent) => toast(sent.detail) });
  const change = useMutation({
    mutationFn: (fields: Record<string, string>) => changeEmail(fields.password ?? '', fields.email ?? ''),
    onSuccess: async () => {
      await session.refresh();
      toast('Email changed');
    },
  });
  const error = change.error ? asApiError(change.error) : null;
  const errors = errorsOf(error, { email_taken: 'email', wrong_password: 'password' });
  return (
    <Section title="Email">
      <p className="quiet">
        {user.email}{' '}
        {rules?.email ? <span className="faint">({user.email_verified ? 'verified' : 'not verified'})</span> : null}
      </p>
      {rules?.email && !user.email_verified ? (
        <button type="button" className="button wide" disabled={verify.isPending} onClick={() => verify.mutate()}>
          Send a link that verifies it
        </button>
      ) : null}
      {verify.error ? <ErrorStrip error={asApiError(verify.error)} doing="Cannot send a link" /> : null}
      {error && Object.keys(errors).length === 0 ? <ErrorStrip error={error} doing="Cannot change the email" /> : null}
      {user.kind === 'person' ? (
        <FieldForm
          key={user.email}
          action="Change email"
          busy={change.isPending}
          onSubmit={(fields) => change.mutate(fields)}
          fields={[
            { name: 'email', label: 'New email', type: 'email', autoComplete: 'email' },
            ...(byPassword ? [CURRENT_PASSWORD] : []),
          ]}
          errors={errors}
        />
      ) : null}
    </Section>
  );
}

function Password() {
  const { data: rules } = useQuery(formRulesQuery);
  const change = useMutation({
    mutationFn: (fields: Record<string, string>) => changePassword(fields.password ?? '', fields.new_password ?? ''),
    onSuccess: () => {
      toast('Password changed. Your other sessions have ended.');
      void queryClient.invalidateQueries(sessionsOfAccountQuery);
    },
  });
  const error = change.error ? asApiError(change.error) : null;
  return (
    <Section title="Password">
      <p className="quiet">A new password ends all other sessions.</p>
      <FieldForm
        key={change.submittedAt && change.isSuccess ? change.submittedAt : 'password'}
        action="Change password"
        busy={change.isPending}
        onSubmit={(fields) => change.mutate(fields)}
        fields={[
          CURRENT_PASSWORD,
          {
            name: 'new_password',
            label: 'New password',
            type: 'password',
            autoComplete: 'new-password',
            ...(rules ? { hint: `At least ${rules.password_chars_min} characters` } : {}),
          },
        ]}
        errors={errorsOf(error, { wrong_password: 'password' })}
      />
    </Section>
  );
}

function Sessions() {
  const sessions = useQuery(sessionsOfAccountQuery);
  const refresh = () => queryClient.invalidateQueries(sessionsOfAccountQuery);
  const endOthers = useMutation({ mutationFn: endOtherSessions, onSuccess: refresh });
  const items = sessions.data?.items ?? [];
  return (
    <Section title="Sessions">
      {sessions.error ? (
        <ErrorStrip
          error={asApiError(sessions.error)}
          doing="Cannot load the sessions"
          onRetry={() => sessions.refetch()}
        />
      ) : null}
      {endOthers.error ? <ErrorStrip error={asApiError(endOthers.error)} doing="Cannot end the sessions" /> : null}
      {items.length > 0 ? (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls sideways, and keys must reach it
        <section className="table-scroll" aria-label="Active sessions" tabIndex={0}>
          <table className="table stacked">
            <thead>
              <tr>
                <th scope="col">Program</th>
                <th scope="col">Address</th>
                <th scope="col">Signed in</th>
                <th scope="col">Last used</th>
                <th scope="col">
                  <span className="visually-hidden">End</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {items.map((item) => (
                <SessionRow key={item.session_id} item={item} onEnded={refresh} />
              ))}
            </tbody>
          </table>
        </section>
      ) : null}
      {items.length > 1 ? (
        <button type="button" className="button wide" disabled={endOthers.isPending} onClick={() => endOthers.mutate()}>
          End all other sessions
        </button>
      ) : null}
    </Section>
  );
}

function SessionRow({ item, onEnded }: { item: AccountSession; onEnded: () => void }) {
  const end = useMutation({ mutationFn: () => endSession(item.session_id), onSuccess: onEnded });
  const program = programOf(item.user_agent);
  return (
    <tr>
      <td title={item.user_agent ?? undefined}>{program}</td>
      <td className="mono quiet" data-label="Address">
        {item.address ?? 'unknown'}
      </td>
      <td className="quiet" data-label="Signed in">
        <When us={microsecondsOf(item.created_at)} />
      </td>
      <td className="quiet" data-label="Last used">
        <When us={microsecondsOf(item.last_used_at)} />
      </td>
      <td className="num">
        {end.error ? <span className="field-error">{asApiError(end.error).message} </span> : null}
        {item.current ? (
          <span className="quiet">this session</span>
        ) : (
          <button
            type="button"
            className="button small"
            disabled={end.isPending}
            aria-label={`End the session of ${program}`}
            onClick={() => end.mutate()}
          >
            End
          </button>
        )}
      </td>
    </tr>
  );
}

function Deletion({ byPassword }: { byPassword: boolean }) {
  const remove = useMutation({
    mutationFn: (fields: Record<string, string>) => deleteAccount(fields.password ?? ''),
    onSuccess: () => session.logout(),
  });
  const error = remove.error ? asApiError(remove.error) : null;
  const errors = errorsOf(error, { wrong_password: 'password' });
  return (
    <Section title="Delete account">
      <p className="quiet">
        Deletes your account, and the projects that have no other member. Your name, email and addresses are erased.
        This cannot be undone.
      </p>
      {error && Object.keys(errors).length === 0 ? (
        <ErrorStrip error={error} doing="Cannot delete the account" />
      ) : null}
      <FieldForm
        danger
        action="Delete my account"
        busy={remove.isPending}
        onSubmit={(fields) => remove.mutate(fields)}
        fields={byPassword ? [CURRENT_PASSWORD] : []}
        errors={errors}
      />
    </Section>
  );
}

/** The errors by field; an answer without fields names its field by its code, or the first one. */
function errorsOf(
  error: ReturnType<typeof asApiError> | null,
  fieldOf: Record<string, string>,
): Record<string, string> {
  if (!error) return {};
  const field = fieldOf[error.code];
  if (field) return { [field]: error.message };
  if (Object.keys(error.fields).length > 0) return { ...error.fields };
  return error.status === 429 ? { password: error.message } : {};
}
