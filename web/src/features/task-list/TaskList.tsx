import { memo, useCallback, useEffect, useRef, useState } from 'react';
import type { Task } from '../../api/types';
import { useKeys } from '../../app/keys';
import { Link, navigate } from '../../app/router';
import { serverNowUs, useNowUs } from '../../ui/clock';
import { Ticking, When } from '../../ui/controls';
import { cost, count, dateTime, duration, exact, nusd, plainLine, plural } from '../../ui/format';
import { StatusMark } from '../../ui/Icon';
import { useRows } from '../../ui/virtual';
import { barScale, type TaskFeed } from './feed';

const ROW = 32;
const HEAD = 32;
/** Ask for the next page this many rows before the end comes into sight. */
const AHEAD = 30;

const COLUMNS = ['', 'Name', 'Agent', 'Started', 'Duration', 'Steps', 'Errors', 'Tokens', 'Cost', 'Tags'] as const;

interface TaskListProps {
  project: string;
  feed: TaskFeed;
}

/** The rows of the tasks page: one tab stop, arrows or j and k, Enter opens. */
export function TaskList({ project, feed }: TaskListProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const [selectedId, setSelectedId] = useState<string | null>(null);
  const [pointed, setPointed] = useState(false);
  const [scrolledDown, setScrolledDown] = useState(false);
  const { tasks } = feed;
  // a task, not an index: rows may be inserted above it
  const cursor = selectedId === null ? -1 : tasks.findIndex((task) => task.task_id === selectedId);
  const { rows, onScroll, scrollTo } = useRows({ scroller, count: tasks.length, rowHeight: ROW, headHeight: HEAD });
  const shown = tasks.slice(rows.first, rows.end);
  const longestUs = barScale(shown, serverNowUs());
  const tagged = tasks.some((task) => Object.keys(task.tags).length > 0 || task.environment !== null);

  useEffect(() => {
    if (rows.end + AHEAD > tasks.length) void feed.more();
  }, [rows.end, tasks.length, feed]);

  const scrolled = () => {
    onScroll();
    setScrolledDown((scroller.current?.scrollTop ?? 0) > ROW);
  };
  const held = pointed || scrolledDown || cursor > 0;
  useEffect(() => feed.hold(held), [feed, held]);
  const move = (to: number) => {
    const next = Math.max(0, Math.min(tasks.length - 1, to));
    setSelectedId(tasks[next]?.task_id ?? null);
    scrollTo(next);
  };
  const open = () => {
    const task = tasks[cursor];
    if (task) navigate(addressOf(project, task));
  };
  useKeys({
    j: () => move(cursor + 1),
    ArrowDown: () => move(cursor + 1),
    k: () => move(cursor - 1),
    ArrowUp: () => move(cursor - 1),
    Home: () => move(0),
    End: () => move(tasks.length - 1),
    PageDown: () => move(cursor + 20),
    PageUp: () => move(cursor - 20),
    Enter: (event) => {
      const { target } = event;
      if (target instanceof HTMLAnchorElement || target instanceof HTMLButtonElement) target.click();
      else open();
    },
  });
  const select = useCallback((id: string) => setSelectedId(id), []);
  const active = tasks[cursor];

  return (
    // the pill belongs to the rows: it must not vanish while the pointer goes to it
    <div className="task-list-area" onPointerLeave={() => setPointed(false)}>
      <div
        ref={scroller}
        className={tagged ? 'task-grid' : 'task-grid no-tags'}
        role="grid"
        aria-label="Tasks"
        aria-rowcount={feed.complete ? tasks.length + 1 : -1}
        aria-activedescendant={active ? `task-${active.task_id}` : undefined}
        tabIndex={0}
        onScroll={scrolled}
      >
        <div className="task-head" role="row" aria-rowindex={1}>
          {COLUMNS.slice(0, tagged ? 10 : 9).map((name, index) => (
            <span key={name || 'mark'} role="columnheader" className={index > 3 && index < 9 ? 'num' : ''}>
              {name || <span className="visually-hidden">Status</span>}
            </span>
          ))}
        </div>
        <div
          className="task-rows"
          style={{ height: rows.height }}
          role="rowgroup"
          onPointerEnter={() => setPointed(true)}
          onPointerMove={() => setPointed(true)}
        >
          {shown.map((task, place) => {
            const index = rows.first + place;
            return (
              <TaskRow
                key={task.task_id}
                project={project}
                task={task}
                index={index}
                top={rows.topOf(index)}
                selected={index === cursor}
                fresh={feed.isFresh(task.task_id)}
                longestUs={longestUs}
                tagged={tagged}
                onSelect={select}
              />
            );
          })}
        </div>
        <p className="list-end">
          {feed.complete
            ? `${plural(tasks.length, 'task')} in total`
            : feed.scannedBackToUs !== null
              ? `Searched back to ${dateTime(feed.scannedBackToUs)}…`
              : feed.loadingMore
                ? 'Loading more…'
                : ' '}
        </p>
      </div>
      {feed.waiting.length > 0 ? (
        <button
          type="button"
          className="new-pill"
          onClick={() => {
            feed.release();
            scroller.current?.scrollTo({ top: 0 });
          }}
        >
          {feed.waiting.length} new
        </button>
      ) : null}
    </div>
  );
}

function addressOf(project: string, task: Task): string {
  return `/projects/${project}/tasks/${task.task_id}`;
}

interface TaskRowProps {
  project: string;
  task: Task;
  index: number;
  top: number;
  selected: boolean;
  fresh: boolean;
  longestUs: number;
  tagged: boolean;
  onSelect: (taskId: string) => void;
}

const TaskRow = memo(function TaskRow(props: TaskRowProps) {
  const { project, task, index, top, selected, fresh, longestUs, tagged, onSelect } = props;
  const open = task.status === 'running' || task.status === 'waiting';
  const tokens = task.input_tokens + task.output_tokens;
  const address = addressOf(project, task);
  const preview = restOf(task);
  const visit = (event: React.MouseEvent) => {
    if (event.defaultPrevented || (event.target as HTMLElement).closest('a')) return;
    if (window.getSelection()?.toString()) return;
    onSelect(task.task_id);
    if (event.metaKey || event.ctrlKey) window.open(address, '_blank');
    else navigate(address);
  };
  const classes = ['task-row', fresh ? 'fresh' : '', task.errors > 0 ? 'has-errors' : ''].join(' ');
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the grid answers the keys for its rows
    <div
      id={`task-${task.task_id}`}
      className={classes}
      role="row"
      aria-rowindex={index + 2}
      aria-selected={selected}
      data-status={task.status}
      style={{ transform: `translateY(${top}px)` }}
      onClick={visit}
    >
      <span role="gridcell" className="mark-cell">
        <StatusMark status={task.status === 'ok' && task.errors > 0 ? 'ok' : task.status} />
        {task.status === 'ok' ? <span className="visually-hidden">ok</span> : null}
      </span>
      <span role="gridcell" className="task-name">
        <Link to={address} className="cut" dir="auto" tabIndex={-1} title={task.name}>
          {task.name || 'Unnamed task'}
        </Link>
        {preview ? (
          <span className="preview cut" dir="auto">
            {preview}
          </span>
        ) : null}
      </span>
      <span role="gridcell" className="cut quiet" title={task.agent ?? undefined}>
        {task.agent}
      </span>
      <span role="gridcell" className="quiet tnum cut">
        <When us={task.started_at_us} />
      </span>
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
      <span role="gridcell" className="num quiet" title={exact(task.steps)}>
        {fitted(task.steps)}
      </span>
      <span role="gridcell" className="num errors" title={task.errors > 0 ? exact(task.errors) : undefined}>
        {task.errors > 0 ? fitted(task.errors) : ''}
      </span>
      <span
        role="gridcell"
        className="num quiet"
        title={
          tokens > 0 ? `${exact(task.input_tokens)} in, ${exact(task.output_tokens)} out` : 'No token counts reported'
        }
      >
        {tokens > 0 ? count(tokens) : ''}
      </span>
      <span role="gridcell" className="num quiet" title={costTitle(task)}>
        {cost(nusd(task.cost_usd))}
      </span>
      {tagged ? (
        <span role="gridcell" className="cut faint" title={tagsOf(task).join('\n')}>
          {tagsOf(task).join('  ')}
        </span>
      ) : null}
    </div>
  );
});

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

/** The preview without what the name already contains. */
function restOf(task: Task): string {
  const words = plainLine(task.preview ?? '');
  return words.startsWith(task.name) ? words.slice(task.name.length).trim() : words;
}

function costTitle(task: Task): string {
  if (task.cost_usd === null) return 'Unknown cost: no price for the models used';
  if (task.unpriced_steps > 0)
    return `$${task.cost_usd}, not including ${plural(task.unpriced_steps, 'step')} without a price`;
  return `$${task.cost_usd}`;
}

/** Exact as long as it fits its column. */
function fitted(value: number): string {
  return value < 100_000 ? exact(value) : count(value);
}

/** In one order for all rows: REST and frames each have their own. */
function tagsOf(task: Task): string[] {
  const tags = Object.entries(task.tags).map(([name, value]) => (value ? `${name}:${value}` : name));
  return [...(task.environment ? [task.environment] : []), ...tags.sort()];
}
