import { useEffect, useRef, useState } from 'react';
import { cost, count, duration, exact, plural } from '../../ui/format';
import { Icon, StatusMark } from '../../ui/Icon';
import type { TaskTabProps } from '../task-tabs/tabs';
import type { GraphEdge, GraphNode, Sums } from './graph';
import type { GraphAnswer } from './graph.worker';
import { NODE_HEIGHT, NODE_WIDTH } from './layout';
import { useGraph } from './useGraph';
import './graph.css';

const SCALE_MIN = 0.35;
/** Smaller text is not readable: larger graphs scroll, until a person asks for all of it. */
const READABLE_MIN = 0.7;
const SCALE_MAX = 1.6;
const ZOOM = 1.25;
/** A graph in a window of this width goes down instead of to the right. */
const NARROW_PX = 700;

/** Who called whom in a task: a click on a node or an edge filters the steps below. */
export function GraphTab({ table, tree, version, filterText, onFilter }: TaskTabProps) {
  const box = useRef<HTMLDivElement>(null);
  const size = useSize(box);
  const answer = useGraph(table, tree, version, size.width > 0 && size.width < NARROW_PX ? 'TB' : 'LR');
  const [chosen, setChosen] = useState<number | 'all' | null>(null);
  const all = answer ? fitting(answer.layout, size) : 1;
  const opened = answer ? openedAt(answer.layout, size, all) : 1;
  const scale = chosen === 'all' ? all : (chosen ?? opened);
  const zoom = (by: number) => setChosen(Math.min(SCALE_MAX, Math.max(Math.min(SCALE_MIN, all), scale * by)));
  const choose = (filter: string) => onFilter(filterText === filter ? '' : filter);
  return (
    <section className="graph-tab" aria-label="Graph">
      <div className="graph-tools" role="toolbar" aria-label="Zoom of the graph">
        <button type="button" className="button small square" aria-label="Zoom out" onClick={() => zoom(1 / ZOOM)}>
          −
        </button>
        <button type="button" className="button small square" aria-label="Zoom in" onClick={() => zoom(ZOOM)}>
          <Icon name="plus" />
        </button>
        <button type="button" className="button small" aria-pressed={scale === all} onClick={() => setChosen('all')}>
          Fit
        </button>
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must take the focus */}
      <section ref={box} className="graph-scroll" tabIndex={0} aria-label="Agents, models and tools">
        {answer ? (
          <Drawing answer={answer} scale={scale} filterText={filterText} onChoose={choose} />
        ) : (
          <div className="loading-bar" />
        )}
      </section>
    </section>
  );
}

interface DrawingProps {
  answer: GraphAnswer;
  scale: number;
  filterText: string;
  onChoose: (filter: string) => void;
}

function Drawing({ answer: { graph, layout }, scale, filterText, onChoose }: DrawingProps) {
  const byId = new Map(graph.nodes.map((node) => [node.id, node]));
  return (
    <div className="graph-area" style={{ width: layout.width * scale, height: layout.height * scale }}>
      <div
        className="graph-canvas"
        style={{ width: layout.width, height: layout.height, transform: `scale(${scale})` }}
      >
        <svg width={layout.width} height={layout.height} aria-hidden="true">
          <defs>
            <marker
              id="graph-arrow"
              viewBox="0 0 8 8"
              refX="7"
              refY="4"
              markerWidth="7"
              markerHeight="7"
              orient="auto-start-reverse"
            >
              <path d="M0 0.5 8 4 0 7.5z" />
            </marker>
          </defs>
          {graph.edges.map((edge, index) => (
            <path
              key={keyOf(edge)}
              className={`graph-line ${edge.kind}`}
              data-failed={edge.sums.errors > 0 || undefined}
              d={layout.edges[index]?.path}
              markerEnd="url(#graph-arrow)"
            />
          ))}
        </svg>
        {graph.edges.map((edge, index) => (
          <Label
            key={keyOf(edge)}
            edge={edge}
            from={byId.get(edge.from)}
            to={byId.get(edge.to)}
            place={layout.edges[index]}
            onChoose={onChoose}
          />
        ))}
        {graph.nodes.map((node, index) => (
          <Node
            key={node.id}
            node={node}
            place={layout.nodes[index]}
            chosen={filterText === node.filter}
            onChoose={onChoose}
          />
        ))}
      </div>
    </div>
  );
}

interface NodeProps {
  node: GraphNode;
  place: { x: number; y: number } | undefined;
  chosen: boolean;
  onChoose: (filter: string) => void;
}

function Node({ node, place, chosen, onChoose }: NodeProps) {
  const { sums } = node;
  const figures = figuresOf(sums);
  return (
    <button
      type="button"
      className="graph-node"
      data-type={node.type}
      data-open={sums.open > 0 || undefined}
      data-failed={sums.errors > 0 || undefined}
      aria-pressed={chosen}
      title={`${node.label}\n${sentence(sums)}`}
      style={{ left: place?.x ?? 0, top: place?.y ?? 0, width: NODE_WIDTH, height: NODE_HEIGHT }}
      onClick={() => onChoose(node.filter)}
    >
      <span className="tile" data-type={node.type}>
        <Icon name={node.type} />
      </span>
      <span className="visually-hidden">{node.type} </span>
      <span className="graph-name cut" dir="auto">
        {node.label}
      </span>{' '}
      {sums.open > 0 ? <StatusMark status="running" /> : sums.errors > 0 ? <StatusMark status="error" /> : null}{' '}
      <span className="graph-figures cut tnum">{figures}</span>
    </button>
  );
}

interface LabelProps {
  edge: GraphEdge;
  from: GraphNode | undefined;
  to: GraphNode | undefined;
  place: { x: number; y: number } | undefined;
  onChoose: (filter: string) => void;
}

function Label({ edge, from, to, place, onChoose }: LabelProps) {
  if (!from || !to || !place) return null;
  const words = edge.kind === 'calls' ? `${from.label} calls ${to.label}` : `${to.label} follows ${from.label}`;
  return (
    <button
      type="button"
      className="graph-label tnum"
      data-kind={edge.kind}
      data-failed={edge.sums.errors > 0 || undefined}
      title={`${words}\n${sentence(edge.sums)}`}
      style={{ left: place.x, top: place.y }}
      onClick={() => onChoose(filterOfEdge(edge, from, to))}
    >
      <span className="visually-hidden">{words} </span>
      {count(edge.sums.calls)}×
    </button>
  );
}

/** The steps that an edge leads to; the caller is part of it where the filter can say it. */
function filterOfEdge(edge: GraphEdge, from: GraphNode, to: GraphNode): string {
  return edge.kind === 'calls' && from.filter.startsWith('agent:') && to.type !== 'agent'
    ? `${from.filter} ${to.filter}`
    : to.filter;
}

/** What a node shows: `2× · 30 ms · $0.0021 · 1 error`. */
function figuresOf(sums: Sums): string {
  return [
    `${count(sums.calls)}×`,
    duration(sums.timeUs),
    sums.costNusd === null ? (sums.tokens > 0 ? `${count(sums.tokens)} tok` : '') : cost(sums.costNusd),
    sums.errors > 0 ? plural(sums.errors, 'error') : '',
  ]
    .filter(Boolean)
    .join(' · ');
}

function sentence(sums: Sums): string {
  return [
    plural(sums.calls, 'call'),
    duration(sums.timeUs),
    sums.tokens > 0 ? `${exact(sums.tokens)} tokens` : '',
    sums.costNusd === null ? '' : cost(sums.costNusd),
    sums.errors > 0 ? plural(sums.errors, 'error') : 'no errors',
    sums.open > 0 ? `${exact(sums.open)} running` : '',
  ]
    .filter(Boolean)
    .join(', ');
}

function keyOf(edge: GraphEdge): string {
  return `${edge.kind}\0${edge.from}\0${edge.to}`;
}

interface Size {
  width: number;
  height: number;
}

function fitting(layout: Size, box: Size): number {
  if (layout.width === 0 || layout.height === 0 || box.width === 0) return 1;
  return Math.min(1, box.width / layout.width, box.height / layout.height);
}

/** The scale before a person chooses one: readable and, where the graph goes down, as wide as the window. */
function openedAt(layout: Size, box: Size, all: number): number {
  if (box.width === 0 || box.width >= NARROW_PX || layout.width === 0) return Math.max(READABLE_MIN, all);
  return Math.min(1, Math.max(SCALE_MIN, box.width / layout.width));
}

function useSize(box: React.RefObject<HTMLElement | null>): Size {
  const [size, setSize] = useState<Size>({ width: 0, height: 0 });
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setSize({ width: element.clientWidth, height: element.clientHeight }));
    observer.observe(element);
    return () => observer.disconnect();
  }, [box]);
  return size;
}
