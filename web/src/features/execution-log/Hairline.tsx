import { type RefObject, useEffect, useRef } from 'react';
import { duration, offset } from '../../ui/format';
import type { LaneBar } from './Lanes';
import type { StepTable } from './table';
import type { View } from './waterfall';

const ROW = 28;

interface HairlineProps {
  box: RefObject<HTMLElement | null>;
  table: StepTable;
  bars: LaneBar[];
  view: View;
  origin: number;
}

/** The time at the pointer through all rows, and what step it points at. It follows the pointer without drawing anything else again. */
export function Hairline(props: HairlineProps) {
  const line = useRef<HTMLElement>(null);
  const label = useRef<HTMLSpanElement>(null);
  const latest = useRef(props);
  latest.current = props;
  const { box } = props;
  useEffect(() => {
    const lanes = box.current;
    const rows = lanes?.parentElement;
    if (!lanes || !rows) return;
    const hide = () => {
      if (line.current) line.current.hidden = true;
    };
    const move = (event: PointerEvent) => {
      const { current } = line;
      const area = lanes.getBoundingClientRect();
      const x = event.clientX - area.left;
      if (!current || !label.current || x < 0 || x > area.width || event.pointerType === 'touch') return hide();
      const { view, origin, table, bars } = latest.current;
      const at = view.from + (x / area.width) * (view.to - view.from);
      const y = event.clientY - area.top;
      const bar = bars.find(({ top }) => y >= top && y < top + ROW);
      current.hidden = false;
      current.style.translate = `${x}px 0`;
      label.current.textContent = [offset(Math.round(at - origin)), bar ? describe(table, bar.row, origin) : '']
        .filter(Boolean)
        .join(' · ');
      // below the row, and above the last ones; never beyond the edge of the lanes
      const below = (bar ? bar.top : y) + ROW;
      label.current.style.top = `${below + ROW > area.height ? below - 2 * ROW : below}px`;
      label.current.style.left = `${Math.min(6, area.width - x - label.current.offsetWidth)}px`;
    };
    rows.addEventListener('pointermove', move);
    rows.addEventListener('pointerleave', hide);
    return () => {
      rows.removeEventListener('pointermove', move);
      rows.removeEventListener('pointerleave', hide);
    };
  }, [box]);
  return (
    <i ref={line} className="lane-hair" hidden>
      <span ref={label} />
    </i>
  );
}

function describe(table: StepTable, row: number, origin: number): string {
  const start = table.start[row] as number;
  const name = table.names.at(table.name[row] as number);
  if (Number.isNaN(start)) return name;
  const length = table.duration[row] as number;
  const lasts = Number.isNaN(length) ? (table.open(row) ? 'running' : '') : duration(length);
  return [name, `starts ${offset(start - origin)}`, lasts].filter(Boolean).join(' · ');
}
