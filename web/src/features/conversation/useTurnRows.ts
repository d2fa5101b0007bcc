/** The turns on the screen: which are drawn, and how the page stays where it is while heights become known. */
import { type RefObject, useCallback, useEffect, useLayoutEffect, useMemo, useReducer, useRef } from 'react';
import { Heights } from './heights';

const OVERSCAN_PX = 600;
const USUAL_HEIGHT = 150;
const END_PX = 40;

interface Options {
  scroller: RefObject<HTMLElement | null>;
  rows: Int32Array;
  indexOf: Int32Array;
  /** stay at the end while it grows */
  following: boolean;
}

/** The row that stays at its place on the screen, `offset` pixels below the upper edge. */
interface Anchor {
  row: number;
  offset: number;
}

export function useTurnRows({ scroller, rows, indexOf, following }: Options) {
  const heights = useMemo(() => new Heights(USUAL_HEIGHT), []);
  heights.setRows(rows);
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  const anchor = useRef<Anchor | null>(null);
  const view = useRef({ top: 0, height: 800 });
  const frame = useRef(0);

  const first = heights.indexAt(Math.max(0, view.current.top - OVERSCAN_PX));
  const last = heights.indexAt(view.current.top + view.current.height + OVERSCAN_PX);

  const read = useCallback(() => {
    frame.current = 0;
    const element = scroller.current;
    if (!element) return;
    view.current = { top: element.scrollTop, height: element.clientHeight };
    const index = heights.indexAt(element.scrollTop);
    const row = rows[index];
    anchor.current = row === undefined ? null : { row, offset: heights.topOf(index) - element.scrollTop };
    redraw();
  }, [scroller, heights, rows]);

  const onScroll = useCallback(() => {
    if (frame.current === 0) frame.current = requestAnimationFrame(read);
  }, [read]);

  /** Keep the anchor where it is. Returns whether the page was scrolled. */
  const settle = useCallback((): boolean => {
    const element = scroller.current;
    if (!element) return false;
    let wanted = element.scrollTop;
    if (following) wanted = Math.max(0, heights.total - element.clientHeight);
    else if (anchor.current) {
      const index = indexOf[anchor.current.row] ?? -1;
      if (index >= 0) wanted = heights.topOf(index) - anchor.current.offset;
    }
    const end = Math.max(0, heights.total - element.clientHeight);
    wanted = Math.min(Math.max(0, wanted), end);
    view.current = { top: wanted, height: element.clientHeight };
    if (Math.abs(wanted - element.scrollTop) < 1) return false;
    element.scrollTop = wanted;
    return true;
  }, [scroller, heights, indexOf, following]);

  const measure = useCallback(() => {
    const element = scroller.current;
    if (!element) return;
    const drawn = [...element.querySelectorAll<HTMLElement>('[data-row]')];
    const changed = heights.measure(drawn.map((one) => [Number(one.dataset.row), one.offsetHeight] as const));
    if (settle() || changed) redraw();
  }, [scroller, heights, settle]);

  // after each drawing, before it is painted
  useLayoutEffect(measure);

  useEffect(() => {
    const element = scroller.current;
    if (!element) return;
    // what is unfolded, and the window
    const observer = new ResizeObserver(() => measure());
    observer.observe(element);
    for (const child of element.querySelectorAll('[data-row]')) observer.observe(child);
    return () => observer.disconnect();
  });
  useEffect(() => () => cancelAnimationFrame(frame.current), []);

  const scrollTo = useCallback(
    (row: number) => {
      anchor.current = { row, offset: 12 };
      settle();
      redraw();
    },
    [settle],
  );

  const isAtEnd = useCallback(() => {
    const element = scroller.current;
    return !element || element.scrollTop + element.clientHeight >= element.scrollHeight - END_PX;
  }, [scroller]);

  return { first, last, heights, onScroll, scrollTo, isAtEnd };
}
