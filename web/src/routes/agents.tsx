import { useQuery } from '@tanstack/react-query';
import { useEffect, useMemo } from 'react';
import { asApiError } from '../api/problems';
import { agentsQuery } from '../api/queries';
import { Link } from '../app/router';
import { type AgentRow, rowsOf, successRate } from '../features/statistics/agents';
import { percent, RANGES, startOf, statisticsQuery } from '../features/statistics/statistics';
import '../features/statistics/statistics.css';
import { facetsQuery } from '../features/task-list/explore';
import { clauseOf, NO_FILTER } from '../features/task-list/filter';
import { serverNowUs } from '../ui/clock';
import { ErrorStrip, When } from '../ui/controls';
import { cost, duration, exact, nusd } from '../ui/format';
import { TypeTile } from '../ui/Icon';

const RANGE = RANGES[1];

/** `/projects/{project}/agents`: registered and observed agents, and how they did in the last seven days. */
export function AgentsPage({ project }: { project: string }) {
  const from = useMemo(() => startOf(RANGE.hours, serverNowUs() / 1_000), []);
  const agents = useQuery(agentsQuery(project));
  const runs = useQuery(statisticsQuery(project, 'agent', from, { type: 'agent' }));
  const workflows = useQuery(statisticsQuery(project, 'agent', from, { type: 'workflow' }));
  const steps = useQuery(statisticsQuery(project, 'agent', from, {}));
  const running = useQuery(facetsQuery(project, { ...NO_FILTER, status: 'running' }, true));
  useEffect(() => {
    document.title = 'Agents · AMS';
  }, []);
  const runningOf = new Map(
    running.data?.items.find(({ field }) => field === 'agent')?.values.map(({ value, tasks }) => [value, tasks]),
  );
  const rows = rowsOf(
    agents.data?.items ?? [],
    runs.data?.items ?? [],
    workflows.data?.items ?? [],
    steps.data?.items ?? [],
    runningOf,
  );
  return (
    <div className="page statistics-page">
      <div className="page-inner">
        <div className="page-head">
          <div>
            <h1>Agents</h1>
            <p className="quiet">Agents that registered themselves or ran a step. Figures are of the last 7 days.</p>
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
        {agents.data && rows.length === 0 ? (
          <p className="quiet">No agents yet. They appear with your first task.</p>
        ) : null}
        {rows.length > 0 ? <AgentTable project={project} rows={rows} /> : null}
      </div>
    </div>
  );
}

function AgentTable({ project, rows }: { project: string; rows: AgentRow[] }) {
  return (
    <div className="group-table">
      <table className="table">
        <thead>
          <tr>
            <th scope="col">Agent</th>
            <th scope="col">Framework and version</th>
            <th scope="col" className="num">
              Running now
            </th>
            <th
              scope="col"
              className="num"
              title="Ended steps of the agent itself, or of the workflow that has its name"
            >
              Runs
            </th>
            <th scope="col" className="num">
              Success
            </th>
            <th scope="col" className="num">
              p95
            </th>
            <th scope="col" className="num">
              Steps
            </th>
            <th scope="col" className="num">
              Cost
            </th>
            <th scope="col">Last seen</th>
            <th scope="col">
              <span className="visually-hidden">Statistics</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <AgentLine key={row.agent.name} project={project} row={row} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function AgentLine({ project, row }: { project: string; row: AgentRow }) {
  const { agent, runs, steps, running } = row;
  const tasks = `/projects/${project}/tasks?${new URLSearchParams({ q: clauseOf('agent', agent.name) })}`;
  const rate = successRate(row);
  const title = [agent.description, agent.tools.length > 0 ? `Tools: ${agent.tools.join(', ')}` : '', agent.owner]
    .filter(Boolean)
    .join('\n');
  return (
    <tr>
      <td title={title || undefined}>
        <Link to={tasks} style={{ display: 'inline-flex', gap: 8, alignItems: 'center', fontWeight: 500 }}>
          <TypeTile type="agent" /> {agent.name}
        </Link>
      </td>
      <td className="quiet">
        {[agent.framework, agent.version].filter(Boolean).join(' ')}
        {agent.registered_at_us === null ? (
          <span className="faint" title="It appears in steps and has not registered itself">
            {' '}
            observed
          </span>
        ) : null}
      </td>
      <td className="num">{running > 0 ? <Link to={`${tasks}&status=running`}>{exact(running)}</Link> : ''}</td>
      <td className="num">{runs ? exact(runs.steps) : ''}</td>
      <td className={rate !== null && rate < 1 ? 'num group-errors' : 'num'}>
        {rate === null ? <span className="faint">no runs</span> : percent(rate)}
      </td>
      <td className="num">{duration((runs ?? steps)?.duration_us.p95 ?? null)}</td>
      <td className="num">{steps ? exact(steps.steps) : ''}</td>
      <td className="num">{cost(nusd(steps?.cost_usd))}</td>
      <td className="quiet">
        <When us={agent.last_seen_at_us} />
      </td>
      <td>
        <Link to={`/projects/${project}/statistics?${new URLSearchParams({ by: 'agent', only: agent.name })}`}>
          Statistics
        </Link>
      </td>
    </tr>
  );
}
