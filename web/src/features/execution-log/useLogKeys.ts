/** The keys of a task page. */
import type { RefObject } from 'react';
import { useKeys } from '../../app/keys';
import { copyText } from '../../ui/controls';
import { collapsedBelow } from './collapse';
import type { StepTable } from './table';
import { HIT, isError, type Match, type Tree } from './tree';
import type { Mode, Zoom } from './waterfall';

const NONE = -1;
const PAGE = 20;

interface Options {
  table: StepTable;
  tree: Tree;
  visible: Int32Array;
  selected: number;
  match: Match;
  mode: Mode;
  collapsed: ReadonlySet<number>;
  select: (row: number) => void;
  reveal: (row: number) => void;
  toggle: (row: number, deep: boolean) => void;
  setCollapsed: (collapsed: ReadonlySet<string>) => void;
  setZoom: (zoom: Zoom | ((before: Zoom) => Zoom)) => void;
  scrollTo: (index: number) => void;
  query: RefObject<HTMLInputElement | null>;
  following: boolean;
  setFollowing: (following: boolean) => void;
  onMode: (mode: Mode) => void;
  scroller: RefObject<HTMLElement | null>;
}

export function useLogKeys(o: Options): void {
  const { table, tree, visible, selected } = o;
  const at = selected === NONE ? -1 : visible.indexOf(selected);
  const go = (index: number) => {
    const to = Math.max(0, Math.min(visible.length - 1, index));
    const row = visible[to];
    if (row === undefined) return;
    o.select(row);
    o.scrollTo(to);
  };
  const goRow = (row: number) => {
    if (row !== NONE) o.reveal(row);
  };
  /** The next row of the whole tree (or log) that fits, round the end. */
  const find = (test: (row: number) => boolean, backwards: boolean) => {
    const order = o.mode === 'tree' ? tree.preorder : table.chronological.subarray(0, table.size);
    const n = order.length;
    const start = selected === NONE ? (backwards ? 0 : n - 1) : order.indexOf(selected);
    for (let i = 1; i <= n; i++) {
      const row = order[(start + (backwards ? n - i : i) + n) % n] as number;
      if (test(row)) return goRow(row);
    }
  };
  const failed = (row: number) => isError(table, row);
  const hit = (row: number) => o.match !== null && o.match[row] === HIT;
  const left = () => {
    if (selected === NONE || o.mode !== 'tree') return;
    if ((tree.children[selected] as number) > 0 && !o.collapsed.has(selected)) o.toggle(selected, false);
    else goRow(tree.above[selected] as number);
  };
  const right = () => {
    if (selected === NONE || o.mode !== 'tree') return;
    if (o.collapsed.has(selected)) o.toggle(selected, false);
    else goRow(tree.firstChild[selected] as number);
  };
  const zoom = () => {
    if (selected === NONE) return;
    const from = table.start[selected] as number;
    const length = table.duration[selected] as number;
    if (Number.isNaN(from) || !(length > 0)) return;
    o.setZoom({ from: from - length * 0.02, to: from + length * 1.02 });
  };
  const depths = Object.fromEntries(
    Array.from({ length: 9 }, (_, index) => [
      String(index + 1),
      () => o.setCollapsed(index === 8 ? new Set() : collapsedBelow(table, tree, index + 1)),
    ]),
  );
  useKeys({
    ...depths,
    j: () => go(at + 1),
    ArrowDown: () => go(at + 1),
    k: () => go(at < 0 ? 0 : at - 1),
    ArrowUp: () => go(at < 0 ? 0 : at - 1),
    Home: () => go(0),
    End: () => go(visible.length - 1),
    PageDown: () => go(at + PAGE),
    PageUp: () => go(at - PAGE),
    ArrowLeft: left,
    ArrowRight: right,
    'Shift+ArrowRight': () => selected !== NONE && o.collapsed.has(selected) && o.toggle(selected, true),
    e: () => find(failed, false),
    E: () => find(failed, true),
    n: () => find(hit, false),
    N: () => find(hit, true),
    z: zoom,
    '0': () => o.setZoom('all'),
    g: () => o.setZoom((before) => (before === null ? 'all' : null)),
    f: () => o.setFollowing(!o.following),
    v: () => o.onMode(o.mode === 'tree' ? 'log' : 'tree'),
    c: () => void copyText(location.href, 'the address'),
    '/': () => {
      o.query.current?.focus();
      o.query.current?.select();
    },
  });
}
