import { type ReactNode, useEffect, useState, useSyncExternalStore } from 'react';
import { type ApiError, asApiError } from '../api/problems';
import { session } from '../api/session';
import type { ShareGrant } from '../api/types';
import { Logo } from '../app/Logo';
import { LiveProvider } from '../app/live';
import { useReloadOnNewSecret } from '../app/router';
import { ThemeMenu } from '../app/ThemeMenu';
import { ErrorStrip } from '../ui/controls';
import { dateTime } from '../ui/format';
import { TaskPage } from './task';
import '../app/shell.css';
import '../app/tables.css';
import '../features/share/share.css';

const RETRY_MS = 2_000;

/** `/shared#SECRET`: one task, for people without an account. The secret stays in the fragment, which no server sees. */
export function SharedPage() {
  const [secret] = useState(() => location.hash.slice(1));
  const identity = useSyncExternalStore(session.subscribe, session.get);
  const [error, setError] = useState<ApiError | null>(null);
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    void attempt;
    if (secret === '') return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    session.visit(secret).then(
      () => setError(null),
      (thrown: unknown) => {
        setError(asApiError(thrown));
        timer = setTimeout(() => setAttempt((before) => before + 1), RETRY_MS);
      },
    );
    return () => clearTimeout(timer);
  }, [secret, attempt]);
  useReloadOnNewSecret();

  if (identity.state === 'visitor') {
    const { project_id: project, task_id: task } = identity.share;
    return (
      <LiveProvider key={project} project={project}>
        <Frame share={identity.share}>
          <TaskPage key={task} project={project} task={task} />
        </Frame>
      </LiveProvider>
    );
  }
  if (secret === '') return <Ended sentence="This link is incomplete. Copy all of it." />;
  if (identity.state === 'out') {
    return <Ended sentence="This link was revoked or has expired. Ask the person who sent it for another one." />;
  }
  return (
    <main className="waiting" aria-busy="true">
      <div className="loading-bar" />
      {error ? <ErrorStrip error={error} doing="Cannot open the link" /> : null}
      <p className="visually-hidden">Opening the link</p>
    </main>
  );
}

function Frame({ share, children }: { share: ShareGrant; children: ReactNode }) {
  return (
    <div className="shell">
      <header className="topbar">
        <span className="brand">
          <Logo size={22} />
          <span>AMS</span>
        </span>
        <p className="share-note cut">
          Shared task, read only
          <span className="share-more">
            {share.payloads ? '' : ' · without inputs and outputs'} · until {dateTime(share.link_expires_at_us)}
          </span>
        </p>
        <div className="topbar-space" />
        <ThemeMenu />
      </header>
      <main id="content" tabIndex={-1} style={{ outline: 'none' }}>
        {children}
      </main>
    </div>
  );
}

function Ended({ sentence }: { sentence: string }) {
  useEffect(() => {
    document.title = 'Shared task · AMS';
  }, []);
  return (
    <main className="share-ended">
      <Logo size={28} />
      <h1>Shared task</h1>
      <p role="alert">{sentence}</p>
    </main>
  );
}
