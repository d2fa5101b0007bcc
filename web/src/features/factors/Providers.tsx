import { useMutation, useQuery } from '@tanstack/react-query';
import { asApiError } from '../../api/problems';
import { identitiesQuery, leaveFor, type Purpose, unlinkIdentity } from '../../api/providers';
import { formRulesQuery, queryClient } from '../../api/queries';
import type { IdentityView, ProviderName } from '../../api/types';
import { ErrorStrip, toast, When } from '../../ui/controls';
import { microsecondsOf } from '../../ui/format';
import './factors.css';

interface ProviderButtonsProps {
  providers: readonly ProviderName[];
  purpose: Purpose;
  /** where the person continues */
  next: string;
  /** Before the name of the provider. */
  verb: string;
  primary?: boolean;
}

/** A button for each provider, which leads to it. */
export function ProviderButtons({ providers, purpose, next, verb, primary = false }: ProviderButtonsProps) {
  const leave = useMutation({ mutationFn: (provider: string) => leaveFor(provider, { purpose, next }) });
  // until the browser has left, the buttons stay disabled
  const busy = leave.isPending || leave.isSuccess;
  return (
    <>
      {leave.error ? <ErrorStrip error={asApiError(leave.error)} doing="Cannot reach the provider" /> : null}
      {providers.map(({ id, name }) => (
        <button
          key={id}
          type="button"
          className={primary ? 'button primary wide' : 'button wide'}
          disabled={busy}
          onClick={() => leave.mutate(id)}
        >
          {verb} {name}
        </button>
      ))}
    </>
  );
}

/** The section of the account page on providers by which the account can be entered. */
export function Providers() {
  const { data: rules } = useQuery(formRulesQuery);
  const identities = useQuery(identitiesQuery);
  const linked = identities.data?.items ?? [];
  if (!rules || (rules.providers.length === 0 && linked.length === 0)) return null;
  const others = rules.providers.filter(({ id }) => !linked.some((item) => item.provider === id));
  return (
    <section className="settings-section" aria-label="Sign-in providers">
      <h2>Sign-in providers</h2>
      <p className="quiet">Sign in to this account with a provider that you have linked.</p>
      {identities.error ? (
        <ErrorStrip
          error={asApiError(identities.error)}
          doing="Cannot load the providers"
          onRetry={() => identities.refetch()}
        />
      ) : null}
      {linked.length > 0 ? (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls sideways, and keys must reach it
        <section className="table-scroll" aria-label="Linked providers" tabIndex={0}>
          <table className="table">
            <thead>
              <tr>
                <th scope="col">Provider</th>
                <th scope="col">Address there</th>
                <th scope="col">Linked</th>
                <th scope="col">Last used</th>
                <th scope="col">
                  <span className="visually-hidden">Change</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {linked.map((item) => (
                <IdentityRow key={item.identity_id} item={item} />
              ))}
            </tbody>
          </table>
        </section>
      ) : null}
      {identities.data ? <ProviderButtons providers={others} purpose="link" next="/account" verb="Link" /> : null}
    </section>
  );
}

function IdentityRow({ item }: { item: IdentityView }) {
  const unlink = useMutation({
    mutationFn: () => unlinkIdentity(item.identity_id),
    onSuccess: async () => {
      await queryClient.invalidateQueries(identitiesQuery);
      toast(`${item.name} unlinked`);
    },
  });
  return (
    <tr>
      <td>{item.name}</td>
      <td className="quiet">{item.email ?? 'unknown'}</td>
      <td className="quiet">
        <When us={microsecondsOf(item.created_at)} />
      </td>
      <td className="quiet">
        <When us={microsecondsOf(item.last_used_at)} />
      </td>
      <td className="num">
        {unlink.error ? <span className="field-error">{asApiError(unlink.error).message} </span> : null}
        <button
          type="button"
          className="button small"
          disabled={unlink.isPending}
          aria-label={`Unlink ${item.name}`}
          onClick={() => unlink.mutate()}
        >
          Unlink
        </button>
      </td>
    </tr>
  );
}
