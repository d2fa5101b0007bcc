import { useQuery as useServer } from '@tanstack/react-query';
import { useState } from 'react';
import { projectsQuery } from '../api/queries';
import type { Status, Task } from '../api/types';
import { LivePill } from '../app/live';
import { Link, navigate, withParams } from '../app/router';
import { useVisitor } from '../app/visitor';
import { CompareItems } from '../features/compare/CompareItems';
import type { LiveTask } from '../features/execution-log/live-task';
import { Silence } from '../features/execution-log/TraceStep';
import type { StepTable } from '../features/execution-log/table';
import { ScoreFacts } from '../features/scores/TaskScores';
import { ShareDialog } from '../features/share/ShareDialog';
import { DeleteTasks } from '../features/task-list/DeleteTasks';
import { ExportDialog } from '../features/transfer/ExportDialog';
import { CopyId, copyText, Menu, Ticking, toast } from '../ui/controls';
import { count, duration, exact, nusd, plural } from '../ui/format';
import { Icon, StatusPill } from '../ui/Icon';
import { costText, costTitle, tokensText, tokensTitle } from '../ui/totals';

interface TaskBarProps {
  project: string;
  live: LiveTask;
  task: Task;
  table: StepTable;
  onTravel: () => void;
}

/** The head: name, status and totals of the task, and the state of the live connection. */
export function TaskBar({ project, live, task, table, onTravel }: TaskBarProps) {
  const visitor = useVisitor();
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
      {visitor ? null : (
        <Link
          to={`/projects/${project}/tasks`}
          className="button plain square"
          aria-label="Back to tasks"
          title="Back to tasks (Esc)"
        >
          <Icon name="back" />
        </Link>
      )}
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
        {visitor ? null : <ScoreFacts project={project} task={task.task_id} live={live} />}
      </dl>
      <span style={{ flex: 1 }} />
      <CopyId id={task.task_id} what="the task ID" />
      {live.isPast || visitor ? null : (
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
        aria-label={visitor ? 'Task details' : 'Task details and scores'}
        title={visitor ? 'Task details' : 'Task details and scores'}
        onClick={() =>
          navigate(withParams({ step: null, about: location.search.includes('about=') ? null : '1' }), {
            replace: true,
          })
        }
      >
        <Icon name="panel" />
      </button>
      {visitor ? null : <TaskMenu project={project} task={task.task_id} name={document?.name ?? task.name} />}
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
  const [sharing, setSharing] = useState(false);
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
            <button
              type="button"
              className="menu-item"
              disabled={role === undefined || role === 'viewer'}
              title={role === 'viewer' ? 'Viewers cannot share tasks' : undefined}
              onClick={() => {
                close();
                setSharing(true);
              }}
            >
              <Icon name="next" /> Share by a public link…
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
      {sharing ? <ShareDialog project={project} task={task} name={name} onClose={() => setSharing(false)} /> : null}
      {asking ? (
        <DeleteTasks
          project={project}
          tasks={[task]}
          name={name || 'Unnamed task'}
          onDeleted={deleted}
          onClose={() => setAsking(false)}
        />
      ) : null}
    </>
  );
}
