/** The contents of a task that have a word of its filter. The server searches them: the page has no payloads. */
import { useEffect, useMemo, useRef, useState } from 'react';
import { request } from '../../api/http';
import type { MatchPage } from '../../api/types';
import { useVisitor } from '../../app/visitor';

const TYPING_MS = 250;
/** While a task runs its contents are searched again, in large tasks more rarely. */
const AGAIN_MS = 3_000;
const AGAIN_LARGE_MS = 20_000;
const LARGE_STEPS = 5_000;
const PAGES_MAX = 1_000;

export interface Contents {
  /** the steps whose contents have a word (in lower case) */
  stepsWith: (word: string) => ReadonlySet<string>;
  isSearching: boolean;
}

interface Found {
  key: string;
  steps: Map<string, Set<string>>;
  isComplete: boolean;
}

const NOTHING: ReadonlySet<string> = new Set();

interface Options {
  project: string;
  task: string;
  words: readonly string[];
  /** how many steps the task has, and whether any is open */
  steps: number;
  isOpen: boolean;
  /** changes with what the task is */
  version: number;
}

export function useContents({ project, task, words, steps, isOpen, version }: Options): Contents {
  const visitor = useVisitor();
  // a link without contents does not answer what they contain
  const key = visitor && !visitor.payloads ? '' : words.join('\n');
  const [found, setFound] = useState<Found | null>(null);
  const [round, setRound] = useState(0);
  const again = steps > LARGE_STEPS ? AGAIN_LARGE_MS : AGAIN_MS;
  const changed = useRef(0);
  changed.current = version;
  useEffect(() => {
    if (key === '') return;
    const stop = new AbortController();
    void round;
    const timer = setTimeout(() => {
      void search(project, task, key, stop.signal, (next) => {
        // of a repeated search the old hits stay until it is complete
        setFound((before) => (before?.key === key && before.isComplete && !next.isComplete ? before : next));
      });
    }, TYPING_MS);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [project, task, key, round]);
  useEffect(() => {
    if (key === '' || !isOpen) return;
    let searched = changed.current;
    const timer = setInterval(() => {
      if (changed.current === searched) return;
      searched = changed.current;
      setRound((before) => before + 1);
    }, again);
    return () => {
      clearInterval(timer);
      // what came after the last search, and the payloads that follow their steps
      setTimeout(() => setRound((before) => before + 1), AGAIN_MS);
    };
  }, [key, isOpen, again]);
  return useMemo(
    () => ({
      stepsWith: (word) => (found?.key === key ? (found.steps.get(word) ?? NOTHING) : NOTHING),
      isSearching: key !== '' && !(found?.key === key && found.isComplete),
    }),
    [found, key],
  );
}

async function search(
  project: string,
  task: string,
  key: string,
  signal: AbortSignal,
  show: (found: Found) => void,
): Promise<void> {
  const steps = new Map<string, Set<string>>();
  try {
    for (const word of key.split('\n')) {
      const ids = new Set<string>();
      steps.set(word, ids);
      let cursor: string | null = null;
      for (let page = 0; page < PAGES_MAX; page++) {
        const path = `/api/traces/${project}/tasks/${task}/matches`;
        const answer: MatchPage = await request<MatchPage>(path, { signal, query: { text: word, cursor } });
        for (const item of answer.items) ids.add(item.step_id);
        cursor = answer.next_cursor;
        if (cursor === null) break;
        show({ key, steps: new Map(steps), isComplete: false });
      }
    }
    show({ key, steps: new Map(steps), isComplete: true });
  } catch {
    // names and models match without the server; the next change tries again
    if (!signal.aborted) show({ key, steps: new Map(steps), isComplete: true });
  }
}
