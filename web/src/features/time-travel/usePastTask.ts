import { useEffect, useMemo, useRef, useSyncExternalStore } from 'react';
import { useLive } from '../../app/live';
import type { LiveTask } from '../execution-log/live-task';
import { PastTask } from './past-task';

const nothing = () => () => {};

/** The task at a position of the log, while the address has one; it is read once, and moves with the address. */
export function usePastTask(
  project: string,
  task: string,
  present: LiveTask,
  at: string | null,
): [PastTask | null, number] {
  const client = useLive();
  const isPast = at !== null && present.table !== null && present.task !== null;
  const first = useRef(at);
  first.current = at;
  const past = useMemo(
    () => (isPast ? new PastTask(project, task, client, present, first.current ?? '') : null),
    [project, task, client, present, isPast],
  );
  useEffect(() => {
    past?.start();
    return () => past?.stop();
  }, [past]);
  const version = useSyncExternalStore(past?.subscribe ?? nothing, () => past?.getVersion() ?? 0);
  return [past, version];
}
