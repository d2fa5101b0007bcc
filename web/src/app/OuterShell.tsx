import type { ReactNode } from 'react';
import { Logo } from './Logo';
import { AccountMenu, ProjectMenu } from './menus';
import { Link } from './router';
import { ThemeMenu } from './ThemeMenu';
import './outer-shell.css';

/** The frame of a signed-in person's pages that belong to no project. */
export function OuterShell({ children }: { children: ReactNode }) {
  return (
    <div className="shell">
      <a className="skip" href="#content">
        Skip to content
      </a>
      <header className="topbar">
        <Link to="/" className="brand" aria-label="AMS, go to your projects">
          <Logo size={22} />
          <span>AMS</span>
        </Link>
        <span className="topbar-slash" aria-hidden="true">
          /
        </span>
        <ProjectMenu />
        <div className="topbar-space" />
        <ThemeMenu />
        <AccountMenu />
      </header>
      <main id="content" tabIndex={-1} className="outer-page" style={{ outline: 'none' }}>
        {children}
      </main>
    </div>
  );
}
