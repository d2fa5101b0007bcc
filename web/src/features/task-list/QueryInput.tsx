import { useQuery } from '@tanstack/react-query';
import { type RefObject, useEffect, useId, useMemo, useState } from 'react';
import { request } from '../../api/http';
import { scoreNamesQuery } from '../../api/queries';
import type { TaskFacets } from '../../api/types';
import { usePreference } from '../../app/preferences';
import { Icon } from '../../ui/Icon';
import {
  accept,
  type Completion,
  complete,
  type Observed,
  type ObservedValue,
  type Option,
  readRecent,
  withRecent,
} from './completion';

const NONE = -1;
const NOTHING: Observed = new Map();

interface QueryInputProps {
  project: string;
  input: RefObject<HTMLInputElement | null>;
  text: string;
  /** the query of the address, when the service refused it */
  refused: string | null;
  /** the reader types: what is written may be half of a word */
  onText: (text: string) => void;
  /** Enter, or a query from the list */
  onQuery: (text: string) => void;
  onBlur: () => void;
}

/** The line for queries, with fields and values to choose from: arrows move, Tab or Enter takes, Esc closes the list. */
export function QueryInput({ project, input, text, refused, onText, onQuery, onBlur }: QueryInputProps) {
  const id = useId();
  const [open, setOpen] = useState<'no' | 'typing' | 'asked'>('no');
  const [caret, setCaret] = useState(0);
  const [active, setActive] = useState(NONE);
  const [stored, store] = usePreference(`queries.${project}`, '[]');
  const observed = useObserved(project, open !== 'no');
  const isEmpty = text.trim() === '';
  const recent = useMemo(() => readRecent(stored), [stored]);
  // the answer comes after the query was kept: one that was refused is of no use again
  useEffect(() => {
    if (refused !== null && recent.includes(refused)) store(JSON.stringify(recent.filter((one) => one !== refused)));
  }, [refused, recent, store]);
  const completion = useMemo<Completion>(() => {
    const found = complete(text, caret, observed);
    if (!isEmpty) return found;
    const queries = recent.map((query) => ({ insert: query, label: query, hint: 'recent' }));
    return { ...found, from: 0, to: text.length, options: [...queries, ...found.options] };
  }, [text, caret, observed, isEmpty, recent]);
  const hasClause = completion.from < caret;
  // between two clauses the list would only cover the tasks, unless the reader asks for it
  const shows = open === 'asked' || (open === 'typing' && (hasClause || isEmpty));
  const options = shows ? completion.options : [];
  useEffect(() => {
    void completion;
    setActive(NONE);
  }, [completion]);

  const look = () => setCaret(input.current?.selectionStart ?? 0);
  const submit = (query: string) => {
    store(JSON.stringify(withRecent(recent, query.trim())));
    setOpen('no');
    onQuery(query);
  };
  const take = (option: Option) => {
    if (option.hint === 'recent') {
      onText(option.insert);
      submit(option.insert);
      return;
    }
    const next = accept(text, completion, option);
    onText(next.text);
    setCaret(next.caret);
    requestAnimationFrame(() => input.current?.setSelectionRange(next.caret, next.caret));
  };
  const press = (event: React.KeyboardEvent<HTMLInputElement>) => {
    const count = options.length;
    if ((event.key === 'ArrowDown' || event.key === 'ArrowUp') && (count > 0 || completion.options.length > 0)) {
      event.preventDefault();
      setOpen('asked');
      look();
      if (count > 0) setActive((before) => step(before, event.key === 'ArrowDown' ? 1 : -1, count));
    } else if (event.key === 'Tab' && !event.shiftKey && count > 0 && (hasClause || active !== NONE)) {
      event.preventDefault();
      take(options[Math.max(0, active)] as Option);
    } else if (event.key === 'Enter') {
      if (active !== NONE && options[active]) take(options[active]);
      else submit(text);
    } else if (event.key === 'Escape') {
      event.stopPropagation();
      if (count > 0) setOpen('no');
      else event.currentTarget.blur();
    }
  };

  return (
    <div className="query-box">
      <Icon name="search" />
      <input
        ref={input}
        className="input"
        type="text"
        role="combobox"
        aria-autocomplete="list"
        aria-expanded={options.length > 0}
        aria-controls={`${id}-list`}
        aria-activedescendant={active === NONE ? undefined : `${id}-${active}`}
        value={text}
        onChange={(event) => {
          onText(event.target.value);
          setCaret(event.target.selectionStart ?? 0);
          setOpen('typing');
        }}
        onFocus={() => {
          look();
          setOpen('typing');
        }}
        onSelect={look}
        onBlur={() => {
          setOpen('no');
          onBlur();
        }}
        onKeyDown={press}
        aria-label="Search tasks"
        placeholder="Search text, or status:error agent:planner latency:>2s cost:>0.01"
        spellCheck={false}
        autoComplete="off"
      />
      {text ? (
        <button
          type="button"
          className="button plain small square clear"
          aria-label="Clear search"
          onClick={() => onText('')}
        >
          <Icon name="close" />
        </button>
      ) : (
        <kbd>/</kbd>
      )}
      <div
        id={`${id}-list`}
        role="listbox"
        aria-label="Completions"
        className="query-options"
        hidden={options.length === 0}
      >
        {options.map((option, index) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the keys are those of the input
          <div
            key={`${option.hint} ${option.insert}`}
            id={`${id}-${index}`}
            role="option"
            aria-selected={index === active}
            // the input keeps the focus
            onPointerDown={(event) => event.preventDefault()}
            onClick={() => take(option)}
          >
            <span className="cut">{option.label}</span>
            <span className="faint">{option.hint}</span>
          </div>
        ))}
      </div>
    </div>
  );
}

/** The next option round the ends; before the first one is none. */
function step(from: number, by: number, count: number): number {
  const next = from + by;
  if (next >= count) return 0;
  return next < 0 ? count - 1 : next;
}

function useObserved(project: string, enabled: boolean): Observed {
  const { data } = useQuery({
    queryKey: ['observed-values', project],
    queryFn: ({ signal }) => request<TaskFacets>(`/api/traces/${project}/tasks/facets`, { signal }),
    enabled,
    staleTime: 60_000,
  });
  const scored = useQuery({ ...scoreNamesQuery(project), enabled }).data;
  return useMemo(() => {
    if (!data && !scored) return NOTHING;
    const observed = new Map<string, readonly ObservedValue[]>(data?.items.map(({ field, values }) => [field, values]));
    // the values of scores are compared, not listed: only the names complete
    for (const { name } of scored?.items ?? []) observed.set(`score.${name}`, []);
    return observed;
  }, [data, scored]);
}
