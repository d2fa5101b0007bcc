import { memo, useEffect, useRef } from 'react';
import { STEP_TYPES } from '../../api/types';
import { usePreference } from '../../app/preferences';
import type { StepTable } from './table';
import { isError, type Tree } from './tree';
import type { View } from './waterfall';

const HEIGHT = 44;
const PAD = 4;

interface MinimapProps {
  table: StepTable;
  tree: Tree;
  /** changes when the table did */
  version: number;
  whole: View;
  view: View;
  nowRelative: number;
  onView: (view: View | null) => void;
}

/** The whole task in 44 pixels: every step a stroke of its colour, errors as ticks over all, brackets that choose the visible range. */
export function Minimap(props: MinimapProps) {
  const { whole, view, onView } = props;
  const box = useRef<HTMLDivElement>(null);
  const span = whole.to - whole.from;
  const left = (view.from - whole.from) / span;
  const right = (view.to - whole.from) / span;
  const zoomed = left > 0.0005 || right < 0.9995;

  const timeAt = (clientX: number) => {
    const rect = box.current?.getBoundingClientRect();
    if (!rect) return whole.from;
    const share = (clientX - rect.left) / rect.width;
    return whole.from + Math.max(0, Math.min(1, share)) * span;
  };
  const drag = (event: React.PointerEvent, move: (time: number) => View) => {
    event.preventDefault();
    event.stopPropagation();
    const target = event.currentTarget as HTMLElement;
    target.setPointerCapture(event.pointerId);
    const step = (next: PointerEvent) => {
      const wanted = move(timeAt(next.clientX));
      if (wanted.to - wanted.from > span / 5_000) onView(wanted);
    };
    const end = () => {
      target.removeEventListener('pointermove', step);
      target.removeEventListener('pointerup', end);
      target.removeEventListener('pointercancel', end);
    };
    target.addEventListener('pointermove', step);
    target.addEventListener('pointerup', end);
    target.addEventListener('pointercancel', end);
  };
  const brush = (event: React.PointerEvent) => {
    if (event.button !== 0) return;
    const anchor = timeAt(event.clientX);
    drag(event, (time) => ({ from: Math.min(anchor, time), to: Math.max(anchor, time) }));
  };
  const nudge = (side: 'from' | 'to') => (event: React.KeyboardEvent) => {
    const by = event.key === 'ArrowLeft' ? -0.02 : event.key === 'ArrowRight' ? 0.02 : 0;
    if (by === 0) return;
    event.preventDefault();
    event.stopPropagation();
    const next = { ...view, [side]: Math.max(whole.from, Math.min(whole.to, view[side] + by * span)) };
    if (next.to - next.from > span / 5_000) onView(next);
  };

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: brushing is a shortcut of the pointer; the brackets take keys
    <div ref={box} className="step-minimap" onPointerDown={brush} onDoubleClick={() => onView(null)}>
      <Strokes table={props.table} tree={props.tree} version={props.version} whole={whole} now={props.nowRelative} />
      {zoomed ? (
        <>
          <div className="shade" style={{ left: 0, width: `${left * 100}%` }} />
          <div className="shade" style={{ left: `${right * 100}%`, right: 0 }} />
          {(['from', 'to'] as const).map((side) => (
            <button
              key={side}
              type="button"
              className="bracket"
              style={{ left: `${(side === 'from' ? left : right) * 100}%` }}
              aria-label={side === 'from' ? 'Start of the stretch shown' : 'End of the stretch shown'}
              title="Drag or use the arrow keys. Double-click to show the full range"
              onPointerDown={(event) => drag(event, (time) => ({ ...view, [side]: time }))}
              onKeyDown={nudge(side)}
            />
          ))}
        </>
      ) : null}
    </div>
  );
}

interface StrokesProps {
  table: StepTable;
  tree: Tree;
  version: number;
  whole: View;
  now: number;
}

const Strokes = memo(
  function Strokes({ table, tree, whole, now }: StrokesProps) {
    const canvas = useRef<HTMLCanvasElement>(null);
    const [theme] = usePreference('theme', 'system');
    useEffect(() => {
      const element = canvas.current;
      if (!element) return;
      // another theme has other colours
      void theme;
      const paint = () => draw(element, table, tree, whole, now);
      // it calls once when it begins to observe
      const observer = new ResizeObserver(paint);
      observer.observe(element);
      const scheme = matchMedia('(prefers-color-scheme: dark)');
      scheme.addEventListener('change', paint);
      return () => {
        observer.disconnect();
        scheme.removeEventListener('change', paint);
      };
    }, [table, tree, whole, now, theme]);
    return <canvas ref={canvas} role="img" aria-label="All steps in time" />;
  },
  (before, after) =>
    before.tree === after.tree && before.whole.from === after.whole.from && before.whole.to === after.whole.to,
);

function draw(canvas: HTMLCanvasElement, table: StepTable, tree: Tree, whole: View, now: number): void {
  const scale = Math.min(2, window.devicePixelRatio || 1);
  const width = canvas.clientWidth;
  if (width === 0) return;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(HEIGHT * scale);
  const context = canvas.getContext('2d');
  if (!context) return;
  const colours = coloursOf(canvas);
  context.scale(scale, scale);
  const n = table.size;
  const room = HEIGHT - 2 * PAD;
  const stroke = Math.max(1.5, Math.min(5, (room / Math.max(1, n)) * 0.75));
  const perUs = width / (whole.to - whole.from);
  // very large tasks: strokes that share a pixel are drawn once
  const drawn = n > 4_000 ? new Uint8Array(width * HEIGHT + HEIGHT) : null;
  for (let place = 0; place < n; place++) {
    const row = tree.preorder[place] as number;
    const start = table.start[row] as number;
    if (Number.isNaN(start)) continue;
    const end = table.open(row) ? now : table.endOf(row);
    const x = (start - whole.from) * perUs;
    const length = Math.max(1.5, ((Number.isNaN(end) ? start : end) - start) * perUs);
    const y = PAD + (n === 1 ? room / 2 : (place / (n - 1)) * (room - stroke));
    if (drawn && length < 3) {
      const key = Math.floor(y) * width + Math.floor(x);
      if (drawn[key]) continue;
      drawn[key] = 1;
    }
    context.fillStyle = colours.types[table.type[row] as number] ?? colours.error;
    context.globalAlpha = (tree.children[row] as number) > 0 ? 0.35 : 0.9;
    context.fillRect(x, y, length, stroke);
  }
  context.globalAlpha = 0.9;
  context.fillStyle = colours.error;
  for (let row = 0; row < n; row++) {
    if (!isError(table, row)) continue;
    const at = table.endOf(row);
    const x = ((Number.isNaN(at) ? (table.start[row] as number) : at) - whole.from) * perUs;
    context.fillRect(Math.min(width - 1.5, x), 0, 1.5, HEIGHT);
  }
  if (table.countOf('running') + table.countOf('waiting') > 0) {
    context.globalAlpha = 0.7;
    context.fillStyle = colours.running;
    context.fillRect((now - whole.from) * perUs, 0, 1, HEIGHT);
  }
}

/** The colours of step types, errors and running steps in the theme of an element. */
export function coloursOf(canvas: HTMLElement): { types: string[]; error: string; running: string } {
  const probe = document.createElement('span');
  // where motion is reduced every change is a very short transition, which still begins with the colour before
  probe.style.transitionProperty = 'none';
  canvas.parentElement?.append(probe);
  const of = (name: string) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const colours = { types: STEP_TYPES.map(of), error: of('error'), running: of('running') };
  probe.remove();
  return colours;
}
