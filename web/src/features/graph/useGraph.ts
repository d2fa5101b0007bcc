import { useMemo } from 'react';
import { serverNowUs } from '../../ui/clock';
import { useColumnWorker } from '../execution-log/column-worker';
import type { StepTable } from '../execution-log/table';
import type { Tree } from '../execution-log/tree';
import type { GraphAnswer } from './graph.worker';
import type { Direction } from './layout';

const open = () => new Worker(new URL('./graph.worker.ts', import.meta.url), { type: 'module' });

/** The graph of a task with its layout, computed in a worker; null until the first one is there. */
export function useGraph(table: StepTable, tree: Tree, version: number, direction: Direction): GraphAnswer | null {
  const options = useMemo(() => {
    void version;
    return { direction, now: serverNowUs() - table.baseUs };
  }, [direction, table, version]);
  return useColumnWorker(open, table, tree, version, options);
}
