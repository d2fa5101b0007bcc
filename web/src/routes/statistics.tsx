import { useQuery as useServer } from '@tanstack/react-query';
import { useEffect, useMemo } from 'react';
import { asApiError } from '../api/problems';
import { navigate, useQuery, withParams } from '../app/router';
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
import { TimeBars } from '../features/statistics/TimeBars';
import { clauseOf } from '../features/task-list/filter';
import { serverNowUs } from '../ui/clock';
import { ErrorStrip, Segmented } from '../ui/controls';
import { cost, count, duration, exact, nusd } from '../ui/format';

/** `/projects/{project}/statistics`: steps over time and by agent, model, tool or type, from hourly rollups. */
export function StatisticsPage({ project }: { project: string }) {
  const query = useQuery();
  const range = RANGES.find(({ value }) => value === query.get('range')) ?? RANGES[1];
  const dimension = DIMENSIONS.find(({ value }) => value === query.get('by')) ?? DIMENSIONS[0];
  const chosen = query.get('only');
  const only = chosen === null ? {} : { [dimension.value]: chosen };
  const interval = intervalOf(range.hours);
  const from = useMemo(() => startOf(range.hours, serverNowUs() / 1_000), [range.hours]);
  const total = useServer(statisticsQuery(project, null, from, only));
  const times = useServer(statisticsQuery(project, interval, from, only));
  const groups = useServer(statisticsQuery(project, dimension.value, from, {}));
  const error = total.error ?? times.error ?? groups.error;
  useEffect(() => {
    document.title = 'Statistics · AMS';
  }, []);

  const points = times.data ? seriesOf(times.data, interval) : [];
  const sum = total.data?.items[0];
  const items = groups.data?.items ?? [];
  return (
    <div className="page statistics-page">
      <div className="page-inner">
        <div className="statistics-head">
          <h1>Statistics</h1>
          {chosen !== null ? (
            <button type="button" className="button small" onClick={() => navigate(withParams({ only: null }))}>
              {dimension.label}: {chosen || 'none'} ×
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
          <Segmented
            small
            label="Group by"
            value={dimension.value}
            options={DIMENSIONS}
            onChange={(value) => navigate(withParams({ by: value, only: null }))}
          />
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
      </div>
    </div>
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

function saveCsv(name: string, text: string): void {
  const address = URL.createObjectURL(new Blob([text], { type: 'text/csv;charset=utf-8' }));
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
