import type { Task } from '../../api/types';
import { navigate, withParams } from '../../app/router';
import { useNowUs } from '../../ui/clock';
import { Ticking, When } from '../../ui/controls';
import { count, duration, exact } from '../../ui/format';
import { Icon } from '../../ui/Icon';
import { costText, costTitle, tokensText, tokensTitle } from '../../ui/totals';
import { clauseOf, toggleClause } from './filter';

/** The cell of a column (see columns.ts) in the row of a task. */
export function Cell({ id, task, longestUs, q }: { id: string; task: Task; longestUs: number; q: string }) {
  switch (id) {
    case 'agent':
      return <ValueCell field="agent" value={task.agent} q={q} />;
    case 'env':
      return <ValueCell field="env" value={task.environment} q={q} />;
    case 'user':
      return <ValueCell field="user" value={task.user_id} q={q} />;
    case 'kind':
      return <ValueCell field="kind" value={task.kind} q={q} />;
    case 'started':
      return (
        <span role="gridcell" className="quiet tnum cut">
          <When us={task.started_at_us} />
        </span>
      );
    case 'updated':
      return (
        <span role="gridcell" className="quiet tnum cut">
          <When us={task.last_event_at_us} />
        </span>
      );
    case 'duration':
      return <DurationCell task={task} longestUs={longestUs} />;
    case 'tags':
      return <TagsCell task={task} q={q} />;
    default:
      return <FigureCell id={id} task={task} />;
  }
}

/** A value that filters: its button shows only tasks with the value, with Shift those without it. */
function ValueCell({ field, value, q }: { field: string; value: string | null; q: string }) {
  return (
    <span role="gridcell" className="value-cell quiet" title={value ?? undefined}>
      {value ? (
        <>
          <span className="cut" dir="auto">
            {value}
          </span>
          <FilterButton field={field} value={value} q={q} />
        </>
      ) : null}
    </span>
  );
}

function filterBy(event: React.MouseEvent, q: string, field: string, value: string) {
  const clause = clauseOf(field, value);
  navigate(withParams({ q: toggleClause(q, event.shiftKey ? `-${clause}` : clause) }));
}

function FilterButton({ field, value, q }: { field: string; value: string; q: string }) {
  return (
    <button
      type="button"
      tabIndex={-1}
      className="value-filter"
      aria-label={`Filter by ${field} ${value}`}
      title={`Show only ${field} ${value}; with Shift exclude it`}
      onClick={(event) => filterBy(event, q, field, value)}
    >
      <Icon name="filter" />
    </button>
  );
}

function DurationCell({ task, longestUs }: { task: Task; longestUs: number }) {
  const open = task.status === 'running' || task.status === 'waiting';
  return (
    <span role="gridcell" className="num bar-cell">
      {open && task.started_at_us !== null ? (
        <RunningDuration startedAtUs={task.started_at_us} longestUs={longestUs} />
      ) : (
        <>
          {duration(task.duration_us)}
          {task.duration_us !== null && longestUs > 0 ? (
            <i style={{ width: `${Math.min(100, (task.duration_us / longestUs) * 100)}%` }} />
          ) : null}
        </>
      )}
    </span>
  );
}

function FigureCell({ id, task }: { id: string; task: Task }) {
  const tokens = task.input_tokens + task.output_tokens;
  if (id === 'steps') {
    return (
      <span role="gridcell" className="num quiet" title={exact(task.steps)}>
        {fitted(task.steps)}
      </span>
    );
  }
  if (id === 'errors') {
    return (
      <span role="gridcell" className="num errors" title={task.errors > 0 ? exact(task.errors) : undefined}>
        {task.errors > 0 ? fitted(task.errors) : ''}
      </span>
    );
  }
  if (id === 'tokens') {
    return (
      <span role="gridcell" className="num quiet" title={tokensTitle(task)}>
        {tokens > 0 || task.unmetered_calls > 0 ? tokensText(task) : ''}
      </span>
    );
  }
  return (
    <span role="gridcell" className="num quiet" title={costTitle(task)}>
      {costText(task)}
    </span>
  );
}

function TagsCell({ task, q }: { task: Task; q: string }) {
  return (
    <span role="gridcell" className="tags-cell faint">
      {tagsOf(task).map(([field, value, shown]) => (
        <button
          key={`${field} ${value}`}
          type="button"
          tabIndex={-1}
          className="tag-filter cut"
          title={`${shown}\nClick to show only these, with Shift to exclude them`}
          onClick={(event) => filterBy(event, q, field, value)}
        >
          {shown}
        </button>
      ))}
    </span>
  );
}

function RunningDuration({ startedAtUs, longestUs }: { startedAtUs: number; longestUs: number }) {
  const now = useNowUs(1_000);
  return (
    <>
      <Ticking sinceUs={startedAtUs} />
      <i
        style={{ width: `${Math.min(100, ((now - startedAtUs) / Math.max(1, longestUs, now - startedAtUs)) * 100)}%` }}
      />
    </>
  );
}

/** Exact as long as it fits its column. */
function fitted(value: number): string {
  return value < 100_000 ? exact(value) : count(value);
}

/** Field, value and text, in one order for all rows: REST and frames each have their own. */
function tagsOf(task: Task): [string, string, string][] {
  const tags = Object.entries(task.tags).map(
    ([name, value]) => [`tag.${name}`, value, value ? `${name}:${value}` : name] as [string, string, string],
  );
  tags.sort((a, b) => (a[2] < b[2] ? -1 : 1));
  return [
    ...(task.environment ? [['env', task.environment, task.environment] as [string, string, string]] : []),
    ...tags,
  ];
}
