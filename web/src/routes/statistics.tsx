import { useQuery as useServer } from '@tanstack/react-query';
import { type ReactNode, useEffect, useMemo } from 'react';
import { asApiError } from '../api/problems';
import { navigate, useQuery, withParams } from '../app/router';
import { saveCsv } from '../features/statistics/csv-file';
import { GroupTable } from '../features/statistics/GroupTable';
import {
  csvOf,
  DIMENSIONS,
  type Dimension,
  intervalOf,
  percent,
  RANGES,
  seriesOf,
  startOf,
  statisticsQuery,
} from '../features/statistics/statistics';
import '../features/statistics/statistics.css';
import { TasksBy } from '../features/statistics/TasksBy';
import { TimeBars } from '../features/statistics/TimeBars';
import { TASK_DIMENSIONS } from '../features/statistics/tasks-by';
import { clauseOf } from '../features/task-list/filter';
import { serverNowUs } from '../ui/clock';
import { ErrorStrip, Segmented } from '../ui/controls';
import { cost, count, duration, exact, nusd } from '../ui/format';

/** `/projects/{project}/statistics`: steps by agent, model, tool or type, and tasks by user or tag, over time. */
export function StatisticsPage({ project }: { project: string }) {
  const query = useQuery();
  const range = RANGES.find(({ value }) => value === query.get('range')) ?? RANGES[1];
  const ofTasks = TASK_DIMENSIONS.find(({ value }) => value === query.get('by'));
  const dimension = DIMENSIONS.find(({ value }) => value === query.get('by')) ?? DIMENSIONS[0];
  const chosen = query.get('only');
  const [from, to] = useMemo(() => {
    const nowMs = serverNowUs() / 1_000;
    return [startOf(range.hours, nowMs), startOf(0, nowMs)];
  }, [range.hours]);
  useEffect(() => {
    document.title = 'Statistics · AMS';
  }, []);
  const groupBy = (
    <Segmented
      small
      label="Group by"
      value={(ofTasks ?? dimension).value}
      options={[...DIMENSIONS, ...TASK_DIMENSIONS]}
      onChange={(value) => navigate(withParams({ by: value, only: null }))}
    />
  );
  return (
    <div className="page statistics-page">
      <div className="page-inner">
        <div className="statistics-head">
          <h1>Statistics</h1>
          {chosen !== null ? (
            <button type="button" className="button small" onClick={() => navigate(withParams({ only: null }))}>
              {ofTasks ? chosen : `${dimension.label}: ${chosen || 'none'}`} ×
            </button>
          ) : null}
          <Segmented
            small
            label="Time range"
            value={range.value}
            options={RANGES}
            onChange={(value) => navigate(withParams({ range: value }))}
          />
        </div>
        {ofTasks ? (
          <TasksBy
            project={project}
            dimension={ofTasks.value}
            range={range.value}
            from={from}
            to={to}
            chosen={chosen}
            onChoose={(q) => navigate(withQueryValue('only', q))}
          >
            {groupBy}
          </TasksBy>
        ) : (
          <StepsBy project={project} dimension={dimension} range={range} from={from} chosen={chosen}>
            {groupBy}
          </StepsBy>
        )}
      </div>
    </div>
  );
}

interface StepsByProps {
  project: string;
  dimension: (typeof DIMENSIONS)[number];
  range: (typeof RANGES)[number];
  from: string;
  chosen: string | null;
  children: ReactNode;
}

/** Steps from hourly rollups: charts of all or of one group, and the groups. */
function StepsBy({ project, dimension, range, from, chosen, children }: StepsByProps) {
  const only = chosen === null ? {} : { [dimension.value]: chosen };
  const interval = intervalOf(range.hours);
  const total = useServer(statisticsQuery(project, null, from, only));
  const times = useServer(statisticsQuery(project, interval, from, only));
  const groups = useServer(statisticsQuery(project, dimension.value, from, {}));
  const error = total.error ?? times.error ?? groups.error;

  const points = times.data ? seriesOf(times.data, interval) : [];
  const sum = total.data?.items[0];
  const items = groups.data?.items ?? [];
  return (
    <>
      {error ? (
        <ErrorStrip
          error={asApiError(error)}
          doing="Cannot load the statistics"
          onRetry={() => {
            for (const one of [total, times, groups]) void one.refetch();
          }}
        />
      ) : null}
      {total.isFetching && !total.data ? <div className="loading-bar" /> : null}
      {total.data && !sum ? (
        <p className="quiet">No ended steps in this time. They are counted as soon as they end.</p>
      ) : null}
      {sum ? (
        <div className="statistics-charts">
          <TimeBars
            title={`Steps, ${percent(sum.errors / sum.steps)} failed`}
            total={exact(sum.steps)}
            points={points}
            value={({ group }) => group?.steps ?? null}
            failed={({ group }) => group?.errors ?? 0}
            text={exact}
          />
          <TimeBars
            title="Duration, 95th percentile"
            total={duration(sum.duration_us.p95)}
            points={points}
            value={({ group }) => group?.duration_us.p95 ?? null}
            text={duration}
          />
          <TimeBars
            title="Tokens"
            total={count(sum.input_tokens + sum.output_tokens)}
            points={points}
            value={({ group }) => (group ? group.input_tokens + group.output_tokens : null)}
            text={count}
          />
          <TimeBars
            title="Cost"
            total={cost(nusd(sum.cost_usd)) || 'unknown'}
            points={points}
            value={({ group }) => nusd(group?.cost_usd)}
            text={cost}
          />
        </div>
      ) : null}
      <div className="statistics-head">
        {children}
        <span style={{ flex: 1 }} />
        <button
          type="button"
          className="button small"
          disabled={items.length === 0}
          onClick={() => saveCsv(`${dimension.value}-${range.value}.csv`, csvOf(dimension.value, items))}
        >
          Download CSV
        </button>
      </div>
      {items.length > 0 ? (
        <GroupTable
          title={dimension.label}
          groups={items}
          chosen={chosen}
          onChoose={(key) => navigate(withQueryValue('only', key))}
          tasksOf={(key) => tasksAddress(project, dimension.value, key, range.value)}
        />
      ) : null}
      {groups.data?.truncated ? <p className="faint">Only the first 500 are shown.</p> : null}
    </>
  );
}

/** Like `withParams`, for a value that may be empty: steps without an agent are a group, too. */
function withQueryValue(name: string, value: string | null): string {
  const params = new URLSearchParams(location.search);
  if (value === null) params.delete(name);
  else params.set(name, value);
  return `${location.pathname}?${params}`;
}

/** Tasks know their agent; the name of a tool is a name of a step, which the text search finds. */
function tasksAddress(project: string, dimension: Dimension, key: string, range: string): string | null {
  if (key === 'other') return null;
  const q =
    dimension === 'agent' ? clauseOf('agent', key) : dimension === 'tool' ? `"${key.replace(/["\\]/g, ' ')}"` : null;
  return q === null ? null : `/projects/${project}/tasks?${new URLSearchParams({ q, range })}`;
}
