import { useCallback, useEffect, useRef, useState } from 'react';
import { useKeys } from '../../app/keys';
import { navigate, withParams } from '../../app/router';
import { ErrorStrip } from '../../ui/controls';
import { clock, exact, moment } from '../../ui/format';
import { Icon } from '../../ui/Icon';
import type { PastTask } from './past-task';
import './time-travel.css';

const SPEEDS = [1, 4, 16, 64] as const;
/** A pause in the log is played no longer than this. */
const PAUSE_MAX_MS = 1_000;
const FRAME_MS = 16;
/** The address follows the slider this often. */
const ADDRESS_MS = 200;

interface TimeTravelBarProps {
  past: PastTask;
  onLeave: () => void;
}

/** The slider over the positions of a task's log: play, step and speed. */
export function TimeTravelBar({ past, onLeave }: TimeTravelBarProps) {
  const [playing, setPlaying] = useState(false);
  const [speed, setSpeed] = useState<number>(1);
  const { records, index } = past;
  const record = records[index - 1];
  const first = records[0];
  const addressTimer = useRef<ReturnType<typeof setTimeout> | null>(null);
  /** when it was played on last */
  const movedAtMs = useRef(0);

  const seek = useCallback(
    (to: number) => {
      past.seek(to);
      if (addressTimer.current) clearTimeout(addressTimer.current);
      addressTimer.current = setTimeout(() => {
        if (past.position) navigate(withParams({ at: past.position }), { replace: true });
      }, ADDRESS_MS);
    },
    [past],
  );
  useEffect(
    () => () => {
      if (addressTimer.current) clearTimeout(addressTimer.current);
    },
    [],
  );

  const atEnd = past.complete && index >= records.length;
  useEffect(() => {
    if (!playing) return;
    const next = records[index];
    if (!next) {
      if (past.complete) setPlaying(false);
      return;
    }
    const gap = (next.at_ms - (records[index - 1]?.at_ms ?? next.at_ms)) / speed;
    const dueMs = movedAtMs.current + Math.min(PAUSE_MAX_MS, Math.max(FRAME_MS, gap));
    const timer = setTimeout(
      () => {
        // what lies within one frame is shown together, and what became due while a large task was drawn
        const until = next.at_ms + Math.max(FRAME_MS, performance.now() - dueMs) * speed;
        let to = index + 1;
        while (to < records.length && (records[to]?.at_ms ?? 0) < until) to++;
        movedAtMs.current = performance.now();
        seek(to);
      },
      Math.max(0, dueMs - performance.now()),
    );
    return () => clearTimeout(timer);
  }, [playing, speed, index, records, records.length, past.complete, seek]);

  const toggle = () => {
    movedAtMs.current = performance.now();
    if (!playing && atEnd) seek(1);
    setPlaying(!playing);
  };
  const step = (by: number) => {
    setPlaying(false);
    seek(index + by);
  };
  useKeys({ ',': () => step(-1), '.': () => step(1), ' ': toggle });

  if (past.logError) {
    return (
      <section className="time-travel" aria-label="Time travel">
        <ErrorStrip error={past.logError} doing="Cannot go back in time" />
        <button type="button" className="button small" onClick={onLeave}>
          Back to now
        </button>
      </section>
    );
  }
  return (
    <section className="time-travel" aria-label="Time travel">
      <button
        type="button"
        className="button plain small square"
        aria-label="Previous event"
        title="Previous event (,)"
        disabled={index <= 1}
        onClick={() => step(-1)}
      >
        <Icon name="back" />
      </button>
      <button
        type="button"
        className="button small"
        title="Play or pause (space)"
        disabled={records.length < 2}
        onClick={toggle}
      >
        {playing ? 'Pause' : 'Play'}
      </button>
      <button
        type="button"
        className="button plain small square"
        aria-label="Next event"
        title="Next event (.)"
        disabled={index >= records.length}
        onClick={() => step(1)}
      >
        <Icon name="next" />
      </button>
      <select
        className="input small"
        aria-label="Speed"
        value={speed}
        onChange={(event) => setSpeed(Number(event.target.value))}
      >
        {SPEEDS.map((one) => (
          <option key={one} value={one}>
            {one}×
          </option>
        ))}
      </select>
      <input
        type="range"
        aria-label="Position in the log"
        aria-valuetext={
          record ? `${exact(index)} of ${exact(records.length)}, ${clock(record.at_ms * 1_000)}` : 'Loading'
        }
        min={1}
        max={Math.max(1, records.length)}
        value={Math.max(1, index)}
        disabled={records.length < 2}
        onChange={(event) => {
          setPlaying(false);
          seek(Number(event.target.value));
        }}
      />
      <span
        className="tnum time-travel-place"
        title={record ? `${moment(record.at_ms * 1_000)}\n${record.position}` : ''}
      >
        {exact(index)} / {exact(records.length)}
        {past.complete ? '' : '…'}{' '}
        {record && first ? (
          <span className="faint">
            {clock(record.at_ms * 1_000)} (+{((record.at_ms - first.at_ms) / 1_000).toFixed(1)} s)
          </span>
        ) : null}
      </span>
      <button type="button" className="button small" onClick={onLeave}>
        Back to now
      </button>
    </section>
  );
}
