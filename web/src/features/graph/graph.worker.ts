/** The graph of a task and its layout, off the page's thread. */
import type { Columns } from '../execution-log/columns';
import { type Graph, graphOf } from './graph';
import { type Direction, type Layout, layOutGraph, structureOf } from './layout';

export interface GraphRequest {
  columns: Columns;
  now: number;
  direction: Direction;
}

export interface GraphAnswer {
  graph: Graph;
  layout: Layout;
}

let known: { structure: string; layout: Layout } | null = null;

self.onmessage = ({ data }: MessageEvent<GraphRequest>) => {
  const graph = graphOf(data.columns, data.now);
  const structure = structureOf(graph, data.direction);
  if (known?.structure !== structure) known = { structure, layout: layOutGraph(graph, data.direction) };
  self.postMessage({ graph, layout: known.layout } satisfies GraphAnswer);
};
