import { useMutation, useQuery } from '@tanstack/react-query';
import { type FormEvent, useEffect, useState } from 'react';
import { changeProject, deleteProject, type ProjectChanges } from '../api/administration';
import { asApiError } from '../api/problems';
import { projectsQuery, queryClient } from '../api/queries';
import type { Project } from '../api/types';
import { Link, navigate } from '../app/router';
import { ErrorStrip, toast } from '../ui/controls';
import { parseLimit } from '../ui/limits';
import { SettingsSection } from './SettingsSection';
import { UsageSection } from './UsageSection';
import './own-account.css';
import './settings.css';

/** `/projects/{project}/settings`: name, usage and quota, retention, masking, the way to the other settings, and the deletion of the project. */
export function SettingsPage({ project }: { project: string }) {
  const projects = useQuery(projectsQuery);
  const item = projects.data?.items.find((one) => one.project_id === project);
  useEffect(() => {
    document.title = 'Settings · AMS';
  }, []);
  if (!item) return <div className="loading-bar" />;
  const owner = item.role === 'owner';
  return (
    <div className="page">
      <div className="page-inner">
        <div className="page-head">
          <div>
            <h1>Settings</h1>
            <p className="quiet">{owner ? 'Of this project.' : 'An owner of the project can change them.'}</p>
          </div>
          <nav className="settings-links" aria-label="Other settings">
            <Link className="button" to={`/projects/${project}/people`}>
              Members and invitations
            </Link>
            <Link className="button" to={`/projects/${project}/keys`}>
              API keys
            </Link>
            {item.role === 'viewer' ? null : (
              <Link className="button" to={`/projects/${project}/links`}>
                Public links
              </Link>
            )}
            {owner ? (
              <Link className="button" to={`/projects/${project}/audit`}>
                Audit log
              </Link>
            ) : null}
          </nav>
        </div>
        <General item={item} owner={owner} />
        <UsageSection project={project} owner={owner} />
        <Retention key={item.retention_days} item={item} owner={owner} />
        <Masking item={item} owner={owner} />
        {owner ? <DangerZone item={item} /> : null}
      </div>
    </div>
  );
}

function useChange(project: string, done: string) {
  return useMutation({
    mutationFn: (body: ProjectChanges) => changeProject(project, body),
    onSuccess: async () => {
      await queryClient.invalidateQueries(projectsQuery);
      toast(done);
    },
  });
}

function General({ item, owner }: { item: Project; owner: boolean }) {
  const [name, setName] = useState(item.name);
  const change = useChange(item.project_id, 'Name changed');
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (name.trim()) change.mutate({ name: name.trim() });
  };
  return (
    <SettingsSection title="General">
      <form className="inline" onSubmit={submit}>
        <input
          className="input"
          aria-label="Name of the project"
          value={name}
          maxLength={100}
          disabled={!owner}
          onChange={(event) => setName(event.target.value)}
        />
        {owner ? (
          <button
            type="submit"
            className="button"
            disabled={change.isPending || !name.trim() || name.trim() === item.name}
          >
            Rename
          </button>
        ) : null}
      </form>
      <p className="quiet">
        Id <code className="mono">{item.project_id}</code>
      </p>
      {change.error ? <ErrorStrip error={asApiError(change.error)} doing="Cannot rename the project" /> : null}
    </SettingsSection>
  );
}

function Retention({ item, owner }: { item: Project; owner: boolean }) {
  const [text, setText] = useState(item.retention_days === null ? '' : String(item.retention_days));
  const change = useChange(item.project_id, 'Retention changed');
  const days = parseLimit(text);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (days !== undefined) change.mutate({ retention_days: days });
  };
  return (
    <SettingsSection title="Retention">
      <p className="quiet">
        Tasks are deleted after this many days (UTC), at most {item.retention_days_max}. Leave it empty for the maximum.
      </p>
      <form className="inline" onSubmit={submit}>
        <input
          className="input limit"
          inputMode="numeric"
          aria-label="Days that tasks are kept"
          aria-invalid={days === undefined}
          placeholder={String(item.retention_days_max)}
          value={text}
          disabled={!owner}
          onChange={(event) => setText(event.target.value)}
        />
        {owner ? (
          <button type="submit" className="button" disabled={change.isPending || days === undefined}>
            Save retention
          </button>
        ) : null}
      </form>
      {change.error ? <ErrorStrip error={asApiError(change.error)} doing="Cannot change the retention" /> : null}
    </SettingsSection>
  );
}

function Masking({ item, owner }: { item: Project; owner: boolean }) {
  const change = useChange(item.project_id, 'Masking changed');
  return (
    <SettingsSection title="Masking">
      <label className="setting-switch">
        <input
          type="checkbox"
          checked={change.isPending ? change.variables.masking : item.masking}
          disabled={!owner || change.isPending}
          onChange={(event) => change.mutate({ masking: event.target.checked })}
        />
        <span>
          Mask secrets that the sender did not mask
          <small className="quiet">
            API keys, tokens, private keys and card numbers are replaced before a step is stored. A change takes effect
            within 30 seconds; steps that are stored stay as they are.
          </small>
        </span>
      </label>
      {change.error ? <ErrorStrip error={asApiError(change.error)} doing="Cannot change masking" /> : null}
    </SettingsSection>
  );
}

function DangerZone({ item }: { item: Project }) {
  const [typed, setTyped] = useState('');
  const remove = useMutation({
    mutationFn: () => deleteProject(item.project_id),
    onSuccess: async () => {
      await queryClient.invalidateQueries(projectsQuery);
      navigate('/');
      toast('Project deleted');
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (typed === item.name) remove.mutate();
  };
  return (
    <SettingsSection title="Delete this project">
      <p className="quiet">
        Its tasks, keys, views and members are deleted. This cannot be undone. Type <strong>{item.name}</strong> to
        confirm.
      </p>
      <form className="inline" onSubmit={submit}>
        <input
          className="input"
          aria-label="Name of the project to delete"
          value={typed}
          autoComplete="off"
          onChange={(event) => setTyped(event.target.value)}
        />
        <button type="submit" className="button danger" disabled={remove.isPending || typed !== item.name}>
          Delete project
        </button>
      </form>
      {remove.error ? <ErrorStrip error={asApiError(remove.error)} doing="Cannot delete the project" /> : null}
    </SettingsSection>
  );
}
