import { useInfiniteQuery, useMutation } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { accountsQuery, createResetLink, setAdministrator, setDisabled } from '../api/administration';
import { asApiError } from '../api/problems';
import { queryClient } from '../api/queries';
import type { User } from '../api/types';
import type { Account } from '../api/types.gen';
import { OuterShell } from '../app/OuterShell';
import { CopyButton, ErrorStrip, toast, When } from '../ui/controls';
import { microsecondsOf } from '../ui/format';
import { ManagedProjects } from './ManagedProjects';
import './keys.css';
import './own-account.css';
import './settings.css';

/** `/administration`: the accounts and projects of the installation, for its administrator. */
export function Administration({ user }: { user: User }) {
  useEffect(() => {
    document.title = 'Administration · AMS';
  }, []);
  return (
    <OuterShell>
      <div className="page">
        <div className="page-inner">
          <div className="page-head">
            <div>
              <h1>Administration</h1>
              <p className="quiet">
                {user.administrator
                  ? 'Accounts and projects of this installation. It gives no access to tasks.'
                  : 'Only an administrator of this installation can use this page.'}
              </p>
            </div>
          </div>
          {user.administrator ? (
            <>
              <Accounts me={user.user_id} />
              <ManagedProjects />
            </>
          ) : null}
        </div>
      </div>
    </OuterShell>
  );
}

function Accounts({ me }: { me: string }) {
  const accounts = useInfiniteQuery(accountsQuery);
  const [made, setMade] = useState<{ name: string; link: string } | null>(null);
  const items = accounts.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <section className="settings-section" aria-label="Accounts">
      <h2>Accounts</h2>
      {accounts.error ? (
        <ErrorStrip
          error={asApiError(accounts.error)}
          doing="Cannot load the accounts"
          onRetry={() => accounts.refetch()}
        />
      ) : null}
      {made ? (
        <div className="key-made" role="status">
          <p>Send this link to {made.name}. It replaces the password once, for 24 hours, and is not shown again.</p>
          <code>{made.link}</code>
          <CopyButton text={made.link} what="the link" label="Copy" />
        </div>
      ) : null}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls sideways, and keys must reach it */}
      <section className="table-scroll" aria-label="List of accounts" tabIndex={0}>
        <table className="table">
          <thead>
            <tr>
              <th scope="col">Username</th>
              <th scope="col">Email</th>
              <th scope="col">Kind</th>
              <th scope="col">Created</th>
              <th scope="col">State</th>
              <th scope="col">
                <span className="visually-hidden">Actions</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {items.map((item) => (
              <AccountRow key={item.user_id} item={item} mine={item.user_id === me} onLink={setMade} />
            ))}
          </tbody>
        </table>
      </section>
      {accounts.hasNextPage ? (
        <button
          type="button"
          className="button wide"
          disabled={accounts.isFetchingNextPage}
          onClick={() => void accounts.fetchNextPage()}
        >
          Show more accounts
        </button>
      ) : null}
    </section>
  );
}

interface AccountRowProps {
  item: Account;
  mine: boolean;
  onLink: (made: { name: string; link: string }) => void;
}

function AccountRow({ item, mine, onLink }: AccountRowProps) {
  const refresh = () => queryClient.invalidateQueries(accountsQuery);
  const disable = useMutation({
    mutationFn: () => setDisabled(item.user_id, item.disabled_at === null),
    onSuccess: refresh,
  });
  const promote = useMutation({
    mutationFn: () => setAdministrator(item.user_id, !item.administrator),
    onSuccess: async () => {
      await refresh();
      toast(item.administrator ? `${item.username} no longer administers` : `${item.username} administers now`);
    },
  });
  const reset = useMutation({
    mutationFn: () => createResetLink(item.user_id),
    onSuccess: (link) => onLink({ name: item.username, link: link.link }),
  });
  const error = disable.error ?? promote.error ?? reset.error;
  const busy = disable.isPending || promote.isPending || reset.isPending;
  const active = item.disabled_at === null;
  const person = item.kind === 'person';
  return (
    <tr>
      <td className="key-name">
        {item.username} {mine ? <span className="quiet">(you)</span> : null}
      </td>
      <td className="quiet">{person ? item.email : ''}</td>
      <td className="quiet">{person ? (item.administrator ? 'administrator' : 'person') : item.kind}</td>
      <td className="quiet">
        <When us={microsecondsOf(item.created_at)} />
      </td>
      <td className="quiet">{active ? 'active' : 'disabled'}</td>
      <td className="num">
        <span className="key-actions">
          {error ? <span className="field-error">{asApiError(error).message}</span> : null}
          {person && active ? (
            <button type="button" className="button small" disabled={busy} onClick={() => reset.mutate()}>
              Reset link
            </button>
          ) : null}
          {person && active && !mine ? (
            <button type="button" className="button small" disabled={busy} onClick={() => promote.mutate()}>
              {item.administrator ? 'Remove as administrator' : 'Make administrator'}
            </button>
          ) : null}
          {mine ? null : (
            <button
              type="button"
              className={`button small ${active ? 'danger' : ''}`}
              disabled={busy}
              onClick={() => disable.mutate()}
            >
              {active ? 'Disable' : 'Enable'}
            </button>
          )}
        </span>
      </td>
    </tr>
  );
}
