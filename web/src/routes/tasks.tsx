import { useQuery as useServer } from '@tanstack/react-query';
import { useEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react';
import { request } from '../api/http';
import type { ApiError } from '../api/problems';
import { agentsQuery } from '../api/queries';
import { STATUSES, type TaskPage } from '../api/types';
import { useKeys } from '../app/keys';
import { LivePill, useLive } from '../app/live';
import { navigate, useQuery, withParams } from '../app/router';
import { GettingStarted } from '../features/getting-started/GettingStarted';
import { PAGE_SIZE, TaskFeed, type TaskFilter } from '../features/task-list/feed';
import { rememberOrder } from '../features/task-list/neighbours';
import { QueryInput } from '../features/task-list/QueryInput';
import { withSuggestion } from '../features/task-list/suggestion';
import { TaskList } from '../features/task-list/TaskList';
import '../features/task-list/task-list.css';
import { ErrorStrip, Menu } from '../ui/controls';
import { clock, dateTime, plural } from '../ui/format';
import { Icon, StatusMark } from '../ui/Icon';

/** The feed of a filter, and the one whose rows are shown: the last one that had an answer. */
function useFeed(project: string, filter: TaskFilter): [TaskFeed, TaskFeed] {
  const live = useLive();
  const { q, status, agent, from, to } = filter;
  const feed = useMemo(
    () =>
      new TaskFeed(
        (cursor) =>
          request<TaskPage>(`/api/traces/${project}/tasks`, {
            query: { q, status, agent, from, to, limit: PAGE_SIZE, cursor },
          }),
        { q, status, agent, from, to },
      ),
    [project, q, status, agent, from, to],
  );
  useEffect(() => {
    feed.start();
    const following = live.followList({
      onTasks: (notices) => feed.applyNotices(notices),
      onReset: () => void feed.refresh(),
    });
    return () => {
      rememberOrder(feed.tasks.map((task) => task.task_id));
      following.stop();
      feed.stop();
    };
  }, [feed, live]);
  useSyncExternalStore(feed.subscribe, feed.getVersion);
  const answered = useRef(feed);
  if (feed.tasks.length > 0 || !(feed.loading || feed.error || feed.scannedBackToUs !== null)) answered.current = feed;
  return [feed, answered.current];
}

/** `/projects/{project}/tasks`: the filter is the address. */
export function TasksPage({ project }: { project: string }) {
  const query = useQuery();
  const filter: TaskFilter = {
    q: query.get('q') ?? '',
    status: query.get('status') ?? '',
    agent: query.get('agent') ?? '',
    from: query.get('from') ?? '',
    to: query.get('to') ?? '',
  };
  const [feed, shown] = useFeed(project, filter);
  // what is typed may be half of a word: it counts as a mistake once the typing is over
  const [typing, setTyping] = useState(false);
  const filtered = Object.values(filter).some(Boolean);
  const searching = feed.scannedBackToUs !== null && !feed.error;
  const refused = feed.error !== null && filter.q !== '' && feed.error.status === 400;
  const empty = feed.tasks.length === 0 && !feed.loading && !feed.error && !searching;

  useEffect(() => {
    document.title = 'Tasks · AMS';
  }, []);

  return (
    <div className="tasks-page">
      <h1 className="visually-hidden">Tasks</h1>
      {empty && !filtered ? null : <QueryLine project={project} filter={filter} onTyping={setTyping} />}
      {refused ? (
        typing ? null : (
          <RefusedQuery q={filter.q} error={feed.error as ApiError} />
        )
      ) : feed.error ? (
        <ErrorStrip error={feed.error} doing="Cannot load the tasks" onRetry={feed.refresh} />
      ) : null}
      {feed.textBehind && !feed.error ? (
        <p className="query-note behind" role="status">
          {feed.textBehind.untilUs === null
            ? 'The newest inputs and outputs are not searchable yet'
            : `Inputs and outputs after ${clock(feed.textBehind.untilUs, 0)} are not searchable yet`}
          : {plural(feed.textBehind.records, 'record')} left to index.
        </p>
      ) : null}
      {searching && feed.tasks.length < PAGE_SIZE ? (
        <p className="query-note behind" role="status">
          Searched back to {dateTime(feed.scannedBackToUs ?? 0)}. Searching older tasks…
        </p>
      ) : null}
      {(feed.loading || feed.loadingMore) && (shown.tasks.length > 0 || searching) ? (
        <div className="loading-bar" />
      ) : null}
      {empty ? (
        filtered ? (
          <NoHits filter={filter} />
        ) : (
          <GettingStarted project={project} />
        )
      ) : shown.loading && shown.tasks.length === 0 ? (
        <Ghosts />
      ) : (
        <TaskList project={project} feed={shown} />
      )}
    </div>
  );
}

function RefusedQuery({ q, error }: { q: string; error: ApiError }) {
  const { column, suggestion } = error.hint;
  const meant = withSuggestion(q, column, suggestion);
  return (
    <p className="query-note" role="alert">
      {column ? (
        // under the column of the mistake; of a long query at the end of what can be seen
        <span className="query-mistake" style={{ marginLeft: `min(${column - 1}ch, 70%)` }} aria-hidden="true">
          ↑
        </span>
      ) : null}
      {error.message}
      {column ? ` (column ${column})` : ''}{' '}
      {meant !== null ? (
        <>
          Did you mean{' '}
          <button type="button" className="button small" onClick={() => navigate(withParams({ q: meant }))}>
            {suggestion}
          </button>
          ?
        </>
      ) : suggestion ? (
        `Use ${suggestion}.`
      ) : null}
    </p>
  );
}

interface QueryLineProps {
  project: string;
  filter: TaskFilter;
  onTyping: (typing: boolean) => void;
}

function QueryLine({ project, filter, onTyping }: QueryLineProps) {
  const [text, setText] = useState(filter.q);
  const input = useRef<HTMLInputElement>(null);
  const agents = useServer(agentsQuery(project));

  // the address also changes by the back button and when a filter is removed
  useEffect(() => setText(filter.q), [filter.q]);
  useEffect(() => {
    if (text === filter.q) return;
    const timer = setTimeout(() => navigate(withParams({ q: text.trim() }), { replace: true }), 300);
    return () => clearTimeout(timer);
  }, [text, filter.q]);
  useKeys({ '/': () => input.current?.focus() });

  return (
    <search className="query-line">
      <QueryInput
        project={project}
        input={input}
        text={text}
        onText={(next) => {
          setText(next);
          onTyping(true);
        }}
        onQuery={(next) => {
          onTyping(false);
          navigate(withParams({ q: next.trim() }));
        }}
        onBlur={() => onTyping(false)}
      />
      <Menu
        name="Filter by status"
        className="button"
        align="end"
        label={
          <>
            {filter.status || 'Any status'}
            <Icon name="down" />
          </>
        }
      >
        {(close) =>
          ['', ...STATUSES].map((status) => (
            <button
              key={status}
              type="button"
              className="menu-item"
              aria-current={status === filter.status}
              onClick={() => {
                navigate(withParams({ status }));
                close();
              }}
            >
              <span style={{ width: 14 }}>
                {status ? <StatusMark status={status as (typeof STATUSES)[number]} /> : null}
              </span>
              {status || 'Any status'}
            </button>
          ))
        }
      </Menu>
      <Menu
        name="Filter by agent"
        className="button"
        align="end"
        label={
          <>
            <span className="cut" style={{ maxWidth: 140 }}>
              {filter.agent || 'Any agent'}
            </span>
            <Icon name="down" />
          </>
        }
      >
        {(close) =>
          ['', ...(agents.data?.items.map((agent) => agent.name) ?? [])].map((agent) => (
            <button
              key={agent}
              type="button"
              className="menu-item"
              aria-current={agent === filter.agent}
              onClick={() => {
                navigate(withParams({ agent }));
                close();
              }}
            >
              {agent || 'Any agent'}
            </button>
          ))
        }
      </Menu>
      <LivePill />
    </search>
  );
}

function NoHits({ filter }: { filter: TaskFilter }) {
  const clauses: [string, string, string][] = Object.entries(filter).flatMap(([name, value]) => {
    if (!value) return [];
    if (name !== 'q') return [[name, `${name}:${value}`, ''] as [string, string, string]];
    const words: string[] = value.match(/-?(?:\w+(?:\.\w+)?:)?(?:"[^"]*"?|\([^)]*\)?|\S+)/g) ?? [];
    return words.map(
      (word, index) => ['q', word, words.filter((_, at) => at !== index).join(' ')] as [string, string, string],
    );
  });
  return (
    <div className="no-hits">
      <h2>No tasks found</h2>
      <p className="quiet">Remove a filter:</p>
      <div className="filter-clauses">
        {clauses.map(([name, word, rest], index) => (
          <span key={`${word}-${index}`} className="chip">
            {word}
            <button
              type="button"
              aria-label={`Remove ${word}`}
              onClick={() => navigate(withParams({ [name]: rest || null }))}
            >
              <Icon name="close" />
            </button>
          </span>
        ))}
      </div>
      <button
        type="button"
        className="button"
        onClick={() => navigate(withParams({ q: null, status: null, agent: null, from: null, to: null }))}
      >
        Show all tasks
      </button>
    </div>
  );
}

/** Placeholder rows while there is no earlier content to keep. */
function Ghosts() {
  return (
    <div style={{ padding: '40px 16px', display: 'grid', gap: 14 }} aria-hidden="true">
      {Array.from({ length: 14 }, (_, index) => (
        <div key={index} className="ghost" style={{ height: 18, width: `${92 - ((index * 37) % 40)}%` }} />
      ))}
    </div>
  );
}
