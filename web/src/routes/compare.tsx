import { useQuery as useServer } from '@tanstack/react-query';
import { useCallback, useEffect } from 'react';
import { stepQuery } from '../api/queries';
import type { StepAnswer, Task } from '../api/types';
import { Link, navigate, useQuery, withParams } from '../app/router';
import { type ComparedTask, Comparison, signed } from '../features/compare/Comparison';
import { readableText } from '../features/compare/readable';
import { TextDifference } from '../features/compare/TextDifference';
import type { LiveTask } from '../features/execution-log/live-task';
import { useLiveTask } from '../features/execution-log/useLiveTask';
import { ErrorStrip } from '../ui/controls';
import { cost, duration, exact, nusd } from '../ui/format';
import { StatusPill } from '../ui/Icon';
import { NotFound } from './not-found';
import './compare.css';

/** `/projects/{project}/compare?left=&right=&ls=&rs=`: two tasks, aligned and followed while they run, and a pair of their steps. */
export function ComparePage({ project }: { project: string }) {
  const query = useQuery();
  const left = query.get('left') ?? '';
  const right = query.get('right') ?? '';
  useEffect(() => {
    document.title = 'Compare · AMS';
  }, []);
  if (!left || !right) {
    return (
      <div className="plain-page">
        <h1>Compare two tasks</h1>
        <p className="quiet">
          Open a task and choose “Mark for comparison” in its menu. Then open another one and choose “Compare with”.
          With a step selected, the same compares two steps.
        </p>
        <p>
          <Link className="button" to={`/projects/${project}/tasks`}>
            Go to tasks
          </Link>
        </p>
      </div>
    );
  }
  const Sides = left === right ? SameTask : TwoTasks;
  return <Sides key={`${left} ${right}`} project={project} left={left} right={right} />;
}

interface SidesProps {
  project: string;
  left: string;
  right: string;
}

function TwoTasks(props: SidesProps) {
  const left = useLiveTask(props.project, props.left);
  const right = useLiveTask(props.project, props.right);
  return <Both {...props} sides={[left, right]} />;
}

/** Two steps of one task, which is followed once. */
function SameTask(props: SidesProps) {
  const task = useLiveTask(props.project, props.left);
  return <Both {...props} sides={[task, task]} />;
}

interface BothProps extends SidesProps {
  sides: [[LiveTask, number], [LiveTask, number]];
}

function Both({ project, left, right, sides: [[a, versionA], [b, versionB]] }: BothProps) {
  const query = useQuery();
  const chosen = { left: query.get('ls'), right: query.get('rs') };
  const choose = useCallback(
    (ls: string | null, rs: string | null) => navigate(withParams({ ls, rs }), { replace: true }),
    [],
  );
  for (const live of [a, b]) {
    if (live.error?.status === 404 || live.phase === 'deleted') return <NotFound what="task" />;
    if (live.error && !live.table)
      return <ErrorStrip error={live.error} doing="Cannot load a task" onRetry={live.reload} />;
  }
  const sides = [compared(a, versionA), compared(b, versionB)] as const;
  if (!sides[0] || !sides[1] || !a.task || !b.task) return <div className="loading-bar" />;
  return (
    <div className="compare-page">
      <Head project={project} left={a.task} right={b.task} />
      <div className="compare-panes">
        <Comparison left={sides[0]} right={sides[1]} chosen={chosen} onChoose={choose} />
        {chosen.left || chosen.right ? (
          <Pair
            project={project}
            left={chosen.left ? { task: left, step: chosen.left } : null}
            right={chosen.right ? { task: right, step: chosen.right } : null}
          />
        ) : null}
      </div>
    </div>
  );
}

function compared(live: LiveTask, version: number): ComparedTask | null {
  return live.table && live.tree ? { table: live.table, tree: live.tree, version } : null;
}

function Head({ project, left, right }: { project: string; left: Task; right: Task }) {
  const rows = [
    ['Duration', left.duration_us, right.duration_us, duration],
    ['Steps', left.steps, right.steps, exact],
    ['Errors', left.errors, right.errors, exact],
    ['Tokens', left.input_tokens + left.output_tokens, right.input_tokens + right.output_tokens, exact],
    ['Cost', nusd(left.cost_usd), nusd(right.cost_usd), cost],
  ] as const;
  return (
    <header className="compare-top">
      <h1>Compare</h1>
      <table className="compare-totals">
        <thead>
          <tr>
            <th scope="col">Task</th>
            {rows.map(([name]) => (
              <th key={name} scope="col" className="num">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {(
            [
              ['Left', left, 1],
              ['Right', right, 2],
            ] as const
          ).map(([side, task, column]) => (
            <tr key={side}>
              <th scope="row">
                <span className="faint">{side}</span>{' '}
                <Link to={`/projects/${project}/tasks/${task.task_id}`}>{task.name || 'Unnamed task'}</Link>{' '}
                <StatusPill status={task.status} />
              </th>
              {rows.map((row) => (
                <td key={row[0]} className="num">
                  {row[column] === null ? '' : row[3](row[column])}
                </td>
              ))}
            </tr>
          ))}
          <tr>
            <th scope="row">
              <span className="faint">Difference</span>
            </th>
            {rows.map(([name, a, b, format]) => (
              <td key={name} className="num">
                {a === null || b === null ? '' : signed(b - a, format) || '0'}
              </td>
            ))}
          </tr>
        </tbody>
      </table>
    </header>
  );
}

interface Place {
  task: string;
  step: string;
}

/** The texts of two steps: what went in, and what came out. */
function Pair({ project, left, right }: { project: string; left: Place | null; right: Place | null }) {
  const a = useServer({ ...stepQuery(project, left?.task ?? '', left?.step ?? ''), enabled: left !== null });
  const b = useServer({ ...stepQuery(project, right?.task ?? '', right?.step ?? ''), enabled: right !== null });
  if ((left && a.isPending) || (right && b.isPending)) return <div className="loading-bar" />;
  const textOf = (answer: StepAnswer | undefined, slot: string) =>
    readableText(answer?.payloads.find((payload) => payload.slot === slot));
  const name = a.data?.step.name ?? b.data?.step.name ?? '';
  return (
    <aside className="compare-pair" aria-label="Difference of the texts">
      <h2 dir="auto">{name}</h2>
      <p className="quiet">
        <del>only left</del> <ins>only right</ins>
      </p>
      {(['output', 'input'] as const).map((slot) => (
        <TextDifference
          key={slot}
          name={slot === 'output' ? 'Output' : 'Input'}
          left={left ? textOf(a.data, slot) : ''}
          right={right ? textOf(b.data, slot) : ''}
        />
      ))}
    </aside>
  );
}
