import { useEffect, useMemo, useRef, useState } from 'react';
import { usePreference } from '../../app/preferences';
import { useNowUs } from '../../ui/clock';
import { cost, count, exact, offset, plural, tickLabel } from '../../ui/format';
import { ticksOf } from '../execution-log/Axis';
import { useColumnWorker } from '../execution-log/column-worker';
import { coloursOf } from '../execution-log/Minimap';
import type { StepTable } from '../execution-log/table';
import type { View } from '../execution-log/waterfall';
import type { TaskTabProps } from '../task-tabs/tabs';
import type { Activity, Range } from './activity';
import { CHARTS, type Colours, drawActivity, peakOf, type Strip, stripsOf } from './strips';
import './activity.css';

const NONE = -1;
const KEY_STEP = 0.01;
/** A shorter drag is a click. */
const BRUSH_MIN_PX = 4;

const open = () => new Worker(new URL('./activity.worker.ts', import.meta.url), { type: 'module' });

/** Agents, context, tokens and cost on one clock; a brush zooms, here and in the steps below. */
export function ActivityTab({ table, tree, version, zoom, onZoom, onSelect }: TaskTabProps) {
  const box = useRef<HTMLDivElement>(null);
  const width = useWidth(box);
  const running = table.countOf('running') + table.countOf('waiting') > 0;
  const now = useNowUs(running ? 1_000 : null) - table.baseUs;
  const view = zoom === null || zoom === 'all' ? null : zoom;
  const range = useMemo<Range | null>(() => (width > 0 ? { view, width, now } : null), [view, width, now]);
  const activity = useColumnWorker<Range, Activity>(open, table, tree, version, range);
  return (
    <section className="activity-tab" aria-label="Activity">
      {activity ? <Names activity={activity} /> : null}
      <div ref={box} className="activity-box">
        {activity ? (
          <Strips activity={activity} table={table} onZoom={onZoom} onSelect={onSelect} />
        ) : (
          <div className="loading-bar" />
        )}
      </div>
    </section>
  );
}

function Names({ activity }: { activity: Activity }) {
  const { strips, height } = stripsOf(activity);
  return (
    <ul className="activity-names" style={{ height }}>
      {strips.map((strip) => (
        <li key={strip.id} style={{ top: strip.top, height: strip.height }}>
          <span className="cut" dir="auto" title={strip.name}>
            {strip.name}
          </span>
          <span className="faint tnum">{noteOf(strip, activity)}</span>
        </li>
      ))}
    </ul>
  );
}

/** The scale of a chart, or how many steps a lane has. */
function noteOf(strip: Strip, activity: Activity): string {
  if (strip.id.startsWith('lane-')) return count(activity.lanes[Number(strip.id.slice(5))]?.steps ?? 0);
  const chart = CHARTS.find(([id]) => id === strip.id)?.[0];
  if (!chart) return '';
  const peak = peakOf(activity[chart]);
  return chart === 'cost' ? cost(peak) : count(peak);
}

interface StripsProps {
  activity: Activity;
  table: StepTable;
  onZoom: TaskTabProps['onZoom'];
  onSelect: TaskTabProps['onSelect'];
}

function Strips({ activity, table, onZoom, onSelect }: StripsProps) {
  const area = useRef<HTMLDivElement>(null);
  const [at, setAt] = useState<number | null>(null);
  const [anchor, setAnchor] = useState<number | null>(null);
  const { from, to, whole } = activity;
  const n = activity.open.length;
  const { strips, height } = stripsOf(activity);
  const timeAt = (x: number) => from + (x / n) * (to - from);
  const xOf = (event: React.PointerEvent) => {
    const left = area.current?.getBoundingClientRect().left ?? 0;
    return Math.max(0, Math.min(n - 1, Math.round(event.clientX - left)));
  };
  const zoomTo = (a: number, b: number) => {
    const next: View = { from: timeAt(Math.min(a, b)), to: timeAt(Math.max(a, b)) };
    if (next.to - next.from > (whole.to - whole.from) / 1e6) onZoom(next);
    setAnchor(null);
  };
  const pick = (x: number, y: number) => {
    const row = rowAt(activity, strips, x, y);
    if (row !== NONE) onSelect(table.ids[row] ?? null);
  };
  const release = (event: React.PointerEvent) => {
    if (anchor === null) return;
    const x = xOf(event);
    if (Math.abs(x - anchor) >= BRUSH_MIN_PX) return zoomTo(anchor, x);
    setAnchor(null);
    pick(x, event.clientY - (area.current?.getBoundingClientRect().top ?? 0));
  };
  const press = (event: React.KeyboardEvent) => {
    const here = at ?? 0;
    const by = { ArrowLeft: -1, ArrowRight: 1, PageDown: -10, PageUp: 10 }[event.key];
    if (by !== undefined) {
      if (event.shiftKey) setAnchor(anchor ?? here);
      else setAnchor(null);
      setAt(Math.max(0, Math.min(n - 1, Math.round(here + by * Math.max(1, n * KEY_STEP)))));
    } else if (event.key === 'Home' || event.key === 'End') setAt(event.key === 'Home' ? 0 : n - 1);
    else if (event.key === 'Enter' && at !== null) {
      if (anchor !== null && anchor !== at) zoomTo(anchor, at);
      else pick(at, NONE);
    } else if (event.key === 'Escape' && anchor !== null) setAnchor(null);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div
      ref={area}
      className="activity-area"
      style={{ height: height + 20 }}
      role="slider"
      tabIndex={0}
      aria-label="Time"
      aria-valuemin={0}
      aria-valuemax={n - 1}
      aria-valuenow={at ?? 0}
      aria-valuetext={
        at === null ? `${offset(from - whole.from) || '0'} to ${offset(to - whole.from)}` : readout(activity, at)
      }
      title="Drag to zoom, double-click to show all. Keys: arrows move, Shift marks a range, Enter zooms or selects"
      onKeyDown={press}
      onPointerMove={(event) => setAt(xOf(event))}
      onPointerLeave={() => setAt(null)}
      onPointerDown={(event) => {
        if (event.button !== 0) return;
        event.currentTarget.setPointerCapture(event.pointerId);
        setAnchor(xOf(event));
      }}
      onPointerUp={release}
      onPointerCancel={() => setAnchor(null)}
      onDoubleClick={() => onZoom(null)}
    >
      <Picture activity={activity} table={table} />
      <Times activity={activity} top={height} />
      {anchor !== null && at !== null ? (
        <i className="activity-brush" style={{ left: Math.min(anchor, at), width: Math.abs(at - anchor), height }} />
      ) : null}
      {at === null ? null : (
        <>
          <i className="activity-hairline" style={{ left: at, height }} />
          <span className={at > n / 2 ? 'activity-readout before tnum' : 'activity-readout tnum'} style={{ left: at }}>
            {readout(activity, at)}
          </span>
        </>
      )}
    </div>
  );
}

/** What is at a pixel, in words. */
function readout(activity: Activity, x: number): string {
  const { from, to, whole, open: steps, context, tokens, cost: costs } = activity;
  const time = from + (x / steps.length) * (to - from) - whole.from;
  const size = context[x] as number;
  return [
    offset(Math.round(time)) || '0',
    `${exact(steps[x] as number)} open`,
    Number.isNaN(size) ? '' : `context ${count(size)}`,
    `${count(tokens[x] as number)} tokens`,
    activity.costKnown ? cost(costs[x] as number) : '',
  ]
    .filter(Boolean)
    .join(' · ');
}

/** The step at a point: a mark on the top strip (or with the keyboard), else that of the lane; NONE elsewhere. */
function rowAt(activity: Activity, strips: readonly Strip[], x: number, y: number): number {
  const strip = strips.find(({ top, height }) => y >= top && y < top + height);
  if (strip?.id.startsWith('lane-')) return activity.lanes[Number(strip.id.slice(5))]?.rows[x] ?? NONE;
  if (y !== NONE && strip?.id !== 'marks') return NONE;
  for (const marks of [activity.errors, activity.waits, activity.retries]) {
    for (let by = 0; by <= BRUSH_MIN_PX; by++) {
      for (const row of [marks[x - by], marks[x + by]]) if (row !== undefined && row !== NONE) return row;
    }
  }
  if (y !== NONE) return NONE;
  return activity.lanes.find((lane) => lane.rows[x] !== NONE)?.rows[x] ?? NONE;
}

function Picture({ activity, table }: { activity: Activity; table: StepTable }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [theme] = usePreference('theme', 'system');
  useEffect(() => {
    const element = canvas.current;
    if (!element) return;
    // another theme has other colours
    void theme;
    const paint = () => drawActivity(element, activity, table, allColoursOf(element));
    paint();
    const scheme = matchMedia('(prefers-color-scheme: dark)');
    scheme.addEventListener('change', paint);
    return () => scheme.removeEventListener('change', paint);
  }, [activity, table, theme]);
  const { height } = stripsOf(activity);
  const errors = activity.errors.reduce((sum, row) => sum + (row === NONE ? 0 : 1), 0);
  return (
    <canvas
      ref={canvas}
      style={{ width: activity.open.length, height }}
      role="img"
      aria-label={`${plural(activity.lanes.length, 'agent')}, ${plural(errors, 'moment')} with errors`}
    />
  );
}

function allColoursOf(element: HTMLElement): Colours {
  const style = getComputedStyle(element);
  const of = (name: string) => style.getPropertyValue(name).trim();
  const probe = document.createElement('span');
  element.parentElement?.append(probe);
  const computed = (value: string) => {
    probe.style.color = value;
    return getComputedStyle(probe).color;
  };
  const colours = {
    ...coloursOf(element),
    waiting: computed(of('--waiting')),
    retry: computed(of('--handoff')),
    soft: computed('color-mix(in srgb, var(--agent) 18%, var(--page))'),
    border: computed(of('--border-soft')),
    chart: computed(of('--accent')),
  };
  probe.remove();
  return colours;
}

function Times({ activity: { from, to, whole }, top }: { activity: Activity; top: number }) {
  const { step, times } = ticksOf({ from, to }, whole.from);
  return (
    <div className="activity-times" style={{ top }} aria-hidden="true">
      {times.map((time) => {
        const share = (time + whole.from - from) / (to - from);
        return (
          <span key={time} className="tick-label" style={{ left: `${share * 100}%` }}>
            {tickLabel(time, step)}
          </span>
        );
      })}
    </div>
  );
}

function useWidth(box: React.RefObject<HTMLElement | null>): number {
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    return () => observer.disconnect();
  }, [box]);
  return width;
}
