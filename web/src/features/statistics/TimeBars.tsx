import { useState } from 'react';
import { dayAndTime } from '../../ui/format';

interface TimeBarsProps<P extends { startUs: number }> {
  title: string;
  /** the figure of the complete range, beside the title */
  total: string;
  points: P[];
  /** null: nothing is known of the point */
  value: (point: P) => number | null;
  /** the part of the value to mark, in the error colour */
  failed?: (point: P) => number;
  text: (value: number) => string;
}

/** One figure over time, as bars; the pointer shows each. */
export function TimeBars<P extends { startUs: number }>({
  title,
  total,
  points,
  value,
  failed,
  text,
}: TimeBarsProps<P>) {
  const [pointed, setPointed] = useState<number | null>(null);
  const values = points.map(value);
  const most = Math.max(0, ...values.map((one) => one ?? 0));
  const at = pointed === null ? undefined : points[pointed];
  const shown = pointed === null ? null : values[pointed];
  return (
    <figure className="time-bars">
      <figcaption>
        <span>{title}</span>
        <strong className="tnum">{at ? (shown === null || shown === undefined ? 'none' : text(shown)) : total}</strong>
        <span className="faint tnum time-bars-at">{at ? dayAndTime(at.startUs) : ''}</span>
      </figcaption>
      <svg
        viewBox={`0 0 ${Math.max(1, points.length)} 100`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${title} over time: ${total}, at most ${text(most)}`}
        onPointerMove={(event) => {
          const box = event.currentTarget.getBoundingClientRect();
          const place = Math.floor(((event.clientX - box.left) / box.width) * points.length);
          setPointed(Math.max(0, Math.min(points.length - 1, place)));
        }}
        onPointerLeave={() => setPointed(null)}
      >
        {points.map((point, place) => {
          const one = values[place];
          if (!one || most === 0) return null;
          const height = Math.max(2, (one / most) * 100);
          const red = Math.min(height, ((failed?.(point) ?? 0) / most) * 100);
          return (
            <g key={point.startUs} data-pointed={place === pointed || undefined}>
              <rect className="time-bar" x={place + 0.1} width={0.8} y={100 - height} height={height} />
              {red > 0 ? (
                <rect
                  className="time-bar-failed"
                  x={place + 0.1}
                  width={0.8}
                  y={100 - Math.max(2, red)}
                  height={Math.max(2, red)}
                />
              ) : null}
            </g>
          );
        })}
      </svg>
      <p className="time-bars-axis faint tnum" aria-hidden="true">
        <span>{points[0] ? dayAndTime(points[0].startUs) : ''}</span>
        <span>now</span>
      </p>
    </figure>
  );
}
