/** Streamed output and log lines of open steps, as they arrive. Only listeners of the step are notified, the list is not. */
import type { LogLine, StepProgressed } from '../../api/types';

/** As much of a stream is kept; the complete text comes with the step's end. */
const TEXT_MAX = 262_144;
const LINES_MAX = 500;

export interface Stream {
  text: string;
  /** the page came late (or the stream is long): there is more before `text` */
  cut: boolean;
  lines: (LogLine & { at_us: number })[];
  finished: boolean;
  version: number;
}

interface Entry extends Stream {
  next: number;
  /** pieces that came before their turn */
  ahead: Map<number, string>;
}

export class Streams {
  private readonly entries = new Map<string, Entry>();
  private readonly listeners = new Map<string, Set<() => void>>();

  /** The same streams, of which neither changes the other. Listeners stay with the first. */
  copy(): Streams {
    const copy = new Streams();
    for (const [id, entry] of this.entries)
      copy.entries.set(id, { ...entry, lines: entry.lines.slice(), ahead: new Map(entry.ahead) });
    return copy;
  }

  of(stepId: string): Stream | null {
    return this.entries.get(stepId) ?? null;
  }

  versionOf(stepId: string): number {
    return this.entries.get(stepId)?.version ?? 0;
  }

  subscribe(stepId: string, listener: () => void): () => void {
    const set = this.listeners.get(stepId) ?? new Set();
    set.add(listener);
    this.listeners.set(stepId, set);
    return () => set.delete(listener);
  }

  take(event: StepProgressed): void {
    const touched = new Set<string>();
    for (const delta of event.deltas ?? []) {
      const entry = this.entry(delta.step_id);
      touched.add(delta.step_id);
      if (entry.next < 0) {
        entry.next = delta.index;
        entry.cut = delta.index > 0;
      }
      if (delta.index >= entry.next) entry.ahead.set(delta.index, delta.text);
      drain(entry);
    }
    for (const line of event.logs ?? []) {
      const entry = this.entry(line.step_id);
      touched.add(line.step_id);
      entry.lines.push({ ...line, at_us: event.at_us });
      if (entry.lines.length > LINES_MAX) entry.lines.splice(0, entry.lines.length - LINES_MAX);
    }
    for (const id of touched) this.notify(id);
  }

  finish(stepId: string): void {
    const entry = this.entries.get(stepId);
    if (!entry || entry.finished) return;
    entry.finished = true;
    this.notify(stepId);
  }

  private entry(stepId: string): Entry {
    const known = this.entries.get(stepId);
    if (known) return known;
    const fresh: Entry = { text: '', cut: false, lines: [], finished: false, version: 0, next: -1, ahead: new Map() };
    this.entries.set(stepId, fresh);
    // finished streams are only a bridge until REST has the payload
    if (this.entries.size > 300) {
      for (const [id, entry] of this.entries) {
        if (this.entries.size <= 200) break;
        if (entry.finished) this.entries.delete(id);
      }
    }
    return fresh;
  }

  private notify(stepId: string): void {
    const entry = this.entries.get(stepId);
    if (entry) entry.version++;
    for (const listener of this.listeners.get(stepId) ?? []) listener();
  }
}

function drain(entry: Entry): void {
  // a piece that never arrives must not hold back the rest
  if (entry.ahead.size > 64 && !entry.ahead.has(entry.next)) entry.next = Math.min(...entry.ahead.keys());
  let text = entry.ahead.get(entry.next);
  while (text !== undefined) {
    entry.ahead.delete(entry.next);
    entry.text += text;
    entry.next++;
    text = entry.ahead.get(entry.next);
  }
  if (entry.text.length > TEXT_MAX) {
    entry.text = entry.text.slice(-TEXT_MAX);
    entry.cut = true;
  }
}
