import { useMutation } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { newKey } from '../api/administration';
import { asApiError } from '../api/problems';
import type { Member, NewApiKey } from '../api/types';
import { ErrorStrip } from '../ui/controls';

const DAY_MS = 86_400_000;
const LIVES: readonly [string, string][] = [
  ['', 'Does not expire'],
  ['30', 'Expires in 30 days'],
  ['90', 'Expires in 90 days'],
  ['365', 'Expires in a year'],
];
const SCOPES = {
  ingest: ['ingest'],
  read: ['read'],
  both: ['ingest', 'read'],
} as const;
type Scopes = keyof typeof SCOPES;

interface NewKeyFormProps {
  project: string;
  services: Member[];
  onCreated: (key: NewApiKey) => void;
}

/** Name, scope, expiry, owner and addresses of a new key; the defaults make the key of an agent. */
export function NewKeyForm({ project, services, onCreated }: NewKeyFormProps) {
  const [name, setName] = useState('');
  const [scopes, setScopes] = useState<Scopes>('ingest');
  const [days, setDays] = useState('');
  const [service, setService] = useState('');
  const [addresses, setAddresses] = useState('');
  const create = useMutation({
    mutationFn: () => {
      const networks = addresses.split(/[\s,]+/).filter(Boolean);
      return newKey(project, {
        name: name.trim() || 'key',
        scopes: [...SCOPES[scopes]],
        expires_at: days ? new Date(Date.now() + Number(days) * DAY_MS).toISOString() : null,
        addresses: networks.length > 0 ? networks : null,
        service_account: service || null,
      });
    },
    onSuccess: (key) => {
      setName('');
      setAddresses('');
      onCreated(key);
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    create.mutate();
  };
  return (
    <form className="new-key" onSubmit={submit} aria-label="New API key">
      <input
        className="input"
        value={name}
        maxLength={100}
        onChange={(event) => setName(event.target.value)}
        placeholder="Name of the new key"
        aria-label="Name of the new key"
      />
      <select
        className="input"
        aria-label="Scope"
        value={scopes}
        onChange={(event) => setScopes(event.target.value as Scopes)}
      >
        <option value="ingest">Sends tasks</option>
        <option value="read">Reads tasks</option>
        <option value="both">Sends and reads tasks</option>
      </select>
      <select className="input" aria-label="Expiry" value={days} onChange={(event) => setDays(event.target.value)}>
        {LIVES.map(([value, label]) => (
          <option key={value} value={value}>
            {label}
          </option>
        ))}
      </select>
      {services.length > 0 ? (
        <select
          className="input"
          aria-label="Owner of the key"
          value={service}
          onChange={(event) => setService(event.target.value)}
        >
          <option value="">Belongs to me</option>
          {services.map((item) => (
            <option key={item.user_id} value={item.user_id}>
              Belongs to {item.username}
            </option>
          ))}
        </select>
      ) : null}
      <input
        className="input"
        value={addresses}
        onChange={(event) => setAddresses(event.target.value)}
        placeholder="Only from, such as 10.0.0.0/8"
        aria-label="Addresses or networks from which the key may be used, empty for all"
      />
      <button type="submit" className="button primary" disabled={create.isPending}>
        Create key
      </button>
      {create.error ? <ErrorStrip error={asApiError(create.error)} doing="Cannot create the key" /> : null}
    </form>
  );
}
