import { memo, useEffect, useRef } from 'react';
import { STATUSES, STEP_TYPES } from '../../api/types';
import { useNowUs } from '../../ui/clock';
import { ticksOf } from './Axis';
import { Hairline } from './Hairline';
import type { StepTable } from './table';
import { beyond, type View } from './waterfall';

export interface LaneBar {
  /** of its element */
  place: number;
  row: number;
  version: number;
  top: number;
  selected: boolean;
  /** how many children the step has: the time of an open one is drawn as theirs */
  parent: boolean;
  /** children's time as a gradient; null when all of it is self time */
  paint: string | null;
}

interface LanesProps {
  table: StepTable;
  bars: LaneBar[];
  view: View;
  origin: number;
  open: boolean;
}

/**
 * The waterfall beside the rows: lines of time, bars, the line of now. Bars are placed in microseconds, and the visible range is two
 * CSS values of this element alone: zooming, scrolling with the time and the passing of now restyle some fifty elements.
 */
export function Lanes({ table, bars, view, origin, open }: LanesProps) {
  const box = useRef<HTMLDivElement>(null);
  const span = view.to - view.from;
  return (
    <div
      ref={box}
      className="step-lanes"
      aria-hidden="true"
      style={{ '--v0': view.from, '--k': `${100 / span}%` } as React.CSSProperties}
    >
      {open ? <i className="later" /> : null}
      {ticksOf(view, origin).times.map((at) => (
        <i key={at} className="tick" style={{ left: `${((at + origin - view.from) / span) * 100}%` }} />
      ))}
      <div className="lane-bars">
        {bars.map(({ place, ...bar }) => (
          <Bar key={place} table={table} {...bar} />
        ))}
      </div>
      {bars.map(({ row, top }) => {
        const { left, right } = beyond(table, row, view);
        return left || right ? (
          <span key={`beyond-${table.ids[row]}`} className="lane-beyond" style={{ top: `${top + 9}px` }}>
            {left ? <i data-side="left" data-type={STEP_TYPES[table.type[row] as number]} /> : null}
            {right ? <i data-side="right" data-type={STEP_TYPES[table.type[row] as number]} /> : null}
          </span>
        ) : null;
      })}
      <Hairline box={box} table={table} bars={bars} view={view} origin={origin} />
      {open ? <i className="now" /> : null}
      {open ? <NowLine box={box} baseUs={table.baseUs} /> : null}
    </div>
  );
}

const Bar = memo(function Bar({
  table,
  row,
  top,
  selected,
  parent,
  paint,
}: Omit<LaneBar, 'place'> & { table: StepTable }) {
  const start = table.start[row] as number;
  if (Number.isNaN(start)) return null;
  const open = table.open(row);
  const length = table.duration[row] as number;
  const width = open ? `(var(--now-at, ${start}) - ${start})` : String(Number.isNaN(length) ? 0 : length);
  const classes = ['lane-bar', open ? 'open' : '', open && parent ? 'parent' : '', selected ? 'selected' : ''].join(
    ' ',
  );
  return (
    <i
      className={classes}
      data-type={STEP_TYPES[table.type[row] as number]}
      data-status={STATUSES[table.status[row] as number]}
      style={{
        top: `${top + 9}px`,
        left: `calc((${start} - var(--v0)) * var(--k))`,
        width: `max(2px, calc(${width} * var(--k)))`,
        ...(paint && !open ? { background: paint } : {}),
      }}
    />
  );
});

/** Moves the line of now by a CSS value: nothing is drawn again for it. */
function NowLine({ box, baseUs }: { box: React.RefObject<HTMLElement | null>; baseUs: number }): null {
  const now = useNowUs(100);
  useEffect(() => {
    box.current?.style.setProperty('--now-at', String(now - baseUs));
  }, [box, now, baseUs]);
  return null;
}
