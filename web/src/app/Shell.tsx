import { useQuery } from '@tanstack/react-query';
import { lazy, type ReactNode, Suspense, useEffect, useRef, useState, useSyncExternalStore } from 'react';
import { createProject, projectsQuery, queryClient } from '../api/queries';
import { session } from '../api/session';
import { countText, useDeadLetters } from '../features/dead-letters/dead-letters';
import { Menu, toast } from '../ui/controls';
import { zoneId, zoneName } from '../ui/format';
import { Icon } from '../ui/Icon';
import { Help } from './Help';
import { useKeys } from './keys';
import { Logo } from './Logo';
import { usePreference } from './preferences';
import { Link, navigate } from './router';
import { ThemeMenu } from './ThemeMenu';

const Palette = lazy(() => import('./Palette').then((module) => ({ default: module.Palette })));

const PAGES = [
  ['tasks', 'Tasks'],
  ['sessions', 'Sessions'],
  ['statistics', 'Statistics'],
  ['alerts', 'Alerts'],
  ['agents', 'Agents'],
  ['models', 'Models'],
  ['keys', 'API keys'],
  ['people', 'People'],
  ['settings', 'Settings'],
] as const;

interface ShellProps {
  project: string;
  page: string;
  children: ReactNode;
}

/** The frame of a project's pages: top bar, help, theme; the page fills the rest. */
export function Shell({ project, page, children }: ShellProps) {
  const [help, setHelp] = useState(false);
  const [palette, setPalette] = useState(false);
  const [times, setTimes] = usePreference('times', 'relative');
  useKeys({
    '?': () => setHelp(true),
    'Ctrl+k': () => setPalette(true),
    T: () => {
      const next = times === 'relative' ? 'absolute' : 'relative';
      setTimes(next);
      toast(next === 'relative' ? 'Relative times' : `Absolute times, ${zoneName()}`);
    },
  });
  const nav = useRef<HTMLElement>(null);
  // in a narrow window the pages scroll sideways, and their room shrinks when the project's name arrives
  useEffect(() => {
    void page;
    const bar = nav.current;
    if (!bar) return;
    const observer = new ResizeObserver(() => {
      bar.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    });
    observer.observe(bar);
    return () => observer.disconnect();
  }, [page]);
  return (
    <div className="shell">
      <a className="skip" href="#content">
        Skip to content
      </a>
      <header className="topbar">
        <Link to={`/projects/${project}/tasks`} className="brand" aria-label="AMS, go to tasks">
          <Logo size={22} />
          <span>AMS</span>
        </Link>
        <span className="topbar-slash" aria-hidden="true">
          /
        </span>
        <ProjectMenu project={project} />
        <nav ref={nav} aria-label="Project">
          {PAGES.map(([name, label]) => (
            <Link
              key={name}
              to={`/projects/${project}/${name}`}
              className="nav-link"
              aria-current={name === page ? 'page' : undefined}
            >
              {label}
            </Link>
          ))}
          <NotStored project={project} current={page === 'not-stored'} />
        </nav>
        <div className="topbar-space" />
        <button
          type="button"
          className="button plain palette-button"
          onClick={() => setPalette(true)}
          title="Go to a task, project or page"
        >
          <Icon name="search" />
          <span className="visually-hidden">Go to a task, project or page</span>
          <kbd>Ctrl K</kbd>
        </button>
        <span
          className="zone"
          title={`Local time zone: ${zoneId()}. Press T to switch between relative and absolute times.`}
        >
          {zoneName()}
        </span>
        <ThemeMenu />
        <button
          type="button"
          className="button plain square help-button"
          onClick={() => setHelp(true)}
          aria-label="Keyboard shortcuts"
          title="Keyboard shortcuts (?)"
        >
          <Icon name="help" />
        </button>
        <AccountMenu project={project} />
      </header>
      <main id="content" tabIndex={-1} style={{ outline: 'none' }}>
        {children}
      </main>
      {palette ? (
        <Suspense fallback={null}>
          <Palette project={project} onHelp={() => setHelp(true)} onClose={() => setPalette(false)} />
        </Suspense>
      ) : null}
      {help ? <Help onClose={() => setHelp(false)} /> : null}
    </div>
  );
}

/** Shown only when there are events that could not be stored. */
function NotStored({ project, current }: { project: string; current: boolean }) {
  const { open } = useDeadLetters(project);
  if (open.value === 0 && !current) return null;
  return (
    <Link
      to={`/projects/${project}/not-stored`}
      className="nav-link unstored"
      aria-current={current ? 'page' : undefined}
      title="Events received that could not be stored"
    >
      {open.value === 0 ? 'Not stored' : countText(open)}
    </Link>
  );
}

function ProjectMenu({ project }: { project: string }) {
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
            {current?.name ?? 'Project'}
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

function AccountMenu({ project }: { project: string }) {
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
          <Link to={`/projects/${project}/preferences`} className="menu-item" onClick={close}>
            Preferences
          </Link>
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
