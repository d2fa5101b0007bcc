import { useQuery } from '@tanstack/react-query';
import { lazy, Suspense, useEffect, useSyncExternalStore } from 'react';
import { projectsQuery } from '../api/queries';
import { session } from '../api/session';
import { LiveProvider } from '../app/live';
import { OuterShell } from '../app/OuterShell';
import { setPreference } from '../app/preferences';
import { matchPath, navigate } from '../app/router';
import { Shell } from '../app/Shell';
import { LockedProject } from '../features/factors/LockedProject';
import { NotFound } from './not-found';
import { TaskPage } from './task';
import { TasksPage } from './tasks';

const KeysPage = lazy(() => import('./keys').then((module) => ({ default: module.KeysPage })));
const StatisticsPage = lazy(() => import('./statistics').then((module) => ({ default: module.StatisticsPage })));
const AgentsPage = lazy(() => import('./agents').then((module) => ({ default: module.AgentsPage })));

const SessionsPage = lazy(() => import('./sessions').then((module) => ({ default: module.SessionsPage })));
const ComparePage = lazy(() => import('./compare').then((module) => ({ default: module.ComparePage })));
const ModelsPage = lazy(() => import('./models').then((module) => ({ default: module.ModelsPage })));
const PreferencesPage = lazy(() => import('./preferences').then((module) => ({ default: module.PreferencesPage })));
const AnnotatePage = lazy(() => import('./annotate').then((module) => ({ default: module.AnnotatePage })));
const PeoplePage = lazy(() => import('./people').then((module) => ({ default: module.PeoplePage })));
const AlertsPage = lazy(() => import('./alerts').then((module) => ({ default: module.AlertsPage })));
const LinksPage = lazy(() => import('./links').then((module) => ({ default: module.LinksPage })));
const SettingsPage = lazy(() => import('./settings').then((module) => ({ default: module.SettingsPage })));
const AuditPage = lazy(() => import('./audit').then((module) => ({ default: module.AuditPage })));
const DeadLettersPage = lazy(() => import('./dead-letters').then((module) => ({ default: module.DeadLettersPage })));

/** Everything under `/projects/{project}`. */
export function ProjectPages({ path }: { path: string }) {
  const project = matchPath('/projects/:project', path.split('/').slice(0, 3).join('/'))?.project ?? '';
  const bare = matchPath('/projects/:project', path) !== null;
  const task = matchPath('/projects/:project/tasks/:task', path)?.task;
  const page = path.split('/')[3] ?? 'tasks';
  const projects = useQuery(projectsQuery);
  const item = projects.data?.items.find((item) => item.project_id === project);
  const others = projects.data?.items.filter((item) => item.project_id !== project) ?? [];
  const known = projects.data ? item !== undefined : undefined;
  const identity = useSyncExternalStore(session.subscribe, session.get);
  const hasFactor = identity.state !== 'in' || identity.user.second_factor;

  useEffect(() => {
    if (known) setPreference('project', project);
  }, [known, project]);
  useEffect(() => {
    if (bare) navigate(`/projects/${project}/tasks`, { replace: true });
  }, [bare, project]);

  if (known === false) {
    return (
      <OuterShell>
        <NotFound what="project" />
      </OuterShell>
    );
  }
  if (item?.second_factor_required && !hasFactor) return <LockedProject name={item.name} others={others} />;
  return (
    <LiveProvider key={project} project={project}>
      <Shell project={project} page={page}>
        <Suspense fallback={<div className="loading-bar" />}>
          {task ? (
            <TaskPage key={task} project={project} task={task} />
          ) : page === 'tasks' ? (
            <TasksPage project={project} />
          ) : page === 'sessions' ? (
            <SessionsPage project={project} />
          ) : page === 'agents' ? (
            <AgentsPage project={project} />
          ) : page === 'statistics' ? (
            <StatisticsPage project={project} />
          ) : page === 'keys' ? (
            <KeysPage project={project} />
          ) : page === 'models' ? (
            <ModelsPage project={project} />
          ) : page === 'preferences' ? (
            <PreferencesPage />
          ) : page === 'annotate' ? (
            <AnnotatePage project={project} />
          ) : page === 'people' ? (
            <PeoplePage project={project} />
          ) : page === 'alerts' ? (
            <AlertsPage project={project} />
          ) : page === 'links' ? (
            <LinksPage project={project} />
          ) : page === 'settings' ? (
            <SettingsPage project={project} />
          ) : page === 'audit' ? (
            <AuditPage project={project} />
          ) : page === 'compare' ? (
            <ComparePage project={project} />
          ) : page === 'not-stored' ? (
            <DeadLettersPage project={project} />
          ) : bare ? null : (
            <NotFound what="page" />
          )}
        </Suspense>
      </Shell>
    </LiveProvider>
  );
}
