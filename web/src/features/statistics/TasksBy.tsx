import { useQuery as useServer } from '@tanstack/react-query';
import { type ReactNode, useMemo } from 'react';
import { asApiError } from '../../api/problems';
import type { TaskGroup } from '../../api/types';
import { Link } from '../../app/router';
import { ErrorStrip } from '../../ui/controls';
import { cost, count, dayAndTime, duration, exact, nusd } from '../../ui/format';
import { saveCsv } from './csv-file';
import { SortedTable } from './SortedTable';
import type { Column } from './sorted';
import { percent } from './statistics';
import { TimeBars } from './TimeBars';
import {
  nameOf,
  queryOf,
  type TaskDimension,
  type TaskPoint,
  taskGroupsCsv,
  taskGroupsQuery,
  taskPoints,
  tasksOverTimeQuery,
} from './tasks-by';

interface TasksByProps {
  project: string;
  dimension: TaskDimension;
  range: string;
  from: string;
  to: string;
  /** the query of the group that the charts show alone */
  chosen: string | null;
  onChoose: (q: string | null) => void;
  /** the choice of the dimension */
  children: ReactNode;
}

/** Tasks by user or tag: charts of all or of one group, and a table that leads to the tasks. */
export function TasksBy({ project, dimension, range, from, to, chosen, onChoose, children }: TasksByProps) {
  const groups = useServer(taskGroupsQuery(project, dimension, from));
  const times = useServer(tasksOverTimeQuery(project, chosen ?? '', from, to));
  const points = useMemo(() => (times.data ? taskPoints(times.data) : []), [times.data]);
  const items = groups.data?.items ?? [];
  const backTo = groups.data?.counted_back_to_us ?? null;
  const error = groups.error ?? times.error;
  return (
    <>
      {error ? (
        <ErrorStrip
          error={asApiError(error)}
          doing="Cannot load the statistics"
          onRetry={() => {
            void groups.refetch();
            void times.refetch();
          }}
        />
      ) : null}
      {groups.isFetching && !groups.data ? <div className="loading-bar" /> : null}
      {points.length > 0 ? <TaskCharts points={points} /> : null}
      <div className="statistics-head">
        {children}
        <span style={{ flex: 1 }} />
        <button
          type="button"
          className="button small"
          disabled={items.length === 0}
          onClick={() => saveCsv(`${dimension}-${range}.csv`, taskGroupsCsv(dimension, items))}
        >
          Download CSV
        </button>
      </div>
      {groups.data && items.length === 0 ? (
        <p className="quiet">
          {dimension === 'tag'
            ? 'No task of this time has a tag.'
            : 'No tasks in this time. They are counted as soon as they begin.'}
        </p>
      ) : null}
      {items.length > 0 ? (
        <TasksByTable
          project={project}
          dimension={dimension}
          range={range}
          groups={items}
          chosen={chosen}
          onChoose={onChoose}
        />
      ) : null}
      {groups.data?.truncated ? <p className="faint">Only the first 500 are shown.</p> : null}
      {backTo === null ? null : (
        <p className="faint">
          There are too many tasks to count them all: those since {dayAndTime(backTo)} are counted.
        </p>
      )}
    </>
  );
}

function TaskCharts({ points }: { points: TaskPoint[] }) {
  const sum = (read: (bucket: NonNullable<TaskPoint['bucket']>) => number) =>
    points.reduce((total, { bucket }) => total + (bucket ? read(bucket) : 0), 0);
  const tasks = sum((bucket) => bucket.tasks);
  const failed = sum((bucket) => bucket.failed);
  const known = points.some(({ bucket }) => bucket?.cost_usd != null);
  return (
    <div className="statistics-charts">
      <TimeBars
        title={`Tasks, ${percent(tasks ? failed / tasks : 0)} failed`}
        total={exact(tasks)}
        points={points}
        value={({ bucket }) => bucket?.tasks ?? null}
        failed={({ bucket }) => bucket?.failed ?? 0}
        text={exact}
      />
      <TimeBars
        title="Duration, 95th percentile"
        total={`at most ${duration(Math.max(0, ...points.map(({ bucket }) => bucket?.p95_duration_us ?? 0)))}`}
        points={points}
        value={({ bucket }) => bucket?.p95_duration_us ?? null}
        text={duration}
      />
      <TimeBars
        title="Tokens"
        total={count(sum((bucket) => bucket.input_tokens + bucket.output_tokens))}
        points={points}
        value={({ bucket }) => (bucket ? bucket.input_tokens + bucket.output_tokens : null)}
        text={count}
      />
      <TimeBars
        title="Cost"
        total={known ? cost(sum((bucket) => nusd(bucket.cost_usd) ?? 0)) : 'unknown'}
        points={points}
        value={({ bucket }) => nusd(bucket?.cost_usd)}
        text={cost}
      />
    </div>
  );
}

const COLUMNS: readonly Column<TaskGroup>[] = [
  { name: 'Tasks', value: (group) => group.tasks, text: (group) => exact(group.tasks) },
  {
    name: 'Failed',
    value: (group) => group.failed,
    text: (group) => (group.failed ? exact(group.failed) : ''),
    isBad: true,
  },
  { name: 'p50', value: (group) => group.p50_duration_us, text: (group) => duration(group.p50_duration_us) },
  { name: 'p95', value: (group) => group.p95_duration_us, text: (group) => duration(group.p95_duration_us) },
  { name: 'Steps', value: (group) => group.steps, text: (group) => exact(group.steps) },
  {
    name: 'Input tokens',
    value: (group) => group.input_tokens,
    text: (group) => (group.input_tokens ? count(group.input_tokens) : ''),
  },
  {
    name: 'Output tokens',
    value: (group) => group.output_tokens,
    text: (group) => (group.output_tokens ? count(group.output_tokens) : ''),
  },
  {
    name: 'Cost',
    value: (group) => nusd(group.cost_usd),
    text: (group) => `${group.unpriced_tasks && group.cost_usd !== null ? '≥ ' : ''}${cost(nusd(group.cost_usd))}`,
  },
];

interface TasksByTableProps {
  project: string;
  dimension: TaskDimension;
  range: string;
  groups: readonly TaskGroup[];
  chosen: string | null;
  onChoose: (q: string | null) => void;
}

function TasksByTable({ project, dimension, range, groups, chosen, onChoose }: TasksByTableProps) {
  return (
    <SortedTable
      key={dimension}
      title={dimension === 'user' ? 'User' : 'Tag'}
      rows={groups}
      columns={COLUMNS}
      keyOf={(group) => `${group.tag} ${group.key} ${group.other}`}
      nameOf={nameOf}
      isRest={(group) => group.other}
      isChosen={(group) => chosen !== null && queryOf(dimension, group) === chosen}
      head={(group) => {
        const q = queryOf(dimension, group);
        if (q === null) return nameOf(group);
        return (
          <button
            type="button"
            className="group-name"
            aria-pressed={q === chosen}
            title="Show the charts of this only"
            onClick={() => onChoose(q === chosen ? null : q)}
          >
            {nameOf(group) || <span className="faint">none</span>}
          </button>
        );
      }}
      tail={(group) => {
        const q = queryOf(dimension, group);
        return q === null ? null : (
          <Link to={`/projects/${project}/tasks?${new URLSearchParams({ q, range })}`}>Tasks</Link>
        );
      }}
    />
  );
}
