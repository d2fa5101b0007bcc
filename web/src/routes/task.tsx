import { useQuery as useServer } from '@tanstack/react-query';
import { useCallback, useEffect, useState } from 'react';
import { projectsQuery } from '../api/queries';
import type { Status, Task } from '../api/types';
import { useKeys } from '../app/keys';
import { LivePill } from '../app/live';
import { usePreference } from '../app/preferences';
import { Link, navigate, useQuery, withParams } from '../app/router';
import { CompareItems } from '../features/compare/CompareItems';
import { useDeadLetters } from '../features/dead-letters/dead-letters';
import type { LiveTask } from '../features/execution-log/live-task';
import { Silence } from '../features/execution-log/TraceStep';
import type { StepTable } from '../features/execution-log/table';
import { useLiveTask } from '../features/execution-log/useLiveTask';
import type { Mode } from '../features/execution-log/waterfall';
import { ScoreFacts } from '../features/scores/TaskScores';
import { StepDetail } from '../features/step-detail/StepDetail';
import { TaskOverview } from '../features/step-detail/TaskOverview';
import { DeleteTask } from '../features/task-list/DeleteTask';
import { neighbour } from '../features/task-list/neighbours';
import { TaskTabs, tabOf } from '../features/task-tabs/TaskTabs';
import { TaskViews } from '../features/task-tabs/TaskViews';
import { TimeTravelBar } from '../features/time-travel/TimeTravelBar';
import { usePastTask } from '../features/time-travel/usePastTask';
import { ExportDialog } from '../features/transfer/ExportDialog';
import '../features/task-list/task-list.css';
import { CopyId, copyText, ErrorStrip, Menu, Ticking, toast } from '../ui/controls';
import { count, duration, exact, nusd, plural } from '../ui/format';
import { Icon, StatusPill } from '../ui/Icon';
import { Splitter } from '../ui/Splitter';
import { costText, costTitle, tokensText, tokensTitle } from '../ui/totals';
import { NotFound } from './not-found';
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
  const at = query.get('at');
  const [past, pastVersion] = usePastTask(project, task, present, at);
  const [live, version] = past?.table ? [past, pastVersion] : [present, presentVersion];
  const step = query.get('step');
  const asked = tabOf(query.get('tab'));
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
    if (id) navigate(`/projects/${project}/tasks/${id}`, { replace: true });
    else toast(by < 0 ? 'This is the first task in the list' : 'This is the last task in the list');
  };
  const travel = () => navigate(withParams({ at: 'now' }), { replace: true });
  useKeys({
    Escape: () => {
      if (filterText) setFilter('');
      else if (step) select(null);
      else if (about) navigate(withParams({ about: null }), { replace: true });
      else navigate(`/projects/${project}/tasks`);
    },
    Enter: (event) => {
      const { target } = event;
      if (target instanceof HTMLElement && /^(A|BUTTON|SUMMARY)$/.test(target.tagName)) target.click();
      else document.getElementById('detail')?.focus();
    },
    '[': () => toNeighbour(-1),
    ']': () => toNeighbour(1),
    '\\': () => setPane(pane === 'open' ? 'closed' : 'open'),
    ...(past ? {} : { ',': () => travel() }),
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
      <NotStored project={project} task={task} />
      <TaskTabs open={tab} isPast={past !== null} />
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

interface TaskBarProps {
  project: string;
  live: LiveTask;
  task: Task;
  table: StepTable;
  onTravel: () => void;
}

/** The head: name, status and totals of the task, and the state of the live connection. */
function TaskBar({ project, live, task, table, onTravel }: TaskBarProps) {
  const document = live.folded.document;
  const status: Status = document?.status ?? task.status;
  const startedAtUs = document?.started_at_us ?? task.started_at_us;
  const open = status === 'running' || status === 'waiting';
  const errors = live.errors ?? task.errors;
  const waiting = table.countOf('waiting');
  const note = status === 'ok' && errors > 0 ? `${plural(errors, 'error')} inside` : undefined;
  const nano = nusd(task.cost_usd);
  return (
    <header className="task-bar">
      <Link
        to={`/projects/${project}/tasks`}
        className="button plain square"
        aria-label="Back to tasks"
        title="Back to tasks (Esc)"
      >
        <Icon name="back" />
      </Link>
      <h1 className="cut" title={document?.name ?? task.name}>
        {document?.name ?? (task.name || 'Unnamed task')}
      </h1>
      <StatusPill status={status === 'running' && waiting > 0 ? 'waiting' : status} note={note} />
      {open && !live.isPast ? <Silence lastEventUs={live.lastEventUs} /> : null}
      <dl className="task-facts">
        <div>
          <dt>{open ? 'so far' : ''}</dt>
          <dd>
            {open && live.isPast ? (
              duration(startedAtUs === null ? null : Math.max(0, live.lastEventUs - startedAtUs))
            ) : open && startedAtUs !== null ? (
              <Ticking sinceUs={startedAtUs} />
            ) : (
              // the service includes work that ended after the task itself
              duration(isOver(task) ? task.duration_us : (document?.duration_us ?? task.duration_us))
            )}
          </dd>
        </div>
        <div>
          <dt>{table.size === 1 ? 'step' : 'steps'}</dt>
          <dd>{exact(table.size)}</dd>
        </div>
        {errors > 0 ? (
          <div>
            <dt>{errors === 1 ? 'error' : 'errors'}</dt>
            <dd className="bad">{exact(errors)}</dd>
          </div>
        ) : null}
        <Tokens task={task} />
        {nano === null ? null : (
          <div title={costTitle(task)}>
            <dt>cost</dt>
            <dd>{costText(task)}</dd>
          </div>
        )}
        <ScoreFacts project={project} task={task.task_id} live={live} />
      </dl>
      <span style={{ flex: 1 }} />
      <CopyId id={task.task_id} what="the task ID" />
      {live.isPast ? null : (
        <button
          type="button"
          className="button plain square"
          aria-label="Time travel"
          title="See the task as it was at an earlier moment (,)"
          onClick={onTravel}
        >
          <Icon name="history" />
        </button>
      )}
      {live.isPast ? null : <LivePill over={!open} />}
      <button
        type="button"
        className="button plain square task-about"
        aria-label="Task details and scores"
        title="Task details and scores"
        onClick={() =>
          navigate(withParams({ step: null, about: location.search.includes('about=') ? null : '1' }), {
            replace: true,
          })
        }
      >
        <Icon name="panel" />
      </button>
      <TaskMenu project={project} task={task.task_id} name={document?.name ?? task.name} />
    </header>
  );
}

function Tokens({ task }: { task: Task }) {
  const { input_tokens: input, output_tokens: output, unmetered_calls: unmetered } = task;
  if (input + output === 0 && unmetered <= 0) return null;
  return (
    <div title={tokensTitle(task)}>
      <dt>tokens</dt>
      {input + output === 0 ? (
        <dd>{tokensText(task)}</dd>
      ) : (
        <dd>
          {unmetered > 0 ? '≥ ' : ''}
          {count(input)} <span className="faint">in</span> {unmetered > 0 ? '≥ ' : ''}
          {count(output)} <span className="faint">out</span>
        </dd>
      )}
    </div>
  );
}

function isOver(task: Task): boolean {
  return task.status !== 'running' && task.status !== 'waiting';
}

function TaskMenu({ project, task, name }: { project: string; task: string; name: string }) {
  const [asking, setAsking] = useState(false);
  const [exporting, setExporting] = useState(false);
  const projects = useServer(projectsQuery);
  const role = projects.data?.items.find((item) => item.project_id === project)?.role;
  const deleted = () => {
    toast('Task deleted');
    navigate(`/projects/${project}/tasks`, { replace: true });
  };
  return (
    <>
      <Menu name="Task actions" className="button plain square" align="end" label={<Icon name="more" />}>
        {(close) => (
          <>
            <button
              type="button"
              className="menu-item"
              onClick={() => {
                close();
                void copyText(`${location.origin}/t/${task}`, 'the short link');
              }}
            >
              <Icon name="link" /> Copy short link
            </button>
            <CompareItems project={project} task={task} name={name} onDone={close} />
            <button
              type="button"
              className="menu-item"
              onClick={() => {
                close();
                setExporting(true);
              }}
            >
              <Icon name="download" /> Export…
            </button>
            <div className="menu-rule" />
            <button
              type="button"
              className="menu-item danger"
              disabled={role === undefined || role === 'viewer'}
              title={role === 'viewer' ? 'Viewers cannot delete tasks' : undefined}
              onClick={() => {
                close();
                setAsking(true);
              }}
            >
              <Icon name="trash" /> Delete…
            </button>
          </>
        )}
      </Menu>
      {exporting ? (
        <ExportDialog project={project} tasks={[task]} name={name} onClose={() => setExporting(false)} />
      ) : null}
      {asking ? (
        <DeleteTask
          project={project}
          task={task}
          name={name || 'Unnamed task'}
          onDeleted={deleted}
          onClose={() => setAsking(false)}
        />
      ) : null}
    </>
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
