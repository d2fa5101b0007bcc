import { useMutation, useQuery } from '@tanstack/react-query';
import { type FormEvent, useEffect, useState } from 'react';
import { asApiError } from '../api/problems';
import { createKey, deleteKey, keysQuery, queryClient } from '../api/queries';
import type { ApiKey } from '../api/types';
import { CopyButton, ErrorStrip, When } from '../ui/controls';
import { microsecondsOf } from '../ui/format';
import { Icon } from '../ui/Icon';

/** `/projects/{project}/keys`: the keys that agents send with. */
export function KeysPage({ project }: { project: string }) {
  const keys = useQuery(keysQuery(project));
  const [name, setName] = useState('');
  const refresh = () => queryClient.invalidateQueries(keysQuery(project));
  const create = useMutation({
    mutationFn: () => createKey(project, name.trim() || 'key'),
    onSuccess: () => {
      setName('');
      void refresh();
    },
  });
  useEffect(() => {
    document.title = 'API keys · AMS';
  }, []);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    create.mutate();
  };
  return (
    <div className="page">
      <div className="page-inner">
        <div className="page-head">
          <div>
            <h1>API keys</h1>
            <p className="quiet">Agents use an API key to send tasks to this project.</p>
          </div>
          <form onSubmit={submit} style={{ display: 'flex', flexWrap: 'wrap', gap: 8 }}>
            <input
              className="input"
              style={{ height: 28, width: 180 }}
              value={name}
              maxLength={100}
              onChange={(event) => setName(event.target.value)}
              placeholder="Name of the new key"
              aria-label="Name of the new key"
            />
            <button type="submit" className="button primary" disabled={create.isPending}>
              Create key
            </button>
          </form>
        </div>
        {create.data ? (
          <div className="key-made" role="status">
            <p>Copy this key now. It is not shown again.</p>
            <code>{create.data.key}</code>
            <CopyButton text={create.data.key} what="the key" label="Copy" />
          </div>
        ) : null}
        {create.error ? <ErrorStrip error={asApiError(create.error)} doing="Cannot create the key" /> : null}
        {keys.error ? (
          <ErrorStrip error={asApiError(keys.error)} doing="Cannot load the keys" onRetry={() => keys.refetch()} />
        ) : null}
        {keys.isFetching && !keys.data ? <div className="loading-bar" /> : null}
        {keys.data?.items.length === 0 ? <p className="quiet">No API keys yet.</p> : null}
        {keys.data && keys.data.items.length > 0 ? (
          // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls sideways, and keys must reach it
          <section className="table-scroll" aria-label="API keys" tabIndex={0}>
            <table className="table">
              <thead>
                <tr>
                  <th scope="col">Name</th>
                  <th scope="col">Key</th>
                  <th scope="col">Created</th>
                  <th scope="col">Last used</th>
                  <th scope="col">Expires</th>
                  <th scope="col">
                    <span className="visually-hidden">Delete</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {keys.data.items.map((key) => (
                  <KeyRow key={key.key_id} project={project} item={key} onGone={refresh} />
                ))}
              </tbody>
            </table>
          </section>
        ) : null}
      </div>
    </div>
  );
}

function KeyRow({ project, item, onGone }: { project: string; item: ApiKey; onGone: () => void }) {
  const [asking, setAsking] = useState(false);
  const remove = useMutation({ mutationFn: () => deleteKey(project, item.key_id), onSuccess: onGone });
  return (
    <tr>
      <td style={{ fontWeight: 500 }}>{item.name}</td>
      <td className="mono quiet">{item.prefix}…</td>
      <td className="quiet">
        <When us={microsecondsOf(item.created_at)} />
      </td>
      <td className="quiet">{item.last_used_at ? <When us={microsecondsOf(item.last_used_at)} /> : 'never'}</td>
      <td className="quiet">{item.expires_at ? <When us={microsecondsOf(item.expires_at)} /> : 'never'}</td>
      <td className="num">
        {remove.error ? <span className="field-error">{asApiError(remove.error).message} </span> : null}
        {asking ? (
          <>
            <button
              type="button"
              className="button small danger"
              disabled={remove.isPending}
              onClick={() => remove.mutate()}
            >
              Delete key
            </button>{' '}
            <button type="button" className="button small plain" onClick={() => setAsking(false)}>
              Cancel
            </button>
          </>
        ) : (
          <button
            type="button"
            className="button small plain square"
            aria-label={`Delete the key ${item.name}`}
            title="Delete"
            onClick={() => setAsking(true)}
          >
            <Icon name="trash" />
          </button>
        )}
      </td>
    </tr>
  );
}
