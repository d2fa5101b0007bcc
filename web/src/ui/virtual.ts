/** Rows of one height in a scroller: which of them are on the screen. */
import { type RefObject, useCallback, useEffect, useLayoutEffect, useRef, useState } from 'react';

const OVERSCAN = 12;
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
  const [view, setView] = useState({ top: 0, height: 800 });
  const pending = useRef(0);
  const full = count * rowHeight;
  const height = Math.min(full, HEIGHT_MAX);
  const visible = Math.max(1, view.height - headHeight);
  // how far a pixel of the scroll bar reaches
  const ratio = full > height ? (full - visible) / Math.max(1, height - visible) : 1;
  const offset = view.top * ratio;
  const first = Math.max(0, Math.floor(offset / rowHeight) - OVERSCAN);
  const end = Math.min(count, Math.ceil((offset + visible) / rowHeight) + OVERSCAN);
  const firstShown = Math.min(count, Math.floor(offset / rowHeight));
  const endShown = Math.min(count, Math.ceil((offset + visible) / rowHeight));
  const shift = offset - view.top;

  const read = useCallback(() => {
    pending.current = 0;
    const element = scroller.current;
    if (!element) return;
    const next = { top: element.scrollTop, height: element.clientHeight };
    setView((before) => (before.top === next.top && before.height === next.height ? before : next));
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
    rows: { first, end, firstShown, endShown, height, topOf: (index) => index * rowHeight - shift },
    onScroll,
    scrollTo,
    atEnd,
  };
}
