import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { usePreference } from '../../app/preferences';
import { useNowUs } from '../../ui/clock';
import { tickLabel, tickStep } from '../../ui/format';
import { Icon } from '../../ui/Icon';
import { Splitter } from '../../ui/Splitter';
import { useRows } from '../../ui/virtual';
import { parseFilter } from './filter';
import { guidesOf, pathTo } from './guides';
import type { LiveTask } from './live-task';
import { LogBar } from './LogBar';
import { Minimap } from './Minimap';
import { usePreviews } from './previews';
import { PARENT_UNKNOWN, type StepTable } from './table';
import { TraceStep } from './TraceStep';
import { HIT, type Match, matchRows, type Tree, visibleRows } from './tree';
import { useLogKeys } from './useLogKeys';
import { extent, roomAhead, selfTime, type View } from './waterfall';
import './execution-log.css';

const ROW = 28;
const HEAD = 24;
const NAME_MIN = 160;
const NAME_DEFAULT = '320px';
const NONE = -1;

export type Mode = 'tree' | 'log';

interface ViewerProps {
  project: string;
  task: string;
  live: LiveTask;
  table: StepTable;
  tree: Tree;
  version: number;
  selectedId: string | null;
  onSelect: (stepId: string | null) => void;
  mode: Mode;
  onMode: (mode: Mode) => void;
  filterText: string;
  onFilter: (text: string) => void;
}

/**
 * All steps of a task: as a tree with its waterfall, or as a log in order of time. Rows are virtual; what is drawn of 100,000
 * steps is some fifty rows, each of which draws again only when it changed.
 */
export function ExecutionLogViewer(props: ViewerProps) {
  const { live, table, tree, version, selectedId, onSelect, mode } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const [times] = usePreference('times', 'relative');
  const [folded, setFolded] = useState<ReadonlySet<string>>(new Set());
  const [zoom, setZoom] = useState<View | null>(null);
  const open = table.countOf('running') + table.countOf('waiting');
  const nowUs = useNowUs(open > 0 ? 1_000 : null);
  const now = nowUs - table.baseUs;

  // -- which rows
  const filter = useMemo(() => parseFilter(props.filterText), [props.filterText]);
  const match: Match = useMemo(() => {
    if (filter.test === null) return null;
    void version;
    return matchRows(tree, table.size, filter.test(table));
  }, [filter, tree, table, version]);
  const foldedRows = useMemo(() => new Set([...folded].map((id) => table.rowOf(id))), [folded, table]);
  const visible = useMemo(
    () => (mode === 'tree' ? visibleRows(tree, foldedRows, match) : logRows(table, tree, match)),
    [mode, tree, foldedRows, match, table],
  );
  const hits = useMemo(() => (match === null ? 0 : match.reduce((sum, value) => sum + (value === HIT ? 1 : 0), 0)), [match]);
  const selected = selectedId === null ? NONE : table.rowOf(selectedId);
  const path = useMemo(() => pathTo(tree, selected), [tree, selected]);

  // -- which stretch of time
  const whole = useMemo(() => {
    const all = extent(table, now);
    return open > 0 ? roomAhead(all, now) : all;
    // a new layout or a jump of the right edge: `now` alone changes the edge only in jumps
    // biome-ignore lint/correctness/useExhaustiveDependencies: version stands for the table's content
  }, [table, version, now, open]);
  const from = zoom?.from ?? whole.from;
  const to = zoom?.to ?? whole.to;
  const view = useMemo(() => ({ from, to }), [from, to]);
  useNowLine(scroller, view, table.baseUs, open > 0);

  // -- where on the screen
  const { rows, onScroll, scrollTo } = useRows({ scroller, count: visible.length, rowHeight: ROW, headHeight: HEAD });
  const { following, setFollowing, behind } = useFollow({ table, tree, version, visible, mode, open, scrollTo, selectedId });
  const fresh = useFresh(table);

  const select = useCallback(
    (row: number) => {
      setFollowing(false);
      onSelect(table.ids[row] ?? null);
    },
    [onSelect, table, setFollowing],
  );
  const fold = useCallback(
    (row: number, deep: boolean) => {
      setFollowing(false);
      setFolded((before) => toggled(before, table, tree, row, deep));
    },
    [table, tree, setFollowing],
  );
  const reveal = useCallback(
    (row: number) => {
      setFolded((before) => unfoldedTo(before, table, tree, row));
      select(row);
      pendingScroll.current = row;
    },
    [table, tree, select],
  );
  const pendingScroll = useRef(NONE);
  useEffect(() => {
    const row = pendingScroll.current;
    if (row === NONE) return;
    const index = visible.indexOf(row);
    if (index < 0) return;
    pendingScroll.current = NONE;
    scrollTo(index, 'nearest');
  }, [visible, scrollTo, selectedId]);

  // a link to a step opens the page with it in sight
  const linked = useRef(false);
  useEffect(() => {
    if (linked.current || selected === NONE) return;
    linked.current = true;
    const index = visible.indexOf(selected);
    if (index >= 0) scrollTo(index, 'center');
    else pendingScroll.current = selected;
    setFolded((before) => unfoldedTo(before, table, tree, selected));
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
    folded: foldedRows,
    select,
    reveal,
    fold,
    setFolded,
    setZoom,
    scrollTo,
    query,
    following,
    setFollowing,
    onMode: props.onMode,
    scroller,
  });

  const ids: string[] = [];
  if (mode === 'log') for (let i = rows.first; i < rows.end; i++) ids.push(table.ids[visible[i] as number] as string);
  const words = usePreviews(mode === 'log', props.project, props.task, live, ids);

  const drawn: React.ReactNode[] = [];
  const span = view.to - view.from;
  for (let index = rows.first; index < rows.end; index++) {
    const row = visible[index] as number;
    const id = table.ids[row] as string;
    const isFolded = match === null && foldedRows.has(row);
    const start = table.start[row] as number;
    const end = table.open(row) ? now : table.endOf(row);
    const last = Number.isNaN(end) ? start : end;
    const inView = mode === 'tree' && !Number.isNaN(start) && last >= view.from && start <= view.to;
    const left = inView ? round(((start - view.from) / span) * 100) : null;
    const children = tree.children[row] as number;
    drawn.push(
      <TraceStep
        key={id}
        table={table}
        row={row}
        version={table.rowVersion[row] as number}
        index={index}
        top={rows.topOf(index)}
        depth={tree.depth[row] as number}
        guides={mode === 'tree' ? guidesOf(table, tree, row, !isFolded, path) : null}
        // biome-ignore lint/correctness/noChildrenProp: how many children the step has, not React's
        children={children}
        unfolded={!isFolded}
        hidden={isFolded ? (tree.subtree[row] as number) - 1 : 0}
        errorsInside={tree.errorsInside[row] as number}
        position={positionOf(tree, row)}
        siblings={siblingsOf(tree, row)}
        selected={row === selected}
        hit={match === null ? null : match[row] === HIT ? (props.filterText.includes(':') ? null : 'hit') : 'dim'}
        fresh={fresh(row)}
        orphan={table.parent[row] === PARENT_UNKNOWN}
        barLeft={left}
        barWidth={inView ? round(((last - start) / span) * 100) : null}
        barPaint={inView && children > 0 ? paintOf(table, tree, row) : null}
        words={words === null ? null : words(id)}
        absoluteTimes={times === 'absolute'}
        onSelect={select}
        onFold={fold}
      />,
    );
  }

  return (
    <section className="log" aria-label="Steps">
      <LogBar
        table={table}
        mode={mode}
        onMode={props.onMode}
        filterText={props.filterText}
        onFilter={props.onFilter}
        mistake={filter.mistake}
        hits={match === null ? null : hits}
        query={query}
        open={open}
        following={following}
        onFollow={setFollowing}
        zoomed={zoom !== null}
        onZoomOut={() => setZoom(null)}
        onFoldAll={() => setFolded(foldedBelow(table, tree, 1))}
        onUnfoldAll={() => setFolded(new Set())}
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
      {/* biome-ignore lint/a11y/useSemanticElements: a treegrid of virtual rows has no element of its own */}
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
      >
        <div className="step-head" role="row" aria-rowindex={1}>
          <span role="columnheader">
            {mode === 'tree' ? 'Step' : 'Start and step'}
            <Splitter
              label="Width of the names"
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
        <div className="step-rows" style={{ height: rows.height }} role="rowgroup">
          {mode === 'tree' ? <GridLines view={view} origin={whole.from} open={open > 0} /> : null}
          {drawn}
        </div>
        {visible.length === 0 ? (
          <p className="no-step">{match === null ? 'No step has arrived yet.' : 'No step fits this filter.'}</p>
        ) : null}
      </div>
      {open > 0 && !following && behind > 0 ? (
        <button type="button" className="jump" onClick={() => setFollowing(true)}>
          <Icon name="down" /> Jump to now ({behind})
        </button>
      ) : null}
    </section>
  );
}

function LogHead() {
  return (
    <span role="columnheader" style={{ paddingLeft: 18 }}>
      What it said
    </span>
  );
}

const TICKS = 6;

function ticksOf(view: View, origin: number): { step: number; times: number[] } {
  const step = tickStep(view.to - view.from, TICKS);
  const times: number[] = [];
  const first = Math.ceil((view.from - origin) / step) * step;
  for (let at = first; at + origin <= view.to && times.length < 20; at += step) times.push(at);
  return { step, times };
}

function Axis({ view, origin }: { view: View; origin: number }) {
  const { step, times } = ticksOf(view, origin);
  const span = view.to - view.from;
  return (
    <span role="columnheader" className="axis" aria-label="Time since the start">
      {times.map((at) => {
        const share = ((at + origin - view.from) / span) * 100;
        return share > 94 ? null : (
          <span key={at} style={{ left: `${share}%` }}>
            {tickLabel(at, step)}
          </span>
        );
      })}
    </span>
  );
}

function GridLines({ view, origin, open }: { view: View; origin: number; open: boolean }) {
  const { times } = ticksOf(view, origin);
  const span = view.to - view.from;
  return (
    <div className="grid-lines" aria-hidden="true">
      {open ? <i className="later" /> : null}
      {times.map((at) => (
        <i key={at} style={{ left: `${((at + origin - view.from) / span) * 100}%` }} />
      ))}
      {open ? <i className="now" /> : null}
    </div>
  );
}

/** The line of now moves by a CSS value: no row is drawn again for it. */
function useNowLine(
  scroller: React.RefObject<HTMLElement | null>,
  view: View,
  baseUs: number,
  open: boolean,
): void {
  const now = useNowUs(open ? 100 : null);
  useEffect(() => {
    const share = (((open ? now : Number.POSITIVE_INFINITY) - baseUs - view.from) / (view.to - view.from)) * 100;
    scroller.current?.style.setProperty('--now', `${Math.max(-1, Math.min(101, share))}%`);
  }, [scroller, now, view, baseUs, open]);
}

interface FollowOptions {
  table: StepTable;
  tree: Tree;
  version: number;
  visible: Int32Array;
  mode: Mode;
  open: number;
  scrollTo: (index: number, align?: 'nearest' | 'center' | 'start' | 'end') => void;
  selectedId: string | null;
}

/** Keeps the newest step in sight until the reader scrolls or selects; then counts what came since. */
function useFollow(options: FollowOptions) {
  const { table, version, visible, open, scrollTo, selectedId } = options;
  const [following, set] = useState(selectedId === null);
  const [seen, setSeen] = useState(table.size);
  const setFollowing = useCallback(
    (next: boolean) => {
      set((before) => {
        if (before !== next) setSeen(table.size);
        return next;
      });
    },
    [table],
  );
  useEffect(() => {
    if (!following || open === 0) return;
    void version;
    const newest = table.chronological[table.size - 1];
    if (newest === undefined) return;
    const index = visible.indexOf(newest);
    if (index >= 0) scrollTo(index, 'nearest');
  }, [following, open, version, visible, table, scrollTo]);
  return { following: following && open > 0, setFollowing, behind: Math.max(0, table.size - seen) };
}

/** Rows that came since the page was opened fade in, unless they come in floods. */
function useFresh(table: StepTable): (row: number) => boolean {
  const state = useRef({ table, from: table.size, at: 0, burst: 0 });
  const known = state.current;
  if (known.table !== table) state.current = { table, from: table.size, at: 0, burst: 0 };
  const second = Math.floor(Date.now() / 1_000);
  if (known.at !== second) {
    known.at = second;
    known.burst = table.size;
  }
  const flooded = table.size - known.burst > 20;
  return (row) => !flooded && row >= state.current.from;
}

function logRows(table: StepTable, tree: Tree, match: Match): Int32Array {
  void tree;
  const order = table.chronological.subarray(0, table.size);
  return match === null ? order : order.filter((row) => match[row] === HIT);
}

const paints = new WeakMap<Tree, Map<number, string | null>>();

function paintOf(table: StepTable, tree: Tree, row: number): string | null {
  let known = paints.get(tree);
  if (!known) paints.set(tree, (known = new Map()));
  let paint = known.get(row);
  if (paint === undefined) known.set(row, (paint = selfTime(table, tree, row)));
  return paint;
}

function positionOf(tree: Tree, row: number): number {
  return siblingsOf(tree, row) - (tree.fromLast[row] as number) + 1;
}

function siblingsOf(tree: Tree, row: number): number {
  const up = tree.above[row] as number;
  return up === NONE ? tree.roots : (tree.children[up] as number);
}

function toggled(before: ReadonlySet<string>, table: StepTable, tree: Tree, row: number, deep: boolean): ReadonlySet<string> {
  const next = new Set(before);
  const id = table.ids[row] as string;
  const folding = !next.has(id);
  if (folding) next.add(id);
  else next.delete(id);
  if (!deep) return next;
  const from = tree.place[row] as number;
  for (let place = from; place < from + (tree.subtree[row] as number); place++) {
    const inner = tree.preorder[place] as number;
    if ((tree.children[inner] as number) === 0) continue;
    if (folding) next.add(table.ids[inner] as string);
    else next.delete(table.ids[inner] as string);
  }
  return next;
}

function unfoldedTo(before: ReadonlySet<string>, table: StepTable, tree: Tree, row: number): ReadonlySet<string> {
  let next: Set<string> | null = null;
  for (let up = tree.above[row] as number; up !== NONE; up = tree.above[up] as number) {
    const id = table.ids[up] as string;
    if (!before.has(id)) continue;
    next ??= new Set(before);
    next.delete(id);
  }
  return next ?? before;
}

/** Everything at `depth` and deeper folded. */
export function foldedBelow(table: StepTable, tree: Tree, depth: number): ReadonlySet<string> {
  const next = new Set<string>();
  for (let row = 0; row < table.size; row++) {
    if ((tree.depth[row] as number) >= depth && (tree.children[row] as number) > 0) next.add(table.ids[row] as string);
  }
  return next;
}

function round(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}

