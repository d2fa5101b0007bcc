import { useEffect, useMemo, useSyncExternalStore } from 'react';
import { useLive } from '../../app/live';
import { LiveTask } from './live-task';
import { indexWhenIdle } from './row-index';

/** A task, followed while the component is mounted, and the version that changes with each of its notifications. */
export function useLiveTask(project: string, task: string): [LiveTask, number] {
  const client = useLive();
  const live = useMemo(() => new LiveTask(project, task, client), [project, task, client]);
  useEffect(() => {
    live.start();
    return () => live.stop();
  }, [live]);
  const version = useSyncExternalStore(live.subscribe, live.getVersion);
  const { table } = live;
  useEffect(() => (table ? indexWhenIdle((most) => table.index.extend(table.ids, most)) : undefined), [table]);
  return [live, version];
}
