import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { useEffect } from 'react';
import { asApiError } from '../api/problems';
import { deadLettersQuery, projectsQuery } from '../api/queries';
import { useKeys } from '../app/keys';
import { Link, navigate, useQuery as useAddress, withParams } from '../app/router';
import { DeadLetterRow } from '../features/dead-letters/DeadLetterRow';
import { ErrorStrip } from '../ui/controls';
import '../features/dead-letters/dead-letters.css';

/** `/projects/{project}/not-stored?task=`: events that could not be stored, each with the reason. */
export function DeadLettersPage({ project }: { project: string }) {
  const task = useAddress().get('task');
  const letters = useInfiniteQuery(deadLettersQuery(project));
  const projects = useQuery(projectsQuery);
  const role = projects.data?.items.find((item) => item.project_id === project)?.role;
  const all = letters.data?.pages.flatMap((page) => page.items) ?? [];
  const shown = task ? all.filter((letter) => letter.task_id === task) : all;
  useEffect(() => {
    document.title = 'Not stored · AMS';
  }, []);
  useKeys({
    j: () => step(1),
    ArrowDown: () => step(1),
    k: () => step(-1),
    ArrowUp: () => step(-1),
    Escape: () => navigate(task ? `/projects/${project}/tasks/${task}` : `/projects/${project}/tasks`),
  });
  return (
    <div className="page">
      <div className="page-inner" style={{ maxWidth: 1120 }}>
        <div className="page-head">
          <div>
            <h1>Not stored</h1>
            <p className="quiet">
              Events received that could not be stored. Their bytes are kept. Replay sends them again, for example after
              an upgrade.
            </p>
          </div>
        </div>
        {task ? (
          <p>
            <span className="chip">
              task {task.slice(0, 8)}…{' '}
              <Link to={withParams({ task: null })} aria-label="Show all tasks">
                show all
              </Link>
            </span>
          </p>
        ) : null}
        {letters.error ? (
          <ErrorStrip
            error={asApiError(letters.error)}
            doing="Cannot load the events that were not stored"
            onRetry={() => void letters.refetch()}
          />
        ) : null}
        {letters.isFetching && !letters.data ? <div className="loading-bar" /> : null}
        {letters.data && shown.length === 0 ? (
          <p className="quiet">{task ? 'All events of this task were stored.' : 'All events were stored.'}</p>
        ) : null}
        {shown.length > 0 ? (
          <table className="table letters">
            <thead>
              <tr>
                <th scope="col">
                  <span className="visually-hidden">Bytes</span>
                </th>
                <th scope="col">Reason</th>
                <th scope="col">Task</th>
                <th scope="col">Position in the log</th>
                <th scope="col" className="num" style={{ textAlign: 'right' }}>
                  Size
                </th>
                <th scope="col">Received</th>
                <th scope="col">
                  <span className="visually-hidden">Replay</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {shown.map((letter) => (
                <DeadLetterRow
                  key={letter.place}
                  project={project}
                  letter={letter}
                  mayReplay={role !== undefined && role !== 'viewer'}
                />
              ))}
            </tbody>
          </table>
        ) : null}
        {letters.hasNextPage ? (
          <p>
            <button
              type="button"
              className="button"
              disabled={letters.isFetchingNextPage}
              onClick={() => void letters.fetchNextPage()}
            >
              Show older
            </button>
          </p>
        ) : null}
      </div>
    </div>
  );
}

/** The focus goes from row to row; Enter opens as on every button. */
function step(by: 1 | -1): void {
  const rows = [...document.querySelectorAll<HTMLElement>('.letter-twist')];
  const at = rows.indexOf(document.activeElement as HTMLElement);
  rows[Math.max(0, Math.min(rows.length - 1, at + by))]?.focus();
}
