import { QueryClientProvider } from '@tanstack/react-query';
import { lazy, Suspense, useEffect, useSyncExternalStore } from 'react';
import { queryClient } from '../api/queries';
import { session } from '../api/session';
import { Register, SignIn } from '../routes/account';
import { Home } from '../routes/home';
import { NotFound } from '../routes/not-found';
import { ProjectPages } from '../routes/project';
import { TaskAddress } from '../routes/task-address';
import { Sprite } from '../ui/Icon';
import { ErrorBoundary } from './ErrorBoundary';
import { keepInvitation } from './invitation';
import { OuterShell } from './OuterShell';
import { ProofDialog } from './ProofDialog';
import { matchPath, navigate, SHARED_PATH, usePath } from './router';

const OwnAccount = lazy(() => import('../routes/own-account').then((module) => ({ default: module.OwnAccount })));
const Administration = lazy(() =>
  import('../routes/administration').then((module) => ({ default: module.Administration })),
);
const ResetPage = lazy(() => import('../routes/reset').then((module) => ({ default: module.ResetPage })));
const SharedPage = lazy(() => import('../routes/shared').then((module) => ({ default: module.SharedPage })));
const ForgotPage = lazy(() => import('../routes/forgot').then((module) => ({ default: module.ForgotPage })));
const VerifyEmailPage = lazy(() =>
  import('../routes/verify-email').then((module) => ({ default: module.VerifyEmailPage })),
);
const ProviderCallback = lazy(() =>
  import('../routes/provider-callback').then((module) => ({ default: module.ProviderCallback })),
);
const InvitationPage = lazy(() =>
  import('../routes/invitation').then((module) => ({ default: module.InvitationPage })),
);

/** Pages for people who are not signed in. */
const OPEN_PAGES = ['/signin', '/register', '/reset', '/forgot', '/verify-email', SHARED_PATH];

export function App() {
  return (
    <QueryClientProvider client={queryClient}>
      <Sprite />
      <ErrorBoundary>
        <Pages />
      </ErrorBoundary>
      <ProofDialog />
      <div id="toast" role="status" aria-live="polite" />
    </QueryClientProvider>
  );
}

function Pages() {
  const path = usePath();
  const identity = useSyncExternalStore(session.subscribe, session.get);
  const provider = matchPath('/signin/callback/:provider', path)?.provider;
  const open = OPEN_PAGES.includes(path) || provider !== undefined;
  useEffect(() => {
    keepInvitation();
    // the token of a link opens nothing else: another page starts with the session of its own
    if (identity.state === 'visitor' && path !== SHARED_PATH) return location.reload();
    if (identity.state === 'unknown' && !open) ask();
    if (identity.state === 'out' && !open) {
      queryClient.clear();
      const next = location.pathname + location.search;
      navigate(next === '/' ? '/signin' : `/signin?next=${encodeURIComponent(next)}`, { replace: true });
    }
  }, [identity.state, open, path]);

  if (path === '/signin') return <SignIn />;
  if (path === '/register') return <Register />;
  if (provider !== undefined) {
    return (
      <Suspense fallback={<Waiting />}>
        <ProviderCallback provider={provider} />
      </Suspense>
    );
  }
  if (path === '/reset') {
    return (
      <Suspense fallback={<Waiting />}>
        <ResetPage />
      </Suspense>
    );
  }
  if (path === SHARED_PATH) {
    return (
      <Suspense fallback={<Waiting />}>
        <SharedPage />
      </Suspense>
    );
  }
  if (path === '/forgot') {
    return (
      <Suspense fallback={<Waiting />}>
        <ForgotPage />
      </Suspense>
    );
  }
  if (path === '/verify-email') {
    return (
      <Suspense fallback={<Waiting />}>
        <VerifyEmailPage />
      </Suspense>
    );
  }
  if (identity.state !== 'in') return <Waiting />;

  if (path === '/') return <Home />;
  if (path === '/account') {
    return (
      <Suspense fallback={<Waiting />}>
        <OwnAccount user={identity.user} />
      </Suspense>
    );
  }
  if (path === '/administration') {
    return (
      <Suspense fallback={<Waiting />}>
        <Administration user={identity.user} />
      </Suspense>
    );
  }
  if (path === '/invitation') {
    return (
      <Suspense fallback={<Waiting />}>
        <InvitationPage />
      </Suspense>
    );
  }
  const short = matchPath('/t/:task', path);
  if (short?.task) return <TaskAddress task={short.task} />;
  if (path.startsWith('/projects/')) return <ProjectPages path={path} />;
  return (
    <OuterShell>
      <NotFound what="page" />
    </OuterShell>
  );
}

/** The first question of a page: does the cookie still open a session? Retried while the platform is unavailable. */
function ask(): void {
  session.refresh().catch(() => setTimeout(ask, 2_000));
}

function Waiting() {
  return (
    <main className="waiting" aria-busy="true">
      <div className="loading-bar" />
      <p className="visually-hidden">Signing in</p>
    </main>
  );
}
