import { useMutation, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { passkeysSupported } from '../../api/passkeys';
import {
  addPasskey,
  factorsQuery,
  newRecoveryCodes,
  removeApp,
  removePasskey,
  renamePasskey,
  sessionsOfAccountQuery,
} from '../../api/people';
import { asApiError } from '../../api/problems';
import { queryClient } from '../../api/queries';
import { session } from '../../api/session';
import type { FactorList, PasskeyView } from '../../api/types';
import { ErrorStrip, toast, When } from '../../ui/controls';
import { FieldForm } from '../../ui/FieldForm';
import { microsecondsOf, plural } from '../../ui/format';
import { AppEnrolment } from './AppEnrolment';
import { RecoveryCodes } from './RecoveryCodes';
import './factors.css';

/** A changed factor also changes the person and, for the first one, ends other sessions. */
async function refreshAll(): Promise<void> {
  await Promise.all([
    session.refresh(),
    queryClient.invalidateQueries(factorsQuery),
    queryClient.invalidateQueries(sessionsOfAccountQuery),
  ]);
}

/** The sections of the account page on second factors: authenticator app, passkeys, recovery codes. */
export function SecondFactors() {
  const factors = useQuery(factorsQuery);
  // of the first factor, or of a new set: shown until the person leaves the page
  const [codes, setCodes] = useState<string[]>([]);
  const keep = (made: string[]) => {
    if (made.length > 0) setCodes(made);
    void refreshAll();
  };
  return (
    <section className="settings-section" aria-label="Two-step verification">
      <h2>Two-step verification</h2>
      <p className="quiet">
        With an authenticator app or a passkey, a stolen password does not open your account. The first one ends your
        other sessions.
      </p>
      {factors.error ? (
        <ErrorStrip
          error={asApiError(factors.error)}
          doing="Cannot load the factors"
          onRetry={() => factors.refetch()}
        />
      ) : null}
      {codes.length > 0 ? <RecoveryCodes codes={codes} onClose={() => setCodes([])} /> : null}
      {factors.data ? (
        <>
          <App factors={factors.data} onAdded={keep} />
          <Passkeys factors={factors.data} onAdded={keep} />
          <Codes factors={factors.data} onMade={keep} />
        </>
      ) : null}
    </section>
  );
}

function App({ factors, onAdded }: { factors: FactorList; onAdded: (codes: string[]) => void }) {
  const [adding, setAdding] = useState(false);
  const remove = useMutation({ mutationFn: removeApp, onSuccess: refreshAll });
  return (
    <div className="factor-group">
      <h3>Authenticator app</h3>
      {remove.error ? <ErrorStrip error={asApiError(remove.error)} doing="Cannot remove the app" /> : null}
      {factors.app_since ? (
        <>
          <p className="quiet">
            Added <When us={microsecondsOf(factors.app_since)} />. Signing in asks for its code.
          </p>
          <button type="button" className="button wide" disabled={remove.isPending} onClick={() => remove.mutate()}>
            Remove the app
          </button>
        </>
      ) : adding ? (
        <AppEnrolment
          onAdded={(codes) => {
            setAdding(false);
            onAdded(codes);
            toast('Authenticator app added');
          }}
          onCancel={() => setAdding(false)}
        />
      ) : (
        <button type="button" className="button wide" onClick={() => setAdding(true)}>
          Add an authenticator app
        </button>
      )}
    </div>
  );
}

function Passkeys({ factors, onAdded }: { factors: FactorList; onAdded: (codes: string[]) => void }) {
  const [adding, setAdding] = useState(false);
  const add = useMutation({
    mutationFn: (fields: Record<string, string>) => addPasskey((fields.name ?? '').trim()),
    onSuccess: (added) => {
      setAdding(false);
      onAdded(added.recovery_codes);
      toast('Passkey added');
    },
  });
  const possible = factors.passkeys_possible && passkeysSupported();
  return (
    <div className="factor-group">
      <h3>Passkeys</h3>
      <p className="quiet">
        {possible
          ? 'A passkey signs you in without name and password, by the lock of this device or by a security key.'
          : factors.passkeys_possible
            ? 'This browser does not support passkeys.'
            : 'Passkeys require an https address with a host name, or localhost.'}
      </p>
      {factors.passkeys.length > 0 ? <PasskeyTable items={factors.passkeys} /> : null}
      {!possible ? null : adding ? (
        <FieldForm
          focused
          busy={add.isPending}
          action="Add passkey"
          fields={[{ name: 'name', label: 'Name of the passkey', autoComplete: 'off', hint: 'Such as Laptop' }]}
          onSubmit={(fields) => add.mutate(fields)}
          errors={add.error ? { name: asApiError(add.error).message } : {}}
        />
      ) : (
        <button type="button" className="button wide" onClick={() => setAdding(true)}>
          Add a passkey
        </button>
      )}
    </div>
  );
}

function PasskeyTable({ items }: { items: PasskeyView[] }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls sideways, and keys must reach it
    <section className="table-scroll" aria-label="Passkeys" tabIndex={0}>
      <table className="table">
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">Added</th>
            <th scope="col">Last used</th>
            <th scope="col">
              <span className="visually-hidden">Change</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {items.map((item) => (
            <PasskeyRow key={item.passkey_id} item={item} />
          ))}
        </tbody>
      </table>
    </section>
  );
}

function PasskeyRow({ item }: { item: PasskeyView }) {
  const [renaming, setRenaming] = useState(false);
  const remove = useMutation({ mutationFn: () => removePasskey(item.passkey_id), onSuccess: refreshAll });
  const rename = useMutation({
    mutationFn: (name: string) => renamePasskey(item.passkey_id, name.trim()),
    onSuccess: async () => {
      await queryClient.invalidateQueries(factorsQuery);
      setRenaming(false);
    },
  });
  const error = remove.error ?? rename.error;
  return (
    <tr>
      <td>
        {renaming ? (
          <form
            className="inline"
            onSubmit={(event) => {
              event.preventDefault();
              rename.mutate(String(new FormData(event.currentTarget).get('name') ?? ''));
            }}
          >
            <input
              className="input"
              name="name"
              aria-label={`New name of ${item.name}`}
              defaultValue={item.name}
              maxLength={100}
              // biome-ignore lint/a11y/noAutofocus: the person has just asked for this field
              autoFocus
            />
            <button type="submit" className="button small" disabled={rename.isPending}>
              Save
            </button>
          </form>
        ) : (
          item.name
        )}
      </td>
      <td className="quiet">
        <When us={microsecondsOf(item.created_at)} />
      </td>
      <td className="quiet">{item.last_used_at ? <When us={microsecondsOf(item.last_used_at)} /> : 'never'}</td>
      <td className="num">
        {error ? <span className="field-error">{asApiError(error).message} </span> : null}
        <span className="factor-buttons">
          <button
            type="button"
            className="button small"
            aria-label={`Rename ${item.name}`}
            onClick={() => setRenaming(!renaming)}
          >
            {renaming ? 'Cancel' : 'Rename'}
          </button>
          <button
            type="button"
            className="button small"
            disabled={remove.isPending}
            aria-label={`Remove ${item.name}`}
            onClick={() => remove.mutate()}
          >
            Remove
          </button>
        </span>
      </td>
    </tr>
  );
}

function Codes({ factors, onMade }: { factors: FactorList; onMade: (codes: string[]) => void }) {
  const make = useMutation({ mutationFn: newRecoveryCodes, onSuccess: (made) => onMade(made.codes) });
  if (!factors.app_since && factors.passkeys.length === 0) return null;
  const left = factors.recovery_codes_left;
  return (
    <div className="factor-group">
      <h3>Recovery codes</h3>
      <p className="quiet">
        {left === 0 ? 'No recovery code is left.' : `${plural(left, 'code')} left.`} Each signs you in once when you
        have lost the others. New codes replace the old ones.
      </p>
      {make.error ? <ErrorStrip error={asApiError(make.error)} doing="Cannot make codes" /> : null}
      <button type="button" className="button wide" disabled={make.isPending} onClick={() => make.mutate()}>
        Make new recovery codes
      </button>
    </div>
  );
}
