import { useQuery } from '@tanstack/react-query';
import { useEffect } from 'react';
import { request } from '../api/http';
import { asApiError } from '../api/problems';
import { projectsQuery } from '../api/queries';
import type { Project, TaskAnswer } from '../api/types';
import { OuterShell } from '../app/OuterShell';
import { preference } from '../app/preferences';
import { navigate } from '../app/router';
import { ErrorStrip } from '../ui/controls';
import { NotFound } from './not-found';

/** How long a task may take to arrive after its agent printed its address. */
const PATIENCE_MS = 30_000;

/** `/t/{task}`: an address that an agent can print without knowing projects; it leads to the task in the right one. */
export function TaskAddress({ task }: { task: string }) {
  const projects = useQuery(projectsQuery);
  const found = useQuery({
    queryKey: ['task-address', task],
    enabled: projects.data !== undefined,
    queryFn: () => find(projects.data?.items ?? [], task),
    retry: false,
    refetchInterval: (query) => (query.state.data === null && patient() ? 1_500 : false),
  });
  const project = found.data;
  useEffect(() => {
    if (project) navigate(`/projects/${project}/tasks/${task}${location.search}`, { replace: true });
  }, [project, task]);
  const error = projects.error ?? found.error;
  if (error)
    return <ErrorStrip error={asApiError(error)} doing="Cannot find the task" onRetry={() => found.refetch()} />;
  if (project === null) {
    return (
      <OuterShell>
        <NotFound what="task">
          {patient() ? (
            <p className="listening" role="status">
              <span className="live-dot" aria-hidden="true" /> If its agent has just started, the task opens here when
              its first event arrives.
            </p>
          ) : null}
        </NotFound>
      </OuterShell>
    );
  }
  return (
    <main className="plain-page">
      <div className="loading-bar" />
    </main>
  );
}

const opened = Date.now();

function patient(): boolean {
  return Date.now() - opened < PATIENCE_MS;
}

async function find(projects: Project[], task: string): Promise<string | null> {
  const last = preference('project', '');
  const order = [...projects].sort((a, b) => Number(b.project_id === last) - Number(a.project_id === last));
  for (const project of order) {
    try {
      await request<TaskAnswer>(`/api/traces/${project.project_id}/tasks/${task}`);
      return project.project_id;
    } catch (error) {
      if (asApiError(error).status !== 404) throw error;
    }
  }
  return null;
}
