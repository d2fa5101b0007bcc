import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { usePreference } from '../../app/preferences';
import { useNowUs } from '../../ui/clock';
import { Icon } from '../../ui/Icon';
import { Splitter } from '../../ui/Splitter';
import { useMarks } from '../../ui/useMarks';
import { usePlaces, useRows } from '../../ui/virtual';
import type { TaskTabProps } from '../task-tabs/tabs';
import { Axis, LogHead } from './Axis';
import { collapsedBelow, expandedTo, toggled } from './collapse';
import { useContents } from './contents';
import { parseFilter } from './filter';
import { useFollow, useFresh } from './following';
import { guidesOf, pathTo } from './guides';
import { useHeldOrder } from './held';
import { type LaneBar, Lanes } from './Lanes';
import { LogBar } from './LogBar';
import { labelOf, namesakeOf } from './labels';
import { Minimap } from './Minimap';
import { usePreviews } from './previews';
import { type Sums, sumsBelow } from './sums';
import { TraceStep } from './TraceStep';
import { PARENT_UNKNOWN, type StepTable } from './table';
import { HIT, type Match, matchRows, type Tree, visibleRows } from './tree';
import { useLogKeys } from './useLogKeys';
import { extent, fitRows, type Mode, roomAhead, selfTimeGradient } from './waterfall';
import './execution-log.css';
import './waterfall.css';
import './step-rows.css';

const ROW = 28;
const HEAD = 24;
const NAME_MIN = 160;
const NAME_DEFAULT = '392px';
const NONE = -1;
/** In tasks of more steps the bars of visible rows would be dots: the time axis follows the rows. */
const FIT_FROM_STEPS = 300;

interface ViewerProps extends TaskTabProps {
  mode: Mode;
  onMode: (mode: Mode) => void;
}

/**
 * All steps of a task: as a tree with its waterfall, or as a log in order of time. Rows are virtual; what is drawn of 100,000
 * steps is some fifty rows, each of which draws again only when it changed.
 */
export function ExecutionLogViewer(props: ViewerProps) {
  const { live, table, version, selectedId, onSelect, mode, zoom, onZoom: setZoom } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const [times] = usePreference('times', 'relative');
  const [collapsed, setCollapsed] = useState<ReadonlySet<string>>(new Set());
  const [pointed, setPointed] = useState(false);
  const open = table.countOf('running') + table.countOf('waiting');
  const nowUs = useNowUs(open > 0 ? 1_000 : null);
  const now = nowUs - table.baseUs;

  // -- which rows
  const filter = useMemo(() => parseFilter(props.filterText), [props.filterText]);
  const contents = useContents({
    project: props.project,
    task: props.task,
    words: filter.words,
    steps: table.size,
    isOpen: open > 0,
    version,
  });
  const match: Match = useMemo(() => {
    if (filter.test === null) return null;
    void version;
    return matchRows(props.tree, table.size, filter.test(table, contents.stepsWith));
  }, [filter, props.tree, table, version, contents]);
  useMarks('steps-found', scroller, filter.words);
  const collapsedRows = useMemo(() => new Set([...collapsed].map((id) => table.rowOf(id))), [collapsed, table]);
  const latest = useMemo(() => {
    const rows = mode === 'tree' ? visibleRows(props.tree, collapsedRows, match) : logRows(table, match);
    return { visible: rows, tree: props.tree };
  }, [mode, props.tree, collapsedRows, match, table]);
  const { visible, tree, waiting } = useHeldOrder(latest, pointed, [table, mode, collapsed, props.filterText]);
  const hits = useMemo(
    () => (match === null ? 0 : match.reduce((sum, value) => sum + (value === HIT ? 1 : 0), 0)),
    [match],
  );
  const selected = selectedId === null ? NONE : table.rowOf(selectedId);
  const path = useMemo(() => pathTo(tree, selected), [tree, selected]);

  // -- which range of time
  const whole = useMemo(() => {
    void version;
    const all = extent(table, now);
    return open > 0 ? roomAhead(all, now) : all;
  }, [table, version, now, open]);

  // -- where on the screen
  const { rows, onScroll, scrollTo } = useRows({ scroller, count: visible.length, rowHeight: ROW, headHeight: HEAD });
  const large = table.size > FIT_FROM_STEPS;
  const fitted =
    zoom === null && large && mode === 'tree'
      ? fitRows(table, tree, visible.subarray(rows.firstShown, rows.endShown), whole)
      : whole;
  const { from, to } = zoom === null ? fitted : zoom === 'all' ? whole : zoom;
  const view = useMemo(() => ({ from, to }), [from, to]);
  const { following, setFollowing, behind } = useFollow({
    table,
    version,
    visible,
    open,
    // following scrolls, which moves the rows, too
    paused: pointed,
    scrollTo,
    selectedId,
  });
  const fresh = useFresh(table);

  const select = useCallback(
    (row: number) => {
      setFollowing(false);
      onSelect(table.ids[row] ?? null);
    },
    [onSelect, table, setFollowing],
  );
  const toggle = useCallback(
    (row: number, deep: boolean) => {
      setFollowing(false);
      setCollapsed((before) => toggled(before, table, tree, row, deep));
    },
    [table, tree, setFollowing],
  );
  const reveal = useCallback(
    (row: number) => {
      setCollapsed((before) => expandedTo(before, table, tree, row));
      select(row);
      pendingScroll.current = row;
    },
    [table, tree, select],
  );
  const pendingScroll = useRef(NONE);
  useEffect(() => {
    void selectedId;
    const row = pendingScroll.current;
    if (row === NONE) return;
    const index = visible.indexOf(row);
    if (index < 0) return;
    pendingScroll.current = NONE;
    scrollTo(index, 'nearest');
  }, [visible, scrollTo, selectedId]);

  // a link to a step opens the page with it visible
  const linked = useRef(false);
  useEffect(() => {
    if (linked.current || selected === NONE) return;
    linked.current = true;
    const index = visible.indexOf(selected);
    if (index >= 0) scrollTo(index, 'center');
    else pendingScroll.current = selected;
    setCollapsed((before) => expandedTo(before, table, tree, selected));
  }, [selected, visible, scrollTo, table, tree]);

  const [nameWidth, setNameWidth] = usePreference('log.name', NAME_DEFAULT);
  const query = useRef<HTMLInputElement>(null);
  useLogKeys({
    table,
    tree,
    visible,
    selected,
    match,
    mode,
    collapsed: collapsedRows,
    select,
    reveal,
    toggle,
    setCollapsed,
    setZoom,
    scrollTo,
    query,
    following,
    setFollowing,
    onMode: props.onMode,
    scroller,
  });

  const ids: string[] = [];
  const namesakes: string[] = [];
  for (let i = rows.first; i < rows.end; i++) {
    const row = visible[i] as number;
    const { before } = namesakeOf(table, tree, row);
    ids.push(table.ids[row] as string);
    if (before !== NONE) namesakes.push(table.ids[before] as string);
  }
  const saidBy = usePreviews(props.project, props.task, live, [...ids, ...namesakes]);
  const places = usePlaces(ids);

  const drawn: React.ReactNode[] = [];
  const bars: LaneBar[] = [];
  for (let index = rows.first; index < rows.end; index++) {
    const row = visible[index] as number;
    const id = table.ids[row] as string;
    const isCollapsed = match === null && collapsedRows.has(row);
    const children = tree.children[row] as number;
    if (mode === 'tree') {
      bars.push({
        place: places.get(id) as number,
        row,
        version: table.rowVersion[row] as number,
        top: rows.topOf(index),
        selected: row === selected,
        parent: children > 0,
        paint: children > 0 ? paintOf(table, tree, row) : null,
      });
    }
    const namesake = namesakeOf(table, tree, row);
    const before = namesake.before === NONE ? null : saidBy(table.ids[namesake.before] as string);
    const label = labelOf(saidBy(id), before, namesake);
    const sums = isCollapsed && children > 0 ? sumsOf(table, tree, row) : null;
    drawn.push(
      <TraceStep
        key={places.get(id)}
        table={table}
        row={row}
        version={table.rowVersion[row] as number}
        index={index}
        top={rows.topOf(index)}
        depth={tree.depth[row] as number}
        guides={mode === 'tree' ? guidesOf(table, tree, row, !isCollapsed, path) : null}
        // biome-ignore lint/correctness/noChildrenProp: how many children the step has, not React's
        children={children}
        expanded={!isCollapsed}
        tokensBelow={sums?.tokens ?? null}
        costBelow={sums?.cost ?? null}
        hidden={isCollapsed ? (tree.subtree[row] as number) - 1 : 0}
        errorsInside={tree.errorsInside[row] as number}
        position={positionOf(tree, row)}
        siblings={siblingsOf(tree, row)}
        selected={row === selected}
        hit={match === null ? null : match[row] === HIT ? (props.filterText.includes(':') ? null : 'hit') : 'dim'}
        fresh={fresh(row)}
        orphan={table.parent[row] === PARENT_UNKNOWN}
        asked={label.asked}
        answered={label.answered}
        ordinal={label.ordinal}
        absoluteTimes={times === 'absolute'}
        onSelect={select}
        onToggle={toggle}
      />,
    );
  }

  return (
    <section className="step-log" aria-label="Steps">
      <LogBar
        table={table}
        mode={mode}
        onMode={props.onMode}
        filterText={props.filterText}
        onFilter={props.onFilter}
        mistake={filter.mistake}
        hits={match === null ? null : hits}
        isSearching={contents.isSearching}
        query={query}
        open={open}
        following={following}
        onFollow={setFollowing}
        zoomed={zoom !== null && zoom !== 'all'}
        fitted={large ? zoom === null : null}
        onZoom={setZoom}
        onCollapseAll={() => setCollapsed(collapsedBelow(table, tree, 1))}
        onExpandAll={() => setCollapsed(new Set())}
      />
      {mode === 'tree' ? (
        <Minimap
          table={table}
          tree={tree}
          version={version}
          whole={whole}
          view={view}
          nowRelative={now}
          onView={(next) => setZoom(next)}
        />
      ) : null}
      {/* biome-ignore lint/a11y/useAriaPropsSupportedByRole: grid and treegrid both take a label */}
      <div
        ref={scroller}
        className="step-grid"
        role={mode === 'tree' ? 'treegrid' : 'grid'}
        aria-label={mode === 'tree' ? 'Steps as a tree' : 'Steps in order of time'}
        aria-rowcount={visible.length + 1}
        aria-activedescendant={selected === NONE ? undefined : `step-${table.ids[selected]}`}
        tabIndex={0}
        style={{ '--name': nameWidth } as React.CSSProperties}
        onScroll={onScroll}
        onWheel={() => setFollowing(false)}
        onTouchMove={() => setFollowing(false)}
        onPointerLeave={() => setPointed(false)}
      >
        <div className="step-head" role="row" aria-rowindex={1}>
          <span role="columnheader">
            {mode === 'tree' ? 'Step' : 'Start and step'}
            <Splitter
              label="Width of the name column"
              className="name-splitter"
              value={Number.parseInt(nameWidth, 10)}
              min={NAME_MIN}
              max={900}
              onChange={(width) => setNameWidth(`${Math.round(width)}px`)}
              onReset={() => setNameWidth(NAME_DEFAULT)}
            />
          </span>
          <span role="columnheader" className="num">
            Duration
          </span>
          <span role="columnheader" className="num">
            Tokens
          </span>
          <span role="columnheader" className="num">
            Cost
          </span>
          {mode === 'tree' ? <Axis view={view} origin={whole.from} /> : <LogHead />}
        </div>
        <div
          className="step-rows"
          style={{ height: rows.height }}
          role="rowgroup"
          onPointerEnter={() => setPointed(true)}
          onPointerMove={() => setPointed(true)}
        >
          {drawn}
          {mode === 'tree' ? <Lanes table={table} bars={bars} view={view} origin={whole.from} open={open > 0} /> : null}
        </div>
        {visible.length === 0 ? (
          <p className="no-step">
            {match === null
              ? 'No steps yet.'
              : contents.isSearching
                ? 'Searching inputs and outputs …'
                : 'No steps match this filter.'}
          </p>
        ) : null}
      </div>
      {waiting > 0 ? (
        <p className="held-rows" role="status">
          {waiting} new {waiting === 1 ? 'step waits' : 'steps wait'} until the pointer leaves
        </p>
      ) : null}
      {open > 0 && !following && behind > 0 ? (
        <button type="button" className="jump-to-now" onClick={() => setFollowing(true)}>
          <Icon name="down" /> Jump to now ({behind})
        </button>
      ) : null}
    </section>
  );
}

function logRows(table: StepTable, match: Match): Int32Array {
  const order = table.chronological.subarray(0, table.size);
  return match === null ? order : order.filter((row) => match[row] === HIT);
}

const sums = new WeakMap<Tree, Map<number, Sums>>();

/** Summed once for each layout of the tree: a collapsed root may hide 100,000 steps. */
function sumsOf(table: StepTable, tree: Tree, row: number): Sums {
  const known = sums.get(tree) ?? new Map<number, Sums>();
  sums.set(tree, known);
  const sum = known.get(row) ?? sumsBelow(table, tree, row);
  known.set(row, sum);
  return sum;
}

const paints = new WeakMap<Tree, Map<number, string | null>>();

function paintOf(table: StepTable, tree: Tree, row: number): string | null {
  let known = paints.get(tree);
  if (!known) {
    known = new Map();
    paints.set(tree, known);
  }
  let paint = known.get(row);
  if (paint === undefined) {
    paint = selfTimeGradient(table, tree, row);
    known.set(row, paint);
  }
  return paint;
}

function positionOf(tree: Tree, row: number): number {
  return siblingsOf(tree, row) - (tree.fromLast[row] as number) + 1;
}

function siblingsOf(tree: Tree, row: number): number {
  const up = tree.above[row] as number;
  return up === NONE ? tree.roots : (tree.children[up] as number);
}
