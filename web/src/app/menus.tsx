import { useQuery } from '@tanstack/react-query';
import { useState, useSyncExternalStore } from 'react';
import { createProject, projectsQuery, queryClient } from '../api/queries';
import { session } from '../api/session';
import { Menu, toast } from '../ui/controls';
import { Icon } from '../ui/Icon';
import { Link, navigate } from './router';

/** Go to another project, or create one; `project` is the open one, if any. */
export function ProjectMenu({ project = null }: { project?: string | null }) {
  const projects = useQuery(projectsQuery);
  const items = projects.data?.items ?? [];
  const current = items.find((item) => item.project_id === project);
  const [name, setName] = useState<string | null>(null);
  const create = async (close: () => void) => {
    const wanted = name?.trim();
    if (!wanted) return;
    const made = await createProject(wanted);
    await queryClient.invalidateQueries(projectsQuery);
    setName(null);
    close();
    navigate(`/projects/${made.project_id}/tasks`);
  };
  return (
    <Menu
      name="Switch project"
      label={
        <>
          <span className="cut" style={{ maxWidth: 200 }}>
            {current?.name ?? (project === null ? 'Projects' : 'Project')}
          </span>
          <Icon name="down" />
        </>
      }
    >
      {(close) => (
        <>
          {items.map((item) => (
            <Link
              key={item.project_id}
              to={`/projects/${item.project_id}/tasks`}
              className="menu-item"
              aria-current={item.project_id === project ? 'true' : undefined}
              onClick={close}
            >
              <span className="cut" style={{ flex: 1 }}>
                {item.name}
              </span>
              <span className="faint">{item.role}</span>
            </Link>
          ))}
          <div className="menu-rule" />
          {name === null ? (
            <button type="button" className="menu-item" onClick={() => setName('')}>
              <Icon name="plus" /> New project
            </button>
          ) : (
            <form
              style={{ display: 'flex', gap: 4, padding: 4 }}
              onSubmit={(event) => {
                event.preventDefault();
                create(close).catch(() => toast('Cannot create the project. Try again.'));
              }}
            >
              <input
                className="input"
                aria-label="Name of the new project"
                placeholder="Name"
                maxLength={100}
                // biome-ignore lint/a11y/noAutofocus: it appears because the person asked for it
                autoFocus
                value={name}
                onChange={(event) => setName(event.target.value)}
              />
              <button type="submit" className="button primary" style={{ height: 32 }}>
                Create
              </button>
            </form>
          )}
        </>
      )}
    </Menu>
  );
}

/** What belongs to the signed-in person. Preferences are shown in a project. */
export function AccountMenu({ project = null }: { project?: string | null }) {
  const identity = useSyncExternalStore(session.subscribe, session.get);
  if (identity.state !== 'in') return null;
  return (
    <Menu name="Account" className="button plain square" align="end" label={<Icon name="user" />}>
      {(close) => (
        <>
          <p className="menu-note">
            Signed in as <strong>{identity.user.username}</strong>
            <br />
            {identity.user.email}
          </p>
          <div className="menu-rule" />
          <button type="button" className="menu-item" onClick={() => navigate('/account')}>
            Account
          </button>
          {project === null ? null : (
            <Link to={`/projects/${project}/preferences`} className="menu-item" onClick={close}>
              Preferences
            </Link>
          )}
          {identity.user.administrator ? (
            <Link to="/administration" className="menu-item" onClick={close}>
              Administration
            </Link>
          ) : null}
          <a href="/docs/" target="_blank" rel="noopener" className="menu-item" onClick={close}>
            Documentation
          </a>
          <button type="button" className="menu-item" onClick={() => void session.logout()}>
            Sign out
          </button>
        </>
      )}
    </Menu>
  );
}
