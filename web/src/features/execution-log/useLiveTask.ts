import { useEffect, useMemo, useSyncExternalStore } from 'react';
import { useLive } from '../../app/live';
import { LiveTask } from './live-task';

/** A task, followed while the component is mounted, and the version that changes with each of its notifications. */
export function useLiveTask(project: string, task: string): [LiveTask, number] {
  const client = useLive();
  const live = useMemo(() => new LiveTask(project, task, client), [project, task, client]);
  useEffect(() => {
    live.start();
    return () => live.stop();
  }, [live]);
  return [live, useSyncExternalStore(live.subscribe, live.getVersion)];
}
