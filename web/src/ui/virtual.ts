/** Rows of one height in a scroller: which of them are on the screen. */
import { type RefObject, useCallback, useEffect, useLayoutEffect, useRef, useState } from 'react';
import { flushSync } from 'react-dom';

const OVERSCAN = 12;
/** After this long without a jump the rows above and below are drawn, too. */
const REST_MS = 100;
/** So many rows are printed: some twenty sheets. */
const PRINTED_MAX = 1_000;
/** Browsers lay out at most some 17 to 33 million pixels: beyond, rows are reached by scaling the scroll position. */
const HEIGHT_MAX = 12_000_000;

export interface Rows {
  first: number;
  /** exclusive */
  end: number;
  /** without the ones kept ready above and below */
  firstShown: number;
  endShown: number;
  /** height of the whole list in the scroller */
  height: number;
  /** top of a row in the scroller's content */
  topOf: (index: number) => number;
}

export interface Scroller {
  rows: Rows;
  onScroll: () => void;
  scrollTo: (index: number, align?: 'nearest' | 'center' | 'start' | 'end') => void;
  atEnd: () => boolean;
}

interface Options {
  scroller: RefObject<HTMLElement | null>;
  count: number;
  rowHeight: number;
  /** pixels above the first row inside the scroller (a sticky head) */
  headHeight: number;
}

export function useRows({ scroller, count, rowHeight, headHeight }: Options): Scroller {
  const [view, setView] = useState({ top: 0, height: 800, isJump: false });
  const pending = useRef(0);
  const lastTop = useRef(0);
  const rest = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const full = count * rowHeight;
  const height = Math.min(full, HEIGHT_MAX);
  const visible = Math.max(1, view.height - headHeight);
  // how far a pixel of the scroll bar reaches
  const ratio = full > height ? (full - visible) / Math.max(1, height - visible) : 1;
  const offset = view.top * ratio;
  const firstShown = Math.min(count, Math.floor(offset / rowHeight));
  const endShown = Math.min(count, Math.ceil((offset + visible) / rowHeight));
  // after a jump all rows are other ones: those that nobody sees follow when the reader rests
  const overscan = view.isJump ? 0 : OVERSCAN;
  const isPrinted = usePrinted();
  const first = isPrinted ? 0 : Math.max(0, firstShown - overscan);
  const end = Math.min(count, isPrinted ? PRINTED_MAX : endShown + overscan);
  const shift = isPrinted ? 0 : offset - view.top;

  const read = useCallback(() => {
    pending.current = 0;
    const element = scroller.current;
    if (!element) return;
    const next = { top: element.scrollTop, height: element.clientHeight };
    const isJump = Math.abs(next.top - lastTop.current) > next.height;
    lastTop.current = next.top;
    setView((before) => (before.top === next.top && before.height === next.height ? before : { ...next, isJump }));
    if (!isJump) return;
    clearTimeout(rest.current);
    rest.current = setTimeout(() => setView((before) => ({ ...before, isJump: false })), REST_MS);
  }, [scroller]);

  // several scroll events may come before a frame: one reading is enough
  const onScroll = useCallback(() => {
    if (pending.current === 0) pending.current = requestAnimationFrame(read);
  }, [read]);

  useLayoutEffect(read, [read]);
  useEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const observer = new ResizeObserver(read);
    observer.observe(element);
    return () => {
      observer.disconnect();
      cancelAnimationFrame(pending.current);
      clearTimeout(rest.current);
    };
  }, [scroller, read]);

  const scrollTo = useCallback(
    (index: number, align: 'nearest' | 'center' | 'start' | 'end' = 'nearest') => {
      const element = scroller.current;
      if (!element || index < 0) return;
      const room = Math.max(1, element.clientHeight - headHeight);
      const scale = full > height ? (full - room) / Math.max(1, height - room) : 1;
      const top = element.scrollTop * scale;
      const rowTop = index * rowHeight;
      let wanted = top;
      if (align === 'start') wanted = rowTop;
      else if (align === 'end') wanted = rowTop + rowHeight - room;
      else if (align === 'center') wanted = rowTop - (room - rowHeight) / 2;
      else if (rowTop < top + rowHeight) wanted = rowTop - rowHeight;
      else if (rowTop + 2 * rowHeight > top + room) wanted = rowTop + 2 * rowHeight - room;
      else return;
      element.scrollTop = Math.max(0, wanted) / scale;
      read();
    },
    [scroller, headHeight, full, height, rowHeight, read],
  );

  const atEnd = useCallback(() => {
    const element = scroller.current;
    return !element || element.scrollTop + element.clientHeight >= element.scrollHeight - rowHeight;
  }, [scroller, rowHeight]);

  return {
    rows: {
      first,
      end,
      firstShown,
      endShown,
      height: isPrinted ? end * rowHeight : height,
      topOf: (index) => index * rowHeight - shift,
    },
    onScroll,
    scrollTo,
    atEnd,
  };
}

/** Whether the page is drawn for paper, where nobody scrolls: at once, because the browser does not wait for another frame. */
function usePrinted(): boolean {
  const [isPrinted, setPrinted] = useState(false);
  useEffect(() => {
    const paper = matchMedia('print');
    const change = () => flushSync(() => setPrinted(paper.matches));
    paper.addEventListener('change', change);
    return () => paper.removeEventListener('change', change);
  }, []);
  return isPrinted;
}

/**
 * The places of rows among the elements that draw them. A row that stays on the screen keeps its element; one that arrives takes that of
 * one that left, so that a jump changes texts and makes no elements.
 *
 * @param before the places of the rows drawn last, in their order
 * @param ids of the rows to draw now, each once
 */
export function placesOf(before: ReadonlyMap<string, number>, ids: readonly string[]): Map<string, number> {
  const staying = new Set(ids);
  const free: number[] = [];
  for (const [id, place] of before) if (!staying.has(id)) free.push(place);
  let fresh = before.size === 0 ? 0 : Math.max(...before.values()) + 1;
  let taken = 0;
  const places = new Map<string, number>();
  for (const id of ids) places.set(id, before.get(id) ?? free[taken++] ?? fresh++);
  return places;
}

/** As `placesOf`, for the life of a component. */
export function usePlaces(ids: readonly string[]): ReadonlyMap<string, number> {
  const last = useRef<ReadonlyMap<string, number>>(new Map());
  last.current = placesOf(last.current, ids);
  return last.current;
}
