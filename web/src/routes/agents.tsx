import { useQuery } from '@tanstack/react-query';
import { useEffect } from 'react';
import { asApiError } from '../api/problems';
import { agentsQuery } from '../api/queries';
import { Link } from '../app/router';
import { ErrorStrip, When } from '../ui/controls';
import { TypeTile } from '../ui/Icon';

/** `/projects/{project}/agents`: registered and observed agents. */
export function AgentsPage({ project }: { project: string }) {
  const agents = useQuery(agentsQuery(project));
  useEffect(() => {
    document.title = 'Agents · AMS';
  }, []);
  const items = agents.data?.items ?? [];
  return (
    <div className="page">
      <div className="page-inner">
        <div className="page-head">
          <div>
            <h1>Agents</h1>
            <p className="quiet">Agents that registered themselves or ran a step.</p>
          </div>
        </div>
        {agents.error ? (
          <ErrorStrip
            error={asApiError(agents.error)}
            doing="Cannot load the agents"
            onRetry={() => agents.refetch()}
          />
        ) : null}
        {agents.isFetching && !agents.data ? <div className="loading-bar" /> : null}
        {agents.data && items.length === 0 ? (
          <p className="quiet">No agents yet. They appear with your first task.</p>
        ) : null}
        {items.length > 0 ? (
          <table className="table">
            <thead>
              <tr>
                <th scope="col">Agent</th>
                <th scope="col">Description</th>
                <th scope="col">Tools</th>
                <th scope="col">Framework and version</th>
                <th scope="col">Last seen</th>
              </tr>
            </thead>
            <tbody>
              {items.map((agent) => (
                <tr key={agent.name}>
                  <td>
                    <Link
                      to={`/projects/${project}/tasks?agent=${encodeURIComponent(agent.name)}`}
                      style={{ display: 'inline-flex', gap: 8, alignItems: 'center', fontWeight: 500 }}
                    >
                      <TypeTile type="agent" /> {agent.name}
                    </Link>
                  </td>
                  <td className="quiet">{agent.description}</td>
                  <td className="quiet">{agent.tools?.join(', ')}</td>
                  <td className="quiet">{[agent.framework, agent.version].filter(Boolean).join(' ')}</td>
                  <td className="quiet">{agent.last_seen_at_us ? <When us={agent.last_seen_at_us} /> : ''}</td>
                </tr>
              ))}
            </tbody>
          </table>
        ) : null}
      </div>
    </div>
  );
}
