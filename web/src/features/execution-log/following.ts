/** What moves while steps run: keeping the newest step visible, and new rows fading in. */
import { useCallback, useEffect, useRef, useState } from 'react';
import type { StepTable } from './table';

interface FollowOptions {
  table: StepTable;
  version: number;
  visible: Int32Array;
  open: number;
  /** the pointer is on the rows: they must not move */
  paused: boolean;
  scrollTo: (index: number, align?: 'nearest' | 'center' | 'start' | 'end') => void;
  selectedId: string | null;
}

/** Keeps the newest step visible until the reader scrolls or selects; then counts the steps since. */
export function useFollow(options: FollowOptions) {
  const { table, version, visible, open, paused, scrollTo, selectedId } = options;
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
    if (!following || paused || open === 0) return;
    void version;
    const newest = table.chronological[table.size - 1];
    if (newest === undefined) return;
    const index = visible.indexOf(newest);
    if (index >= 0) scrollTo(index, 'nearest');
  }, [following, paused, open, version, visible, table, scrollTo]);
  return { following: following && open > 0, setFollowing, behind: Math.max(0, table.size - seen) };
}

/** Rows that are new since the page was opened fade in, unless many arrive at once. */
export function useFresh(table: StepTable): (row: number) => boolean {
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
