import { useCallback, useEffect, useState } from 'react';
import { useKeys } from '../app/keys';
import { usePreference } from '../app/preferences';
import { Link, navigate, useQuery, withParams } from '../app/router';
import { useVisitor } from '../app/visitor';
import { useDeadLetters } from '../features/dead-letters/dead-letters';
import { useLiveTask } from '../features/execution-log/useLiveTask';
import type { Mode } from '../features/execution-log/waterfall';
import { StepDetail } from '../features/step-detail/StepDetail';
import { TaskOverview } from '../features/step-detail/TaskOverview';
import { neighbour } from '../features/task-list/neighbours';
import { TaskTabs, tabOf } from '../features/task-tabs/TaskTabs';
import { TaskViews } from '../features/task-tabs/TaskViews';
import { TimeTravelBar } from '../features/time-travel/TimeTravelBar';
import { usePastTask } from '../features/time-travel/usePastTask';
import '../features/task-list/task-list.css';
import { ErrorStrip, toast } from '../ui/controls';
import { plural } from '../ui/format';
import { Splitter } from '../ui/Splitter';
import { NotFound } from './not-found';
import { TaskBar } from './TaskBar';
import './task.css';

const DETAIL_SHARE = 0.38;
const DETAIL_MIN = 420;
/** After this long a page that waits says so. */
const SLOW_MS = 5_000;

interface TaskPageProps {
  project: string;
  task: string;
  /** the page is part of a queue, which knows its neighbours */
  onNeighbour?: (by: 1 | -1) => void;
}

/** `/projects/{project}/tasks/{task}?tab=&step=`: the steps or another view of them, and the selected one beside it. */
export function TaskPage({ project, task, onNeighbour }: TaskPageProps) {
  const [present, presentVersion] = useLiveTask(project, task);
  const query = useQuery();
  const visitor = useVisitor();
  const at = visitor ? null : query.get('at');
  const [past, pastVersion] = usePastTask(project, task, present, at);
  const [live, version] = past?.table ? [past, pastVersion] : [present, presentVersion];
  const step = query.get('step');
  const asked = tabOf(query.get('tab'), visitor);
  // a conversation and a delivery are read from the tables, which hold the present
  const tab = past && asked?.isPresent ? null : asked;
  const mode: Mode = query.get('view') === 'log' ? 'log' : 'tree';
  const filterText = query.get('find') ?? '';
  /** in a narrow window: the task's own facts and scores lie over its steps */
  const about = query.get('about') !== null;
  const [pane, setPane] = usePreference('detail.pane', 'open');
  const [size, setSize] = usePreference('detail.size', '');
  const width = useWindowWidth();

  const select = useCallback((id: string | null) => navigate(withParams({ step: id }), { replace: true }), []);
  const setMode = useCallback(
    (next: Mode) => navigate(withParams({ view: next === 'log' ? 'log' : null }), { replace: true }),
    [],
  );
  const setFilter = useCallback((text: string) => navigate(withParams({ find: text }), { replace: true }), []);

  const name = live.folded.document?.name ?? live.task?.name;
  useEffect(() => {
    document.title = name ? `${name} · AMS` : 'Task · AMS';
  }, [name]);

  const toNeighbour = (by: 1 | -1) => {
    if (onNeighbour) return onNeighbour(by);
    const id = neighbour(task, by);
    if (visitor) return;
    if (id) navigate(`/projects/${project}/tasks/${id}`, { replace: true });
    else toast(by < 0 ? 'This is the first task in the list' : 'This is the last task in the list');
  };
  const travel = () => navigate(withParams({ at: 'now' }), { replace: true });
  useKeys({
    Escape: () => {
      if (filterText) setFilter('');
      else if (step) select(null);
      else if (about) navigate(withParams({ about: null }), { replace: true });
      else if (!visitor) navigate(`/projects/${project}/tasks`);
    },
    Enter: (event) => {
      const { target } = event;
      if (target instanceof HTMLElement && /^(A|BUTTON|SUMMARY)$/.test(target.tagName)) target.click();
      else document.getElementById('detail')?.focus();
    },
    '[': () => toNeighbour(-1),
    ']': () => toNeighbour(1),
    '\\': () => setPane(pane === 'open' ? 'closed' : 'open'),
    ...(past || visitor ? {} : { ',': () => travel() }),
  });

  const { table, tree } = live;
  if (live.error?.status === 404 && !table) return <TaskNotFound retrying={live.phase === 'not-found-yet'} />;
  if (live.phase === 'deleted') return <Deleted project={project} />;
  if (!table || !tree || !live.task) {
    return live.phase === 'failed' && live.error ? (
      <ErrorStrip error={live.error} doing="Cannot load this task" onRetry={live.reload} />
    ) : (
      <LoadingTask />
    );
  }

  const detailWidth = Number(size) || Math.max(DETAIL_MIN, Math.round(width * DETAIL_SHARE));
  const shown = pane === 'open' || ((step !== null || about) && width <= 1100);
  return (
    <div className="task-page">
      <TaskBar project={project} live={live} task={live.task} table={table} onTravel={travel} />
      {past ? (
        <TimeTravelBar past={past} onLeave={() => navigate(withParams({ at: null }), { replace: true })} />
      ) : null}
      {live.error ? <ErrorStrip error={live.error} doing="Cannot refresh this task" onRetry={live.reload} /> : null}
      {visitor ? null : <NotStored project={project} task={task} />}
      <TaskTabs open={tab} isPast={past !== null} visitor={visitor} />
      <div className="task-panes">
        <TaskViews
          tab={tab}
          project={project}
          task={task}
          live={live}
          table={table}
          tree={tree}
          version={version}
          selectedId={step}
          onSelect={select}
          mode={mode}
          onMode={setMode}
          filterText={filterText}
          onFilter={setFilter}
        />
        {shown ? (
          <>
            <Splitter
              label="Width of the detail pane"
              value={detailWidth}
              min={320}
              max={Math.max(DETAIL_MIN, width - 380)}
              reverse
              onChange={(next) => setSize(String(Math.round(next)))}
              onReset={() => setSize('')}
            />
            <aside
              className={step ? 'detail-pane' : about ? 'detail-pane no-selection about' : 'detail-pane no-selection'}
              style={{ width: detailWidth }}
              aria-label={step ? 'Step' : 'Task'}
            >
              {step ? (
                <StepDetail
                  found={filterText}
                  key={step}
                  project={project}
                  task={task}
                  stepId={step}
                  live={live}
                  table={table}
                  tree={tree}
                  version={version}
                  onClose={() => select(null)}
                  onSelect={select}
                />
              ) : (
                <TaskOverview
                  project={project}
                  task={live.task}
                  live={live}
                  table={table}
                  tree={tree}
                  onSelect={select}
                />
              )}
            </aside>
          </>
        ) : null}
      </div>
    </div>
  );
}

/** Some events of this task could not be stored. */
function NotStored({ project, task }: { project: string; task: string }) {
  const { letters } = useDeadLetters(project);
  const own = letters.filter((letter) => letter.task_id === task && letter.replayed_at_us === null).length;
  if (own === 0) return null;
  return (
    <div className="strip soft" role="status">
      <p>
        {plural(own, 'record')} of this task {own === 1 ? 'was' : 'were'} not stored, so steps may be missing.{' '}
        <Link to={`/projects/${project}/not-stored?task=${task}`}>Details</Link>
      </p>
    </div>
  );
}

/** An unknown task: says so at once, and opens it should its first event still arrive. */
function TaskNotFound({ retrying }: { retrying: boolean }) {
  return (
    <NotFound what="task">
      {retrying ? (
        <p className="listening" role="status">
          <span className="live-dot" aria-hidden="true" /> If its agent has just started, the task opens here when its
          first event arrives.
        </p>
      ) : null}
    </NotFound>
  );
}

/** A large task takes a while: a bar at once, a sentence after some seconds. */
function LoadingTask() {
  const [slow, setSlow] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setSlow(true), SLOW_MS);
    return () => clearTimeout(timer);
  }, []);
  return (
    <div className="task-awaited" aria-busy="true">
      <div className="loading-bar" />
      {slow ? (
        <p className="quiet" role="status">
          Loading the steps of this task. Large tasks take a few seconds.
        </p>
      ) : null}
    </div>
  );
}

function Deleted({ project }: { project: string }) {
  return (
    <div className="plain-page">
      <h1>This task was deleted</h1>
      <p className="quiet">It was deleted while this page was open.</p>
      <p>
        <Link className="button" to={`/projects/${project}/tasks`}>
          Go to tasks
        </Link>
      </p>
    </div>
  );
}

function useWindowWidth(): number {
  const [width, setWidth] = useState(window.innerWidth);
  useEffect(() => {
    const measure = () => setWidth(window.innerWidth);
    window.addEventListener('resize', measure);
    return () => window.removeEventListener('resize', measure);
  }, []);
  return width;
}
