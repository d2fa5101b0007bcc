import { lazy, type ReactNode, Suspense, useEffect, useRef, useState } from 'react';
import { countText, useDeadLetters } from '../features/dead-letters/dead-letters';
import { toast } from '../ui/controls';
import { zoneId, zoneName } from '../ui/format';
import { Icon } from '../ui/Icon';
import { Help } from './Help';
import { useKeys } from './keys';
import { Logo } from './Logo';
import { AccountMenu, ProjectMenu } from './menus';
import { usePreference } from './preferences';
import { Link } from './router';
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
