import { useQuery } from '@tanstack/react-query';
import { useEffect } from 'react';
import { asApiError } from '../api/problems';
import { createProject, projectsQuery, queryClient } from '../api/queries';
import { session } from '../api/session';
import { OuterShell } from '../app/OuterShell';
import { preference } from '../app/preferences';
import { navigate } from '../app/router';
import { ErrorStrip } from '../ui/controls';

/** `/`: the last used project, or the one that the user created. Another person's project opens first only when there is no other. */
export function Home() {
  const projects = useQuery(projectsQuery);
  const items = projects.data?.items;
  useEffect(() => {
    if (!items) return;
    const last = preference('project', '');
    const identity = session.get();
    const own = identity.state === 'in' ? identity.user.default_project_id : null;
    const project = [last, own].map((id) => items.find((item) => item.project_id === id)).find(Boolean) ?? items[0];
    if (project) navigate(`/projects/${project.project_id}/tasks`, { replace: true });
  }, [items]);
  if (projects.error) {
    return (
      <ErrorStrip
        error={asApiError(projects.error)}
        doing="Cannot load your projects"
        onRetry={() => projects.refetch()}
      />
    );
  }
  if (items?.length === 0) {
    const create = async () => {
      await createProject('My project');
      await queryClient.invalidateQueries(projectsQuery);
    };
    return (
      <OuterShell>
        <div className="plain-page">
          <h1>No projects yet</h1>
          <p className="quiet">A project contains tasks and the API keys that agents use to send them.</p>
          <p>
            <button type="button" className="button primary" onClick={create}>
              Create a project
            </button>
          </p>
        </div>
      </OuterShell>
    );
  }
  return <div className="loading-bar" />;
}
