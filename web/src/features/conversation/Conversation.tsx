import { useCallback, useEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react';
import { asApiError } from '../../api/problems';
import { useKeys } from '../../app/keys';
import { usePreference } from '../../app/preferences';
import { ErrorStrip, Segmented } from '../../ui/controls';
import { exact, plural } from '../../ui/format';
import { Icon } from '../../ui/Icon';
import { NONE } from '../execution-log/table';
import { stepWith } from '../step-detail/step';
import type { TaskTabProps } from '../task-tabs/tabs';
import { Contents, messagesOf } from './contents';
import { Unfolded } from './Fold';
import { callRowsOf, NO_CALLS, Turn } from './Turn';
import { rowShowing, turnsOf } from './turns';
import { useTurnRows } from './useTurnRows';
import '../step-detail/messages.css';
import '../step-detail/content.css';
import '../step-detail/documents.css';
import '../step-detail/step-detail.css';
import './conversation.css';

const REFRESH_MS = 1_000;
const FORMS = [
  { value: 'text', label: 'Text' },
  { value: 'markdown', label: 'Markdown' },
] as const;

/** The whole task as one column: every model call with what is new in its prompt, its answer, and what its tools did. */
export function Conversation({ project, task, live, table, tree, version, selectedId, onSelect }: TaskTabProps) {
  const scroller = useRef<HTMLElement>(null);
  const turns = useMemo(() => {
    void version;
    return turnsOf(table, tree);
  }, [table, tree, version]);
  const contents = useMemo(
    () => new Contents(`/api/traces/${project}/tasks/${task}/payloads`, live),
    [project, task, live],
  );
  useSyncExternalStore(contents.subscribe, contents.getVersion);
  const unfolded = useMemo(() => new Set<string>(), []);
  const [form, setForm] = usePreference('payload.form', 'markdown');
  const open = table.countOf('running') + table.countOf('waiting') > 0;
  const [following, setFollowing] = useState(open && selectedId === null);

  const { rows, indexOf } = turns;
  const page = useTurnRows({ scroller, rows, indexOf, following: following && open });
  const { first, last, heights, scrollTo } = page;

  // -- what is needed: the turns on the screen, those that they continue, and those with their results
  const drawn: number[] = [];
  for (let index = first; index <= last && index < rows.length; index++) drawn.push(rows[index] as number);
  const needed = new Set<number>(drawn);
  for (const row of drawn) {
    for (const other of [turns.before[row], turns.after[row]])
      if (other !== undefined && other !== NONE) needed.add(other);
  }
  const idOf = (row: number) => table.ids[row] as string;
  const wanted = [...needed].map(idOf).join(',');
  useEffect(() => {
    void version;
    contents.want(wanted === '' ? [] : wanted.split(','));
    // outputs are sent apart from steps, and open steps end
    const timer = setInterval(() => contents.want(wanted === '' ? [] : wanted.split(',')), REFRESH_MS);
    return () => clearInterval(timer);
  }, [contents, wanted, version]);

  // -- the selected step, here and in the tree
  const selected = selectedId === null ? NONE : rowShowing(turns, tree, table.rowOf(selectedId));
  const scrolledFor = useRef<string | null>(null);
  useEffect(() => {
    if (selectedId === scrolledFor.current) return;
    scrolledFor.current = selectedId;
    if (selected === NONE) return;
    setFollowing(false);
    scrollTo(selected);
  }, [selectedId, selected, scrollTo]);
  const select = useCallback(
    (row: number) => {
      setFollowing(false);
      onSelect(table.ids[row] ?? null);
    },
    [onSelect, table],
  );
  const byTurn = useMemo(() => {
    const list = new Int32Array(turns.turns + 1).fill(NONE);
    for (const row of rows) if ((turns.turn[row] as number) > 0) list[turns.turn[row] as number] = row;
    return list;
  }, [turns, rows]);
  const toTurn = useCallback(
    (turn: number) => {
      const row = byTurn[turn];
      if (row === undefined || row === NONE) return;
      scrolledFor.current = table.ids[row] as string;
      select(row);
      scrollTo(row);
    },
    [byTurn, select, scrollTo, table],
  );
  const move = (by: 1 | -1) => {
    const from =
      selected === NONE ? heights.indexAt(scroller.current?.scrollTop ?? 0) - by : (indexOf[selected] as number);
    const row = rows[Math.min(rows.length - 1, Math.max(0, from + by))];
    if (row !== undefined) select(row);
  };
  useKeys({
    j: () => move(1),
    k: () => move(-1),
    ArrowDown: () => move(1),
    ArrowUp: () => move(-1),
    f: () => setFollowing(true),
  });

  return (
    <section className="task-conversation" aria-label="Conversation">
      <div className="conversation-bar" role="toolbar" aria-label="Conversation">
        <span className="conversation-count">
          {plural(turns.turns, 'turn')} · {plural(rows.length - turns.turns, 'other step')}
          {turns.speakers.length > 1 ? ` · ${plural(turns.speakers.length, 'agent')}` : ''}
        </span>
        <span style={{ flex: 1 }} />
        <Segmented
          label="Show messages as"
          value={form === 'markdown' ? 'markdown' : 'text'}
          options={FORMS}
          onChange={setForm}
          small
        />
      </div>
      {contents.error ? (
        <ErrorStrip
          error={asApiError(contents.error)}
          doing="Cannot load this part of the conversation"
          onRetry={() => contents.want([...needed].map(idOf))}
        />
      ) : null}
      {rows.length === 0 ? <p className="no-turn">No turns yet.</p> : null}
      <Unfolded value={unfolded}>
        <section
          ref={scroller}
          className="conversation-scroller"
          aria-label="Turns"
          // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and keys must reach it
          tabIndex={0}
          onScroll={() => {
            page.onScroll();
            if (following && !page.isAtEnd()) setFollowing(false);
          }}
        >
          <div className="conversation-column" style={{ height: heights.total }}>
            {drawn.map((row) => {
              const before = turns.before[row] as number;
              const after = turns.after[row] as number;
              const content = contents.of(idOf(row));
              const answer = turns.turn[row] ? messagesOf(content?.output ?? undefined) : null;
              const called = (answer ?? []).flatMap(({ parts }) =>
                parts.flatMap((part) => (part.kind === 'call' ? [part.name] : [])),
              );
              const from = (indexOf[row] as number) + 1;
              const until = after === NONE ? rows.length : (indexOf[after] as number);
              return (
                <div
                  key={idOf(row)}
                  data-row={row}
                  className="turn-place"
                  style={{ transform: `translateY(${heights.topOf(indexOf[row] as number)}px)` }}
                >
                  <Turn
                    table={table}
                    row={row}
                    live={live}
                    turn={turns.turn[row] as number}
                    turns={turns.turns}
                    agent={turns.speakers[turns.speaker[row] as number] ?? ''}
                    speaker={turns.speaker[row] as number}
                    step={stepWith(task, idOf(row), content?.step ?? null, live.stateOf(idOf(row)))}
                    content={content}
                    before={before === NONE ? null : (contents.of(idOf(before)) ?? undefined)}
                    beforeTurn={before === NONE ? 0 : (turns.turn[before] as number)}
                    after={after === NONE ? null : contents.of(idOf(after))}
                    callRows={called.length > 0 ? callRowsOf(table, rows, from, until, called) : NO_CALLS}
                    selected={row === selected}
                    markdown={form === 'markdown'}
                    onSelect={select}
                    onTurn={toTurn}
                  />
                </div>
              );
            })}
          </div>
        </section>
      </Unfolded>
      {open && !following ? (
        <button type="button" className="jump-to-now" onClick={() => setFollowing(true)}>
          <Icon name="down" /> Jump to now ({exact(turns.turns)})
        </button>
      ) : null}
    </section>
  );
}
