import { useMutation, useQuery } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { rotateKey } from '../api/administration';
import { membersQuery } from '../api/people';
import { asApiError } from '../api/problems';
import { deleteKey, keysQuery, projectsQuery, queryClient } from '../api/queries';
import type { ApiKey, NewApiKey } from '../api/types';
import { CopyButton, ErrorStrip, When } from '../ui/controls';
import { microsecondsOf } from '../ui/format';
import { Icon } from '../ui/Icon';
import { NewKeyForm } from './NewKeyForm';
import { ServiceAccounts } from './ServiceAccounts';
import './keys.css';

/** `/projects/{project}/keys`: the keys that agents and programs use, and the service accounts that keys may belong to. */
export function KeysPage({ project }: { project: string }) {
  const keys = useQuery(keysQuery(project));
  const members = useQuery(membersQuery(project));
  const projects = useQuery(projectsQuery);
  const [made, setMade] = useState<NewApiKey | null>(null);
  const owner = projects.data?.items.find((item) => item.project_id === project)?.role === 'owner';
  const names = new Map(members.data?.items.map((item) => [item.user_id, item]));
  const services = members.data?.items.filter((item) => item.kind === 'service') ?? [];
  const refresh = () => queryClient.invalidateQueries(keysQuery(project));
  const created = (key: NewApiKey) => {
    setMade(key);
    void refresh();
  };
  useEffect(() => {
    document.title = 'API keys · AMS';
  }, []);
  return (
    <div className="page">
      <div className="page-inner">
        <div className="page-head">
          <div>
            <h1>API keys</h1>
            <p className="quiet">Agents send tasks with an API key. Programs read tasks with one.</p>
          </div>
        </div>
        <NewKeyForm project={project} services={services} onCreated={created} />
        {made ? (
          <div className="key-made" role="status">
            <p>Copy the key {made.name} now. It is not shown again.</p>
            <code>{made.key}</code>
            <CopyButton text={made.key} what="the key" label="Copy" />
          </div>
        ) : null}
        {keys.error ? (
          <ErrorStrip error={asApiError(keys.error)} doing="Cannot load the keys" onRetry={() => keys.refetch()} />
        ) : null}
        {keys.isFetching && !keys.data ? <div className="loading-bar" /> : null}
        {keys.data?.items.length === 0 ? <p className="quiet">No API keys yet.</p> : null}
        {keys.data && keys.data.items.length > 0 ? (
          // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls sideways, and keys must reach it
          <section className="table-scroll" aria-label="API keys" tabIndex={0}>
            <table className="table stacked">
              <thead>
                <tr>
                  <th scope="col">Name</th>
                  <th scope="col">Key</th>
                  <th scope="col">Scopes</th>
                  <th scope="col">Owner</th>
                  <th scope="col">Last used</th>
                  <th scope="col">Expires</th>
                  <th scope="col">
                    <span className="visually-hidden">Actions</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {keys.data.items.map((key) => (
                  <KeyRow
                    key={key.key_id}
                    project={project}
                    item={key}
                    owner={key.owner ? (names.get(key.owner)?.username ?? 'a former member') : 'the operator'}
                    onGone={refresh}
                    onRotated={created}
                  />
                ))}
              </tbody>
            </table>
          </section>
        ) : null}
        {owner ? <ServiceAccounts project={project} services={services} /> : null}
      </div>
    </div>
  );
}

interface KeyRowProps {
  project: string;
  item: ApiKey;
  owner: string;
  onGone: () => void;
  onRotated: (key: NewApiKey) => void;
}

function KeyRow({ project, item, owner, onGone, onRotated }: KeyRowProps) {
  return (
    <tr>
      <td>
        <span className="key-name">{item.name}</span>
        {item.addresses ? <small className="quiet key-note">only from {item.addresses.join(', ')}</small> : null}
        {item.replaced_by ? <small className="quiet key-note">replaced; ends soon</small> : null}
      </td>
      <td className="mono quiet" data-label="Key">
        {item.prefix}…
      </td>
      <td className="quiet" data-label="Scopes">
        {item.scopes.join(', ')}
      </td>
      <td className="quiet" data-label="Owner">
        {owner}
      </td>
      <td className="quiet" data-label="Last used">
        {item.last_used_at ? <When us={microsecondsOf(item.last_used_at)} /> : 'never'}
        {item.last_used_address || item.last_used_program ? (
          <small className="key-note">
            {[item.last_used_address, item.last_used_program].filter(Boolean).join(', ')}
          </small>
        ) : null}
      </td>
      <td className="quiet" data-label="Expires">
        {item.expires_at ? <When us={microsecondsOf(item.expires_at)} /> : 'never'}
      </td>
      <td className="num">
        <KeyActions project={project} item={item} onGone={onGone} onRotated={onRotated} />
      </td>
    </tr>
  );
}

function KeyActions({ project, item, onGone, onRotated }: Omit<KeyRowProps, 'owner'>) {
  const [asking, setAsking] = useState<'delete' | 'rotate' | null>(null);
  const remove = useMutation({ mutationFn: () => deleteKey(project, item.key_id), onSuccess: onGone });
  const rotate = useMutation({
    mutationFn: () => rotateKey(project, item.key_id),
    onSuccess: (key) => {
      setAsking(null);
      onRotated(key);
    },
  });
  const error = remove.error ?? rotate.error;
  const busy = remove.isPending || rotate.isPending;
  return (
    <span className="key-actions">
      {error ? <span className="field-error">{asApiError(error).message}</span> : null}
      {asking ? (
        <>
          {asking === 'rotate' ? <span className="quiet">The old key stays valid for 24 hours.</span> : null}
          <button
            type="button"
            className={`button small ${asking === 'delete' ? 'danger' : 'primary'}`}
            disabled={busy}
            onClick={() => (asking === 'delete' ? remove.mutate() : rotate.mutate())}
          >
            {asking === 'delete' ? 'Delete key' : 'Create new key'}
          </button>
          <button type="button" className="button small plain" onClick={() => setAsking(null)}>
            Cancel
          </button>
        </>
      ) : (
        <>
          {item.replaced_by ? null : (
            <button
              type="button"
              className="button small plain"
              aria-label={`Rotate the key ${item.name}`}
              onClick={() => setAsking('rotate')}
            >
              Rotate
            </button>
          )}
          <button
            type="button"
            className="button small plain square"
            aria-label={`Delete the key ${item.name}`}
            title="Delete"
            onClick={() => setAsking('delete')}
          >
            <Icon name="trash" />
          </button>
        </>
      )}
    </span>
  );
}
