/**
 * The newest position of the tables that an answer has shown, by project and partition. Requests carry them, so that a page which
 * has seen them gets no older state from a replica that is behind.
 */
import { parsePosition } from '../fold/position';

const PROJECT = /^\/api\/traces\/([^/?]+)\//;
const known = new Map<string, Map<number, string>>();

function projectOf(path: string): string | null {
  return PROJECT.exec(path)?.[1] ?? null;
}

/** The header for a request, null when nothing is known. */
export function positionHeader(path: string): string | null {
  const positions = known.get(projectOf(path) ?? '');
  return positions ? [...positions.values()].join(',') : null;
}

/** Remember the positions of an answer: its `position`, or the `positions` of a list. */
export function notePositions(path: string, body: unknown): void {
  const project = projectOf(path);
  if (project === null || typeof body !== 'object' || body === null) return;
  const { position, positions } = body as { position?: unknown; positions?: unknown };
  const found = typeof positions === 'object' && positions !== null ? Object.values(positions) : [position];
  for (const text of found) {
    const next = typeof text === 'string' ? parsePosition(text) : null;
    if (!next) continue;
    const ofProject = known.get(project) ?? new Map<number, string>();
    known.set(project, ofProject);
    const last = parsePosition(ofProject.get(next.partition));
    if (!last || last.version !== next.version || last.offset < next.offset)
      ofProject.set(next.partition, text as string);
  }
}

/** The tables do not have them: a primary was lost with what only it knew, and the log replays it. */
export function forgetPositions(path: string): void {
  known.delete(projectOf(path) ?? '');
}
