/** The views of one task. Each is one entry here; its code is loaded when the tab is opened. */
import { type ComponentType, type LazyExoticComponent, lazy } from 'react';
import type { LiveTask } from '../execution-log/live-task';
import type { StepTable } from '../execution-log/table';
import type { Tree } from '../execution-log/tree';
import type { Zoom } from '../execution-log/waterfall';

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
  /** the filter of the steps */
  filterText: string;
  onFilter: (text: string) => void;
  /** the range of time of the steps */
  zoom: Zoom;
  onZoom: React.Dispatch<React.SetStateAction<Zoom>>;
}

export interface TaskTab {
  /** the value of `tab` in the address */
  id: string;
  label: string;
  /** the steps are shown below it */
  steps?: boolean;
  /** it shows the present, so time travel leaves it out */
  isPresent?: boolean;
  /** visitors of public links may open it: all of them, or those of links with payloads; otherwise nobody */
  visitors?: 'all' | 'payloads';
  Component: LazyExoticComponent<ComponentType<TaskTabProps>>;
}

/** Beside the steps, which are the first tab and part of the page. */
export const TASK_TABS: readonly TaskTab[] = [
  {
    id: 'conversation',
    label: 'Conversation',
    isPresent: true,
    visitors: 'payloads',
    Component: lazy(() => import('../conversation/Conversation').then((module) => ({ default: module.Conversation }))),
  },
  {
    id: 'graph',
    label: 'Graph',
    steps: true,
    visitors: 'all',
    Component: lazy(() => import('../graph/GraphTab').then((module) => ({ default: module.GraphTab }))),
  },
  {
    id: 'activity',
    label: 'Activity',
    steps: true,
    visitors: 'all',
    Component: lazy(() => import('../activity/ActivityTab').then((module) => ({ default: module.ActivityTab }))),
  },
  {
    id: 'delivery',
    label: 'Delivery',
    isPresent: true,
    Component: lazy(() => import('../delivery/DeliveryTab').then((module) => ({ default: module.DeliveryTab }))),
  },
];
