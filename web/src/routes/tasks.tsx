import { useEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react';
import { request } from '../api/http';
import type { ApiError } from '../api/problems';
import type { TaskPage } from '../api/types';
import { useKeys } from '../app/keys';
import { LivePill, useLive } from '../app/live';
import { usePreference } from '../app/preferences';
import { navigate, useQuery, withParams } from '../app/router';
import { GettingStarted } from '../features/getting-started/GettingStarted';
import { Facets } from '../features/task-list/Facets';
import { PAGE_SIZE, TaskFeed } from '../features/task-list/feed';
import { NO_FILTER, startOf, type TaskFilter, wordsOf } from '../features/task-list/filter';
import { Histogram } from '../features/task-list/Histogram';
import { rememberOrder } from '../features/task-list/neighbours';
import { NEWEST_FIRST } from '../features/task-list/orders';
import { QueryInput } from '../features/task-list/QueryInput';
import { SavedViews } from '../features/task-list/SavedViews';
import { SelectionBar } from '../features/task-list/SelectionBar';
import { withSuggestion } from '../features/task-list/suggestion';
import { TaskList } from '../features/task-list/TaskList';
import { ColumnsMenu, PauseButton, QuickViews, RangeMenu } from '../features/task-list/Toolbar';
import { ImportDialog } from '../features/transfer/ImportDialog';
import { ImportDrop } from '../features/transfer/ImportDrop';
import '../features/task-list/task-list.css';
import '../features/task-list/explore.css';
import { serverNowUs } from '../ui/clock';
import { ErrorStrip } from '../ui/controls';
import { clock, dateTime, plural } from '../ui/format';
import { Icon } from '../ui/Icon';

/** The feed of a filter, and the one whose rows are shown: the last one that had an answer. */
function useFeed(project: string, filter: TaskFilter): [TaskFeed, TaskFeed] {
  const live = useLive();
  const { q, status, agent, from, to, sort } = filter;
  const feed = useMemo(
    () =>
      new TaskFeed(
        (cursor) =>
          request<TaskPage>(`/api/traces/${project}/tasks`, {
            query: { q, status, agent, from, to, sort, limit: PAGE_SIZE, cursor },
          }),
        { q, status, agent, from, to, sort },
      ),
    [project, q, status, agent, from, to, sort],
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

/** The filter of the address. A relative range starts where it was chosen: its rows do not leave by themselves. */
function useFilter(project: string): [TaskFilter, string] {
  const query = useQuery();
  const range = query.get('range') ?? '';
  // biome-ignore lint/correctness/useExhaustiveDependencies: another project begins again
  const start = useMemo(() => startOf(range, serverNowUs() / 1_000), [range, project]);
  const filter = {
    q: query.get('q') ?? '',
    status: query.get('status') ?? '',
    agent: query.get('agent') ?? '',
    from: start || (query.get('from') ?? ''),
    to: start ? '' : (query.get('to') ?? ''),
    sort: query.get('sort') || NEWEST_FIRST,
  };
  return [filter, range];
}

/** `/projects/{project}/tasks`: the filter is the address. */
export function TasksPage({ project }: { project: string }) {
  const [filter, range] = useFilter(project);
  const [feed, shown] = useFeed(project, filter);
  // what is typed may be half of a word: it counts as a mistake once the typing is over
  const [typing, setTyping] = useState(false);
  const [marked, setMarked] = useState<ReadonlySet<string>>(new Set());
  // kept here: the dialog stays open when the first imported task replaces the empty page
  const [file, setFile] = useState<File | null>(null);
  const [facets, setFacets] = usePreference('task-facets', 'closed');
  const [chart, setChart] = usePreference('task-chart-open', 'open');
  const filtered = Object.entries(filter).some(([name, value]) => name !== 'sort' && value);
  const searching = feed.scannedBackToUs !== null && !feed.error;
  const refused = feed.error !== null && filter.q !== '' && feed.error.status === 400;
  const empty = feed.tasks.length === 0 && !feed.loading && !feed.error && !searching;
  const first = empty && !filtered;
  const live = !feed.paused && filter.to === '';
  const mark = (taskId: string) => {
    const next = new Set(marked);
    if (!next.delete(taskId)) next.add(taskId);
    setMarked(next);
  };

  useEffect(() => {
    document.title = 'Tasks · AMS';
  }, []);

  return (
    <div className="tasks-page">
      <h1 className="visually-hidden">Tasks</h1>
      {first ? null : (
        <>
          <QueryLine project={project} filter={filter} refused={refused} onTyping={setTyping} />
          <div className="tasks-toolbar">
            <button
              type="button"
              className="button plain small wide-only"
              aria-pressed={facets === 'open'}
              onClick={() => setFacets(facets === 'open' ? 'closed' : 'open')}
            >
              <Icon name="filter" />
              Filters
            </button>
            <QuickViews status={filter.status} />
            <span className="toolbar-space" />
            <PauseButton feed={shown} />
            <SavedViews project={project} filter={filter} range={range} />
            <RangeMenu range={range} from={filter.from} to={filter.to} />
            <button
              type="button"
              className="button plain small square"
              aria-label="Chart"
              title="Show or hide the chart"
              aria-pressed={chart === 'open'}
              onClick={() => setChart(chart === 'open' ? 'closed' : 'open')}
            >
              <Icon name="chart" />
            </button>
            <ColumnsMenu />
            <ImportDrop onFile={setFile} />
          </div>
        </>
      )}
      {first || refused || chart !== 'open' ? null : <Histogram project={project} filter={filter} live={live} />}
      {refused ? (
        typing ? null : (
          <RefusedQuery q={filter.q} error={feed.error as ApiError} />
        )
      ) : feed.error ? (
        <ErrorStrip error={feed.error} doing="Cannot load the tasks" onRetry={feed.refresh} />
      ) : null}
      <SearchNotes feed={feed} searching={searching} />
      {(feed.loading || feed.loadingMore) && (shown.tasks.length > 0 || searching) ? (
        <div className="loading-bar" />
      ) : null}
      <div className="tasks-body">
        {first || refused || facets !== 'open' ? null : <Facets project={project} filter={filter} live={live} />}
        <div className="tasks-main">
          {empty ? (
            filtered ? (
              <NoHits filter={filter} />
            ) : (
              <>
                <GettingStarted project={project} />
                <p className="import-hint quiet">
                  Or import a file that was exported: <ImportDrop onFile={setFile} />
                </p>
              </>
            )
          ) : shown.loading && shown.tasks.length === 0 ? (
            <Ghosts />
          ) : (
            <TaskList project={project} feed={shown} q={filter.q} sort={filter.sort} marked={marked} onMark={mark} />
          )}
        </div>
      </div>
      {marked.size > 0 ? (
        <SelectionBar
          project={project}
          marked={marked}
          onClear={() => setMarked(new Set())}
          onDeleted={(tasks) => {
            feed.drop(tasks);
            setMarked(new Set());
          }}
        />
      ) : null}
      {file ? <ImportDialog project={project} file={file} onClose={() => setFile(null)} /> : null}
    </div>
  );
}

/** What the rows do not show yet: text that is not indexed, and tasks that were not searched or sorted. */
function SearchNotes({ feed, searching }: { feed: TaskFeed; searching: boolean }) {
  return (
    <>
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
      {feed.sortedBackToUs !== null && !feed.error ? (
        <p className="query-note behind" role="status">
          Sorted are the tasks since {dateTime(feed.sortedBackToUs)}. Choose a time range to sort older ones.
        </p>
      ) : null}
    </>
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
  refused: boolean;
  onTyping: (typing: boolean) => void;
}

function QueryLine({ project, filter, refused, onTyping }: QueryLineProps) {
  const [text, setText] = useState(filter.q);
  const input = useRef<HTMLInputElement>(null);

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
        refused={refused ? filter.q : null}
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
      <LivePill />
    </search>
  );
}

const EVERYTHING = Object.fromEntries(Object.keys(NO_FILTER).map((name) => [name, null]));

function NoHits({ filter }: { filter: TaskFilter }) {
  const clauses: [string, string, string][] = Object.entries(filter).flatMap(([name, value]) => {
    if (!value || name === 'sort') return [];
    if (name !== 'q') return [[name, `${name}:${value}`, ''] as [string, string, string]];
    const words = wordsOf(value);
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
              onClick={() =>
                navigate(withParams({ [name]: rest || null, ...(name === 'from' ? { range: null } : {}) }))
              }
            >
              <Icon name="close" />
            </button>
          </span>
        ))}
      </div>
      <button type="button" className="button" onClick={() => navigate(withParams({ ...EVERYTHING, range: null }))}>
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
