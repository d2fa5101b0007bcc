/** The views of one task. Each is one entry here; its code is loaded when the tab is opened. */
import { type ComponentType, type LazyExoticComponent, lazy } from 'react';
import type { LiveTask } from '../execution-log/live-task';
import type { StepTable } from '../execution-log/table';
import type { Tree } from '../execution-log/tree';

export interface TaskTabProps {
  project: string;
  task: string;
  live: LiveTask;
  table: StepTable;
  tree: Tree;
  /** changes with each notification of `live`: the table and the tree are changed in place */
  version: number;
  selectedId: string | null;
  onSelect: (stepId: string | null) => void;
}

export interface TaskTab {
  /** the value of `tab` in the address */
  id: string;
  label: string;
  Component: LazyExoticComponent<ComponentType<TaskTabProps>>;
}

/** Beside the steps, which are the first tab and part of the page. */
export const TASK_TABS: readonly TaskTab[] = [
  {
    id: 'delivery',
    label: 'Delivery',
    Component: lazy(() => import('../delivery/DeliveryTab').then((module) => ({ default: module.DeliveryTab }))),
  },
];
