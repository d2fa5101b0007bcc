import { memo, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react';
import type { Task } from '../../api/types';
import { useKeys } from '../../app/keys';
import { Link, navigate, withParams } from '../../app/router';
import { serverNowUs } from '../../ui/clock';
import { dateTime, plainLine, plural } from '../../ui/format';
import { Icon, StatusMark } from '../../ui/Icon';
import { useRows } from '../../ui/virtual';
import { type Column, clampWidth, fitColumns } from './columns';
import { barScale, type TaskFeed } from './feed';
import { nextSort } from './orders';
import { Cell } from './TaskCells';
import { useColumnChoice, useCompact } from './Toolbar';

const ROW = 32;
const ROW_COMPACT = 28;
const HEAD = 32;
/** Ask for the next page this many rows before the end comes into sight. */
const AHEAD = 30;

/** Columns of which no loaded task has a value take no room. */
const EMPTY_COLUMNS: Record<string, (task: Task) => boolean> = {
  tags: (task) => Object.keys(task.tags).length > 0 || task.environment !== null,
};

interface TaskListProps {
  project: string;
  feed: TaskFeed;
  q: string;
  sort: string;
  marked: ReadonlySet<string>;
  onMark: (taskId: string) => void;
}

/** The rows of the tasks page: one tab stop, arrows or j and k, Enter opens. */
export function TaskList({ project, feed, q, sort, marked, onMark }: TaskListProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const [selectedId, setSelectedId] = useState<string | null>(null);
  const [pointed, setPointed] = useState(false);
  const [scrolledDown, setScrolledDown] = useState(false);
  const { tasks } = feed;
  const [compact] = useCompact();
  const rowHeight = compact ? ROW_COMPACT : ROW;
  const [choice, setChoice] = useColumnChoice();
  const width = useWidth(scroller);
  // a task, not an index: rows may be inserted above it
  const cursor = selectedId === null ? -1 : tasks.findIndex((task) => task.task_id === selectedId);
  const { rows, onScroll, scrollTo } = useRows({ scroller, count: tasks.length, rowHeight, headHeight: HEAD });
  const shown = tasks.slice(rows.first, rows.end);
  const longestUs = barScale(shown, serverNowUs());
  const omitted = Object.keys(EMPTY_COLUMNS)
    .filter((id) => !tasks.some((task) => EMPTY_COLUMNS[id]?.(task)))
    .join(' ');
  const choiceText = JSON.stringify(choice);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the choice is compared by its text
  const [columns, template] = useMemo(
    () => fitColumns(choice, width, new Set(omitted.split(' '))),
    [choiceText, width, omitted],
  );

  useEffect(() => {
    if (rows.end + AHEAD > tasks.length) void feed.more();
  }, [rows.end, tasks.length, feed]);

  const scrolled = () => {
    onScroll();
    setScrolledDown((scroller.current?.scrollTop ?? 0) > rowHeight);
  };
  const held = pointed || scrolledDown || cursor > 0;
  useEffect(() => feed.hold(held), [feed, held]);
  const active = tasks[cursor];
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
    x: () => {
      if (active) onMark(active.task_id);
    },
    Enter: (event) => {
      const { target } = event;
      if (target instanceof HTMLAnchorElement || target instanceof HTMLButtonElement) target.click();
      else open();
    },
  });
  const select = useCallback((id: string) => setSelectedId(id), []);

  return (
    // the pill belongs to the rows: it must not vanish while the pointer goes to it
    <div className="task-list-area" onPointerLeave={() => setPointed(false)}>
      <div
        ref={scroller}
        className={['task-grid', compact ? 'compact-rows' : '', marked.size > 0 ? 'with-marks' : ''].join(' ')}
        style={{ '--task-columns': template } as React.CSSProperties}
        role="grid"
        aria-label="Tasks"
        aria-rowcount={feed.complete ? tasks.length + 1 : -1}
        aria-activedescendant={active ? `task-${active.task_id}` : undefined}
        tabIndex={0}
        onScroll={scrolled}
      >
        <div className="task-head" role="row" aria-rowindex={1}>
          <span role="columnheader">
            <span className="visually-hidden">Status</span>
          </span>
          <HeadCell sort={sort} column={{ id: 'name', title: 'Name', sort: 'name' }} />
          {columns.map((column) => (
            <HeadCell
              key={column.id}
              sort={sort}
              column={column}
              width={choice.widths[column.id] ?? column.width}
              onResize={(next) => {
                const { [column.id]: _, ...others } = choice.widths;
                setChoice({ ...choice, widths: next === null ? others : { ...others, [column.id]: clampWidth(next) } });
              }}
            />
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
                columns={columns}
                q={q}
                marked={marked.has(task.task_id)}
                onSelect={select}
                onMark={onMark}
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
  columns: Column[];
  q: string;
  marked: boolean;
  onSelect: (taskId: string) => void;
  onMark: (taskId: string) => void;
}

const TaskRow = memo(function TaskRow(props: TaskRowProps) {
  const { project, task, index, top, selected, fresh, longestUs, columns, q, marked, onSelect, onMark } = props;
  const address = addressOf(project, task);
  const preview = restOf(task);
  const visit = (event: React.MouseEvent) => {
    if (event.defaultPrevented || (event.target as HTMLElement).closest('a, button, input')) return;
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
        <StatusMark status={task.status} />
        {task.status === 'ok' ? <span className="visually-hidden">ok</span> : null}
        <input
          type="checkbox"
          tabIndex={-1}
          checked={marked}
          aria-label={`Select ${task.name || 'Unnamed task'}`}
          title="Select (x)"
          onChange={() => onMark(task.task_id)}
        />
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
      {columns.map((column) => (
        <Cell key={column.id} id={column.id} task={task} longestUs={longestUs} q={q} />
      ))}
    </div>
  );
});

/** A head that sorts by its column; dragging its edge changes the width, a double click resets it. */
function HeadCell({
  column,
  sort,
  width,
  onResize,
}: {
  column: Pick<Column, 'id' | 'title' | 'sort' | 'numeric'>;
  sort: string;
  width?: number;
  onResize?: (width: number | null) => void;
}) {
  const start = useRef<{ x: number; width: number } | null>(null);
  const name = sort.replace(/^-/, '');
  const sorted = column.sort === name ? (sort.startsWith('-') ? 'descending' : 'ascending') : undefined;
  return (
    <span role="columnheader" aria-sort={sorted} className={column.numeric ? 'num head-cell' : 'head-cell'}>
      {column.sort ? (
        <button
          type="button"
          className="head-sort"
          tabIndex={-1}
          title={`Sort by ${column.title.toLowerCase()}`}
          onClick={() =>
            navigate(
              withParams({ sort: nextSort(sort, column.sort ?? '', column.numeric ?? column.sort === 'started') }),
            )
          }
        >
          {column.title}
          {sorted ? <Icon name={sorted === 'descending' ? 'down' : 'up'} /> : null}
        </button>
      ) : (
        column.title
      )}
      {onResize ? (
        <i
          className="head-edge"
          aria-hidden="true"
          onPointerDown={(event) => {
            event.currentTarget.setPointerCapture(event.pointerId);
            start.current = { x: event.clientX, width: width ?? 0 };
          }}
          onPointerMove={(event) => {
            // the columns are at the right: their left edge follows the pointer
            if (start.current) onResize(start.current.width + start.current.x - event.clientX);
          }}
          onPointerUp={() => {
            start.current = null;
          }}
          onDoubleClick={() => onResize(null)}
        />
      ) : null}
    </span>
  );
}

function useWidth(element: React.RefObject<HTMLElement | null>): number {
  const [width, setWidth] = useState(1_440);
  useLayoutEffect(() => {
    const found = element.current;
    if (!found) return;
    const read = () => setWidth(found.clientWidth);
    read();
    const observer = new ResizeObserver(read);
    observer.observe(found);
    return () => observer.disconnect();
  }, [element]);
  return width;
}

/** The preview without what the name already contains. */
function restOf(task: Task): string {
  const words = plainLine(task.preview ?? '');
  return words.startsWith(task.name) ? words.slice(task.name.length).trim() : words;
}
