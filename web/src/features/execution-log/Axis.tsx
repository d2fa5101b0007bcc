import { tickLabel, tickStep } from '../../ui/format';
import type { View } from './waterfall';

export function LogHead() {
  return (
    <span role="columnheader" style={{ paddingLeft: 18 }}>
      Input or output
    </span>
  );
}

const TICKS = 6;

export function ticksOf(view: View, origin: number): { step: number; times: number[] } {
  const step = tickStep(view.to - view.from, TICKS);
  const times: number[] = [];
  const first = Math.ceil((view.from - origin) / step) * step;
  for (let at = first; at + origin <= view.to && times.length < 20; at += step) times.push(at);
  return { step, times };
}

export function Axis({ view, origin }: { view: View; origin: number }) {
  const { step, times } = ticksOf(view, origin);
  const span = view.to - view.from;
  return (
    <span role="columnheader" className="time-axis" aria-label="Time since the start">
      {times.map((at) => {
        const share = ((at + origin - view.from) / span) * 100;
        return (
          <span key={at} className="tick-label" style={{ left: `${share}%` }}>
            {tickLabel(at, step)}
          </span>
        );
      })}
    </span>
  );
}
