/** Places for the nodes and edges of a graph, by layers from left to right or from top to bottom. */
import { Graph as Layers, layout } from '@dagrejs/dagre';
import type { Graph } from './graph';

export const NODE_WIDTH = 176;
export const NODE_HEIGHT = 44;
const LABEL_WIDTH = 28;
const LABEL_HEIGHT = 18;
const MARGIN = 16;
/** The better ranking costs seconds beyond that. */
const RANKED_EDGES_MAX = 120;

export type Direction = 'LR' | 'TB';

export interface Layout {
  width: number;
  height: number;
  /** left upper corners, in the order of the graph's nodes */
  nodes: { x: number; y: number }[];
  /** in the order of the graph's edges: an SVG path, and the middle of the label */
  edges: { path: string; x: number; y: number }[];
}

interface Point {
  x: number;
  y: number;
}

export function layOutGraph(graph: Graph, direction: Direction): Layout {
  const layers = new Layers({ multigraph: true });
  layers.setGraph({
    rankdir: direction,
    nodesep: 14,
    edgesep: 10,
    ranksep: direction === 'LR' ? 30 : 26,
    marginx: MARGIN,
    marginy: MARGIN,
    ranker: graph.edges.length > RANKED_EDGES_MAX ? 'longest-path' : 'network-simplex',
  });
  for (const node of graph.nodes) layers.setNode(node.id, { width: NODE_WIDTH, height: NODE_HEIGHT });
  for (const edge of graph.edges) {
    // a call leads down the layers; what follows stays beside what it follows where it can
    const weight = edge.kind === 'calls' ? 2 : 1;
    layers.setEdge(edge.from, edge.to, { width: LABEL_WIDTH, height: LABEL_HEIGHT, labelpos: 'c', weight }, edge.kind);
  }
  layout(layers);
  const size = layers.graph();
  return {
    width: Math.ceil(size.width ?? 0),
    height: Math.ceil(size.height ?? 0),
    nodes: graph.nodes.map(({ id }) => {
      const { x = 0, y = 0 } = layers.node(id);
      return { x: x - NODE_WIDTH / 2, y: y - NODE_HEIGHT / 2 };
    }),
    edges: graph.edges.map(({ from, to, kind }) => {
      const { points = [], x = 0, y = 0 } = layers.edge(from, to, kind);
      return { path: from === to ? loop(layers.node(from), { x, y }, direction) : curve(points), x, y };
    }),
  };
}

/** From a node through a label beside it back to the node: the library's own points of such an edge are a line across the node. */
function loop(node: { x?: number; y?: number }, label: Point, direction: Direction): string {
  const { x = 0, y = 0 } = node;
  const [dx, dy] = direction === 'LR' ? [0, label.y < y ? -1 : 1] : [label.x < x ? -1 : 1, 0];
  const side = { x: x + (dx * NODE_WIDTH) / 2, y: y + (dy * NODE_HEIGHT) / 2 };
  // a cubic curve reaches three quarters of the way to its control points
  const far = { x: side.x + ((label.x - side.x) * dx * dx) / 0.75, y: side.y + ((label.y - side.y) * dy * dy) / 0.75 };
  const wide = direction === 'LR' ? LABEL_WIDTH : LABEL_HEIGHT / 2;
  const [ax, ay] = [Math.abs(dy) * wide, Math.abs(dx) * wide];
  const corner = (point: Point, sign: 1 | -1) => at({ x: point.x + sign * ax, y: point.y + sign * ay });
  return `M${corner(side, 1)}C${corner(far, 1)} ${corner(far, -1)} ${corner(side, -1)}`;
}

/** A smooth line through points: straight ends, and in between curves from middle to middle. */
function curve(points: readonly Point[]): string {
  const [first, ...rest] = points;
  if (!first) return '';
  let path = `M${at(first)}`;
  for (let i = 0; i < rest.length; i++) {
    const point = rest[i] as Point;
    const next = rest[i + 1];
    path += next ? `Q${at(point)} ${at({ x: (point.x + next.x) / 2, y: (point.y + next.y) / 2 })}` : `L${at(point)}`;
  }
  return path;
}

function at({ x, y }: Point): string {
  return `${Math.round(x * 10) / 10} ${Math.round(y * 10) / 10}`;
}

/** What the layout depends on: figures change often, the structure seldom. */
export function structureOf(graph: Graph, direction: Direction): string {
  return JSON.stringify([
    direction,
    graph.nodes.map((node) => node.id),
    graph.edges.map((edge) => [edge.from, edge.to, edge.kind]),
  ]);
}
