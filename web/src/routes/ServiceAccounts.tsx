import { useMutation } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { createServiceAccount } from '../api/administration';
import { membersQuery, removeMember } from '../api/people';
import { asApiError } from '../api/problems';
import { keysQuery, queryClient } from '../api/queries';
import type { Member } from '../api/types';
import { ErrorStrip, When } from '../ui/controls';
import { microsecondsOf } from '../ui/format';
import './own-account.css';

interface ServiceAccountsProps {
  project: string;
  services: Member[];
}

/** Members that are programs: their keys stay when the person leaves who created them. */
export function ServiceAccounts({ project, services }: ServiceAccountsProps) {
  const [name, setName] = useState('');
  const refresh = () => {
    void queryClient.invalidateQueries(membersQuery(project));
    void queryClient.invalidateQueries(keysQuery(project));
  };
  const create = useMutation({
    mutationFn: () => createServiceAccount(project, name.trim()),
    onSuccess: () => {
      setName('');
      refresh();
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (name.trim()) create.mutate();
  };
  return (
    <section className="settings-section" aria-label="Service accounts">
      <h2>Service accounts</h2>
      <p className="quiet">
        A service account is a member that is a program, such as a CI job. Its keys stay valid when the person leaves
        who created them.
      </p>
      <form className="inline" onSubmit={submit}>
        <input
          className="input"
          value={name}
          maxLength={100}
          onChange={(event) => setName(event.target.value)}
          placeholder="Name of the service account"
          aria-label="Name of the service account"
        />
        <button type="submit" className="button" disabled={create.isPending || !name.trim()}>
          Create service account
        </button>
      </form>
      {create.error ? <ErrorStrip error={asApiError(create.error)} doing="Cannot create the service account" /> : null}
      {services.length > 0 ? (
        <table className="table">
          <thead>
            <tr>
              <th scope="col">Name</th>
              <th scope="col">Created</th>
              <th scope="col">
                <span className="visually-hidden">Remove</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {services.map((item) => (
              <ServiceAccountRow key={item.user_id} project={project} item={item} onGone={refresh} />
            ))}
          </tbody>
        </table>
      ) : null}
    </section>
  );
}

function ServiceAccountRow({ project, item, onGone }: { project: string; item: Member; onGone: () => void }) {
  const [asking, setAsking] = useState(false);
  const remove = useMutation({ mutationFn: () => removeMember(project, item.user_id), onSuccess: onGone });
  return (
    <tr>
      <td className="key-name">{item.username}</td>
      <td className="quiet">
        <When us={microsecondsOf(item.created_at)} />
      </td>
      <td className="num">
        {remove.error ? <span className="field-error">{asApiError(remove.error).message} </span> : null}
        {asking ? (
          <span className="key-actions">
            <span className="quiet">Its keys end at once.</span>
            <button
              type="button"
              className="button small danger"
              disabled={remove.isPending}
              onClick={() => remove.mutate()}
            >
              Remove
            </button>
            <button type="button" className="button small plain" onClick={() => setAsking(false)}>
              Cancel
            </button>
          </span>
        ) : (
          <button
            type="button"
            className="button small"
            aria-label={`Remove ${item.username}`}
            onClick={() => setAsking(true)}
          >
            Remove
          </button>
        )}
      </td>
    </tr>
  );
}
