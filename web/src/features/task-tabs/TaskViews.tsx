import { Suspense, useState } from 'react';
import { ExecutionLogViewer } from '../execution-log/ExecutionLogViewer';
import type { Mode, Zoom } from '../execution-log/waterfall';
import type { TaskTab, TaskTabProps } from './tabs';

interface TaskViewsProps extends Omit<TaskTabProps, 'zoom' | 'onZoom'> {
  tab: TaskTab | null;
  mode: Mode;
  onMode: (mode: Mode) => void;
}

/** The steps of a task, another view of it, or one above the other: they share selection, filter and range of time. */
export function TaskViews({ tab, mode, onMode, ...shared }: TaskViewsProps) {
  const [zoom, setZoom] = useState<Zoom>(null);
  return (
    <div className="task-views">
      {tab ? (
        <div className={tab.steps ? 'task-view with-steps' : 'task-view'}>
          <Suspense fallback={<div className="loading-bar" />}>
            <tab.Component key={tab.id} {...shared} zoom={zoom} onZoom={setZoom} />
          </Suspense>
        </div>
      ) : null}
      {tab === null || tab.steps ? (
        <div className="task-view">
          <ExecutionLogViewer {...shared} mode={mode} onMode={onMode} zoom={zoom} onZoom={setZoom} />
        </div>
      ) : null}
    </div>
  );
}
