import { useEffect, useRef, useState } from 'react';
import type { Job, ResultOf, Results } from './jobs';
import { textWorker } from './worker';

/** Results are kept so that what was seen once appears at once again. */
const KEPT_CHARS_MAX = 2_000_000;
const kept = new Map<string, Results[keyof Results]>();
let keptChars = 0;
/** Of a growing text a new beginning is drawn at most this often. */
const PAUSE_MS = 60;

function keep(key: string, result: Results[keyof Results]): void {
  if (kept.has(key)) return;
  kept.set(key, result);
  keptChars += key.length;
  for (const oldest of kept.keys()) {
    if (keptChars <= KEPT_CHARS_MAX) break;
    kept.delete(oldest);
    keptChars -= oldest.length;
  }
}

function keyOf(job: Job): string {
  return `${job.kind} ${'language' in job ? job.language : ''} ${job.text}`;
}

interface Answered<J extends Job> {
  text: string;
  result: ResultOf<J>;
}

/**
 * The worker's result for a job. While the text grows, that of the last beginning stays until there is one for all of it; once a text
 * was too much for the worker, its continuations are not tried.
 *
 * @param job null: nothing to do
 * @returns null: show the text as it is
 */
export function useTextJob<J extends Job>(job: J | null): ResultOf<J> | null {
  const [answered, setAnswered] = useState<Answered<J> | null>(null);
  const isBusy = useRef(false);
  const isMounted = useRef(false);
  useEffect(() => {
    isMounted.current = true;
    return () => {
      isMounted.current = false;
    };
  }, []);
  const key = job === null ? null : keyOf(job);
  const known = key === null ? undefined : kept.get(key);
  const isCurrent = job !== null && answered !== null && answered.text === job.text;
  const isGrown = job !== null && answered !== null && !isCurrent && job.text.startsWith(answered.text);
  const isHopeless = isGrown && answered?.result === null;
  const isNeeded = job !== null && known === undefined && !isCurrent && !isHopeless;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the key is the job
  useEffect(() => {
    if (!isNeeded || isBusy.current || job === null || key === null) return;
    isBusy.current = true;
    const finish = (result: ResultOf<J>) => {
      isBusy.current = false;
      if (isMounted.current) setAnswered({ text: job.text, result });
    };
    void textWorker.run(job).then((result) => {
      if (isGrown) setTimeout(finish, PAUSE_MS, result);
      else {
        keep(key, result);
        finish(result);
      }
    });
  }, [isNeeded, key, answered]);
  if (job === null) return null;
  if (known !== undefined) return known as ResultOf<J>;
  return isCurrent || isGrown ? (answered?.result ?? null) : null;
}
