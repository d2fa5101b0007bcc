import { useState } from 'react';
import { usePreference } from '../../app/preferences';
import { navigate, withParams } from '../../app/router';
import { Menu } from '../../ui/controls';
import { dayAndTime } from '../../ui/format';
import { Icon, StatusMark } from '../../ui/Icon';
import { COLUMNS, readChoice } from './columns';
import type { TaskFeed } from './feed';
import { localInput, microseconds, RELATIVE_RANGES } from './filter';

/** Views of one click: what a person asks for several times a day. */
const VIEWS = [
  ['', 'All'],
  ['running', 'Running now'],
  ['waiting', 'Waiting for a person'],
  ['error', 'Failed'],
  ['lost', 'Lost'],
] as const;

export function QuickViews({ status }: { status: string }) {
  return (
    <nav className="quick-views" aria-label="Views">
      {VIEWS.map(([value, label]) => (
        <button
          key={value}
          type="button"
          className="button plain small"
          aria-pressed={status === value}
          onClick={() => navigate(withParams({ status: value }))}
        >
          {value ? <StatusMark status={value} /> : null}
          {label}
        </button>
      ))}
    </nav>
  );
}

interface RangeMenuProps {
  range: string;
  from: string;
  to: string;
}

/** The time range: relative to now, or from and to. */
export function RangeMenu({ range, from, to }: RangeMenuProps) {
  return (
    <Menu
      name="Time range"
      className="button small"
      align="end"
      label={
        <>
          <span className="cut tnum">{labelOf(range, from, to)}</span>
          <Icon name="down" />
        </>
      }
    >
      {(close) => (
        <>
          {[['', 'Any time'] as const, ...RELATIVE_RANGES].map(([name, label]) => (
            <button
              key={name}
              type="button"
              className="menu-item"
              aria-current={name === range && (name !== '' || (!from && !to))}
              onClick={() => {
                navigate(withParams({ range: name, from: null, to: null }));
                close();
              }}
            >
              {label}
            </button>
          ))}
          <div className="menu-rule" />
          <AbsoluteRange from={range ? '' : from} to={to} onDone={close} />
        </>
      )}
    </Menu>
  );
}

function labelOf(range: string, from: string, to: string): string {
  const relative = RELATIVE_RANGES.find(([name]) => name === range)?.[1];
  if (relative) return relative;
  const [start, end] = [microseconds(from), microseconds(to)];
  if (start === null && end === null) return 'Any time';
  if (start === null) return `Until ${dayAndTime(end ?? 0)}`;
  return end === null ? `Since ${dayAndTime(start)}` : `${dayAndTime(start)} to ${dayAndTime(end)}`;
}

function AbsoluteRange({ from, to, onDone }: { from: string; to: string; onDone: () => void }) {
  const [start, setStart] = useState(localInput(from));
  const [end, setEnd] = useState(localInput(to));
  const wrong = start !== '' && end !== '' && start >= end;
  const iso = (local: string) => (local ? new Date(local).toISOString() : null);
  return (
    <form
      className="range-form"
      onSubmit={(event) => {
        event.preventDefault();
        if (wrong) return;
        navigate(withParams({ range: null, from: iso(start), to: iso(end) }));
        onDone();
      }}
    >
      <label>
        From
        <input
          className="input"
          type="datetime-local"
          value={start}
          onChange={(event) => setStart(event.target.value)}
        />
      </label>
      <label>
        To
        <input className="input" type="datetime-local" value={end} onChange={(event) => setEnd(event.target.value)} />
      </label>
      {wrong ? <p role="alert">From must be before To.</p> : null}
      <button type="submit" className="button small primary" disabled={wrong || (!start && !end)}>
        Apply
      </button>
    </form>
  );
}

export function useColumnChoice() {
  const [text, setText] = usePreference('task-columns', '');
  return [readChoice(text), (next: ReturnType<typeof readChoice>) => setText(JSON.stringify(next))] as const;
}

export function useCompact(): [boolean, (compact: boolean) => void] {
  const [density, setDensity] = usePreference('task-rows', 'usual');
  return [density === 'compact', (compact) => setDensity(compact ? 'compact' : 'usual')];
}

/** Which columns are shown, and how high the rows are. */
export function ColumnsMenu() {
  const [choice, setChoice] = useColumnChoice();
  const [compact, setCompact] = useCompact();
  return (
    <Menu name="Columns and rows" className="button plain small square" align="end" label={<Icon name="columns" />}>
      {() => (
        <>
          {COLUMNS.map(({ id, title }) => {
            const shown = choice.shown.includes(id);
            return (
              <button
                key={id}
                type="button"
                className="menu-item"
                aria-pressed={shown}
                onClick={() =>
                  setChoice({
                    ...choice,
                    shown: shown ? choice.shown.filter((one) => one !== id) : [...choice.shown, id],
                  })
                }
              >
                <span className="menu-check">{shown ? <Icon name="check" /> : null}</span>
                {title}
              </button>
            );
          })}
          <div className="menu-rule" />
          <button type="button" className="menu-item" aria-pressed={compact} onClick={() => setCompact(!compact)}>
            <span className="menu-check">{compact ? <Icon name="check" /> : null}</span>
            Compact rows
          </button>
          <button type="button" className="menu-item" onClick={() => setChoice(readChoice(''))}>
            <span className="menu-check" />
            Reset columns
          </button>
        </>
      )}
    </Menu>
  );
}

/** Stops the list: new tasks wait and are counted. */
export function PauseButton({ feed }: { feed: TaskFeed }) {
  const { paused } = feed;
  return (
    <button
      type="button"
      className="button plain small pause-button"
      aria-pressed={paused}
      title={paused ? 'Show new tasks as they arrive' : 'Keep the rows where they are; new tasks wait'}
      onClick={() => feed.pause(!paused)}
    >
      <Icon name={paused ? 'play' : 'pause'} />
      <span aria-live="polite">{paused ? `paused, ${feed.waiting.length} new` : 'Pause'}</span>
    </button>
  );
}
