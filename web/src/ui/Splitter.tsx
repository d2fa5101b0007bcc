import { useRef } from 'react';

interface SplitterProps {
  label: string;
  /** pixels of the pane before it (or after it, with `reverse`) */
  value: number;
  min: number;
  max: number;
  reverse?: boolean;
  className?: string;
  onChange: (value: number) => void;
  onReset: () => void;
}

/** A line between panes: by mouse, by arrows, and a double click puts it back. */
export function Splitter({
  label,
  value,
  min,
  max,
  reverse = false,
  className = '',
  onChange,
  onReset,
}: SplitterProps) {
  const start = useRef({ x: 0, value: 0 });
  const sign = reverse ? -1 : 1;
  const set = (next: number) => onChange(Math.max(min, Math.min(max, next)));
  const down = (event: React.PointerEvent<HTMLDivElement>) => {
    if (event.button !== 0) return;
    event.preventDefault();
    event.currentTarget.setPointerCapture(event.pointerId);
    start.current = { x: event.clientX, value };
  };
  const move = (event: React.PointerEvent<HTMLDivElement>) => {
    if (!event.currentTarget.hasPointerCapture(event.pointerId)) return;
    set(start.current.value + sign * (event.clientX - start.current.x));
  };
  const press = (event: React.KeyboardEvent) => {
    const by = event.key === 'ArrowLeft' ? -16 : event.key === 'ArrowRight' ? 16 : 0;
    if (by === 0) return;
    event.preventDefault();
    event.stopPropagation();
    set(value + sign * by);
  };
  return (
    <div
      className={`splitter ${className}`}
      role="separator"
      aria-label={label}
      aria-orientation="vertical"
      aria-valuenow={Math.round(value)}
      aria-valuemin={min}
      aria-valuemax={Math.round(max)}
      tabIndex={0}
      onPointerDown={down}
      onPointerMove={move}
      onDoubleClick={onReset}
      onKeyDown={press}
    />
  );
}
