import { useQuery as useServerQuery } from '@tanstack/react-query';
import { type ReactNode, useEffect, useRef, useState } from 'react';
import { passkeysSupported } from '../api/passkeys';
import { type ApiError, asApiError } from '../api/problems';
import { formRulesQuery } from '../api/queries';
import { session } from '../api/session';
import type { FormRules, SecondFactorNeeded } from '../api/types';
import { forgetInvitation, forgetRefusedInvitation, keptInvitation } from '../app/invitation';
import { Logo } from '../app/Logo';
import { Link, navigate, useQuery } from '../app/router';
import { ProviderButtons } from '../features/factors/Providers';
import { PasskeyButton, SecondStep } from '../features/factors/SecondStep';
import { FieldForm } from '../ui/FieldForm';

type Fields = Record<string, string>;

/** Where to go after signing in: an address of this site only. */
function nextAddress(query: URLSearchParams): string {
  const next = query.get('next') ?? '/';
  return next.startsWith('/') && !next.startsWith('//') && !next.startsWith('/\\') ? next : '/';
}

export function SignIn() {
  const query = useQuery();
  const code = query.get('code');
  const next = nextAddress(query);
  const [error, setError] = useState<ApiError | null>(null);
  const [busy, setBusy] = useState(code !== null);
  const [byLink, setByLink] = useState(code !== null);
  const [needed, setNeeded] = useState<SecondFactorNeeded | null>(null);
  const redeemed = useRef<string | null>(null);
  const { data: rules } = useServerQuery(formRulesQuery);

  const enter = (answer: SecondFactorNeeded | null) => {
    if (answer === null) navigate(next, { replace: true });
    setNeeded(answer);
    setBusy(false);
  };

  useEffect(() => {
    // a code works once: not a second time when the effect runs again
    if (code === null || redeemed.current === code) return;
    redeemed.current = code;
    session
      .redeem(code)
      .then((answer) => {
        if (answer === null) navigate(next, { replace: true });
        setNeeded(answer);
        setBusy(false);
      })
      .catch((thrown: unknown) => {
        // the link was used before: a person who is signed in already continues
        session
          .refresh()
          .then((identity) => {
            if (identity.state === 'in') navigate(next, { replace: true });
            else {
              setBusy(false);
              setError(asApiError(thrown));
              navigate('/signin', { replace: true });
            }
          })
          .catch((second: unknown) => {
            setBusy(false);
            setError(asApiError(second));
          });
      });
  }, [code, next]);

  const run = async (work: () => Promise<SecondFactorNeeded | null>) => {
    setBusy(true);
    setByLink(false);
    setError(null);
    try {
      enter(await work());
    } catch (thrown) {
      setError(asApiError(thrown));
      setBusy(false);
    }
  };

  if (needed) {
    return (
      <AccountCard title="Second step" error={error} sentence={error?.message ?? null}>
        <SecondStep needed={needed} onDone={() => navigate(next, { replace: true })} onError={setError} />
        <p className="quiet">
          <button
            type="button"
            className="button plain"
            onClick={() => {
              setNeeded(null);
              setError(null);
            }}
          >
            Back to sign in
          </button>
        </p>
      </AccountCard>
    );
  }
  const providers = rules?.providers ?? [];
  const byProvider = (
    <ProviderButtons
      primary={rules?.password_login === false}
      providers={providers}
      purpose="sign-in"
      next={next}
      verb="Continue with"
    />
  );
  if (rules?.password_login === false) {
    return (
      <AccountCard title="Sign in" error={error} sentence={signInSentence(error, byLink)}>
        <div className="second-step">{byProvider}</div>
      </AccountCard>
    );
  }
  const passkeys = rules?.passkeys === true && passkeysSupported();
  return (
    <AccountCard title="Sign in" error={error} sentence={signInSentence(error, byLink)}>
      <FieldForm
        focused
        busy={busy}
        action={busy && code ? 'Signing in…' : 'Sign in'}
        onSubmit={(fields) => run(() => session.login(fields.login ?? '', fields.password ?? ''))}
        fields={[
          { name: 'login', label: 'Username or email', autoComplete: 'username' },
          { name: 'password', label: 'Password', type: 'password', autoComplete: 'current-password' },
        ]}
        errors={error?.fields ?? {}}
      />
      {passkeys || providers.length > 0 ? (
        <div className="second-step">
          <div className="sign-in-or">or</div>
          {byProvider}
          {passkeys ? (
            <PasskeyButton
              busy={busy}
              action="Use a passkey"
              onUse={() => run(() => session.loginWithPasskey().then(() => null))}
            />
          ) : null}
        </div>
      ) : null}
      {rules?.email ? (
        <p className="quiet">
          <Link to="/forgot">Forgot your password?</Link>
        </p>
      ) : null}
      <p className="quiet">
        No account? <Link to={`/register${location.search}`}>Create an account</Link>
      </p>
    </AccountCard>
  );
}

export function Register() {
  const query = useQuery();
  const { data: rules } = useServerQuery(formRulesQuery);
  const next = nextAddress(query);
  const [error, setError] = useState<ApiError | null>(null);
  const [busy, setBusy] = useState(false);
  // where anyone may register, a person sees what an invitation is for before accepting it
  const [kept] = useState(keptInvitation);
  const invitation = rules?.registration === 'invite' ? kept : null;
  const closed = rules ? closedSentence(rules, kept !== null) : null;

  const submit = async (fields: Fields) => {
    setBusy(true);
    setError(null);
    try {
      await session.register(fields.username ?? '', fields.email ?? '', fields.password ?? '', invitation ?? undefined);
      if (invitation) forgetInvitation();
      navigate(invitation ? '/' : next, { replace: true });
    } catch (thrown) {
      forgetRefusedInvitation(thrown);
      setError(asApiError(thrown));
      setBusy(false);
    }
  };

  return (
    <AccountCard
      title="Create an account"
      error={error}
      sentence={Object.keys(fieldErrors(error)).length > 0 ? null : registerSentence(error)}
    >
      {rules?.administrator_missing ? (
        <p className="quiet">
          This installation has no administrator yet. The first account becomes the administrator, unless the settings
          name an email address.
        </p>
      ) : null}
      {invitation ? <p className="quiet">With this account you join the project that invited you.</p> : null}
      {closed ? (
        <p>{closed}</p>
      ) : (
        <FieldForm
          focused
          busy={busy}
          action="Create account"
          onSubmit={submit}
          fields={[
            { name: 'username', label: 'Username', autoComplete: 'username' },
            { name: 'email', label: 'Email', type: 'email', autoComplete: 'email' },
            {
              name: 'password',
              label: 'Password',
              type: 'password',
              autoComplete: 'new-password',
              ...(rules ? { hint: `At least ${rules.password_chars_min} characters` } : {}),
            },
          ]}
          errors={fieldErrors(error)}
        />
      )}
      <p className="quiet">
        Already have an account? <Link to={`/signin${location.search}`}>Sign in</Link>
      </p>
    </AccountCard>
  );
}

/** Why nobody can register here now; null when the form applies. */
function closedSentence(rules: FormRules, invited: boolean): string | null {
  if (!rules.password_login) {
    return `People sign in to this installation with ${rules.providers.map(({ name }) => name).join(' or ')} only.`;
  }
  if (rules.administrator_missing || rules.registration === 'open') return null;
  if (rules.registration === 'closed') return 'Registration is closed on this installation. Ask its administrator.';
  if (invited) return null;
  return 'An account requires an invitation. Ask an owner of a project for a link, open it, and register from there.';
}

function signInSentence(error: ApiError | null, byLink: boolean): string | null {
  if (!error) return null;
  if (byLink && error.status >= 400 && error.status < 500) {
    return 'This sign-in link was already used or has expired. Request a new link, or sign in here.';
  }
  if (error.code === 'invalid_credentials') return 'Wrong username or password.';
  if (error.status === 429) return `Too many attempts. ${waitSentence(error)}`;
  return error.message;
}

function registerSentence(error: ApiError | null): string | null {
  if (!error) return null;
  if (error.status === 429) return `Too many attempts. ${waitSentence(error)}`;
  return error.message;
}

/** The field that an error code is about. */
const FIELD_OF_CODE: Record<string, string> = {
  username_taken: 'username',
  email_taken: 'email',
};

function fieldErrors(error: ApiError | null): Readonly<Record<string, string>> {
  if (!error) return {};
  const field = FIELD_OF_CODE[error.code];
  return field ? { [field]: error.message } : error.fields;
}

function waitSentence(error: ApiError): string {
  return error.retryAfterSeconds ? `Try again in ${error.retryAfterSeconds} s.` : 'Try again in a minute.';
}

interface CardProps {
  title: string;
  error: ApiError | null;
  sentence: string | null;
  children: ReactNode;
}

export function AccountCard({ title, error, sentence, children }: CardProps) {
  useEffect(() => {
    document.title = `${title} · AMS`;
  }, [title]);
  return (
    <main className="account">
      <div className="account-card">
        <div className="account-brand">
          <Logo size={28} />
          <span>AMS</span>
        </div>
        <h1>{title}</h1>
        {sentence ? (
          <div className="strip" role="alert">
            <p>
              {sentence}
              {error?.requestId ? <span className="meta"> {error.requestId}</span> : null}
            </p>
          </div>
        ) : null}
        {children}
      </div>
    </main>
  );
}
