/** Small tables and events for tests. */
import type { Skeleton, StepDocument, StepDocumentEvent, StepProgressed } from '../../api/types';
import { Dictionary } from './dictionary';

export const BASE_US = 1_782_000_000_000_000;

export interface Row {
  id: string;
  parent?: string | null;
  start?: number | null;
  duration?: number | null;
  status?: string;
  type?: string;
  name?: string;
  agent?: string | null;
  model?: string | null;
  input?: number | null;
  output?: number | null;
  counted?: boolean;
  cost?: number | null;
}

export function skeletonOf(rows: Row[]): Skeleton {
  const places = new Map(rows.map((row, index) => [row.id, index]));
  const types = new Dictionary();
  const statuses = new Dictionary();
  const names = new Dictionary();
  const models = new Dictionary();
  const agents = new Dictionary();
  const missing: Record<string, string> = {};
  return {
    task_id: 't',
    position: '1.0.10',
    complete: true,
    base_us: BASE_US,
    types: types.list,
    statuses: statuses.list,
    names: names.list,
    agents: agents.list,
    models: models.list,
    columns: {
      step_id: rows.map((row) => row.id),
      parent: rows.map((row, at) => {
        if (row.parent == null) return -1;
        const place = places.get(row.parent);
        if (place === undefined) missing[at] = row.parent;
        return place ?? -2;
      }),
      type: rows.map((row) => types.index(row.type ?? 'tool')),
      status: rows.map((row) => statuses.index(row.status ?? 'ok')),
      name: rows.map((row) => names.index(row.name ?? row.id)),
      agent: rows.map((row) => (row.agent ? agents.index(row.agent) : -1)),
      model: rows.map((row) => (row.model ? models.index(row.model) : -1)),
      start: rows.map((row, at) => (row.start === undefined ? at * 100 : row.start)),
      duration: rows.map((row) => (row.duration === undefined ? 50 : row.duration)),
      input_tokens: rows.map((row) => row.input ?? null),
      output_tokens: rows.map((row) => row.output ?? null),
      cost_nusd: rows.map((row) => row.cost ?? null),
      counted: rows.map((row) => (row.counted ? 1 : 0)),
      seq: rows.map((_, at) => at),
      phase: rows.map((row) => (row.status === 'running' ? 0 : 2)),
      at: rows.map((_, at) => at * 100),
      first_offset: rows.map((_, at) => at),
      end_offset: rows.map((row, at) => (row.status === 'running' ? null : at)),
    },
    missing_parents: missing,
  };
}

let events = 0;

export function stepEvent(
  kind: StepDocumentEvent['kind'],
  id: string,
  atUs: number,
  document: Partial<StepDocument> = {},
): StepDocumentEvent {
  events += 1;
  return {
    kind,
    event_id: String(events).padStart(32, '0'),
    seq: events,
    at_us: BASE_US + atUs,
    step_id: id,
    step: {
      type: 'tool',
      name: id,
      status: kind === 'step.started' ? 'running' : 'ok',
      started_at_us: BASE_US + atUs,
      ...document,
    },
  };
}

export function heartbeat(atUs: number, steps: NonNullable<StepProgressed['steps']>): StepProgressed {
  events += 1;
  return {
    kind: 'step.progressed',
    event_id: String(events).padStart(32, '0'),
    seq: events,
    at_us: BASE_US + atUs,
    steps,
  };
}
