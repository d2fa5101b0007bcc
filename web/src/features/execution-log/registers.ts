/**
 * What the fold needs to know of each row of a table, in little memory: the states of open steps that have progress, and of
 * others only the stamp of the document. Progress of a step that has ended changes nothing any more, since an end outranks every start.
 */
import type { Stamp } from '../../api/types';
import { type DocumentSummary, ended, type PartialState, PHASE_ENDED, PHASE_PROGRESSED } from '../../fold/fold';

/** A stamp that came over REST without these: any event of the same moment outranks it, at worst a repeated one. */
const SEQ_UNKNOWN = -1;
const EVENT_ID_UNKNOWN = '';

export class Registers {
  private phase = new Uint8Array(0);
  /** of the document's stamp, microseconds UTC */
  private at = new Float64Array(0);
  private seq = new Float64Array(0);
  private eventId: (string | undefined)[] = [];
  private readonly open = new Map<number, PartialState<DocumentSummary>>();

  reserve(capacity: number): void {
    this.phase = grown(new Uint8Array(capacity), this.phase);
    this.at = grown(new Float64Array(capacity), this.at);
    this.seq = grown(new Float64Array(capacity).fill(SEQ_UNKNOWN), this.seq);
  }

  copy(): Registers {
    const copy = new Registers();
    copy.phase = this.phase.slice();
    copy.at = this.at.slice();
    copy.seq = this.seq.slice();
    copy.eventId = this.eventId.slice();
    for (const [row, state] of this.open) copy.open.set(row, state);
    return copy;
  }

  /** Rows as a skeleton lists them: the phase and the time of each row's stamp, since `baseUs`. */
  load(phases: number[], times: number[], baseUs: number): void {
    this.phase.set(phases);
    for (let row = 0; row < times.length; row++) this.at[row] = baseUs + (times[row] as number);
  }

  ended(row: number): boolean {
    return this.phase[row] === PHASE_ENDED;
  }

  /** When something of this row was last received, microseconds UTC. */
  lastEventUs(row: number): number {
    const at = this.at[row] as number;
    const beatUs = this.open.get(row)?.progress?.at_us;
    return beatUs === undefined ? at : Math.max(at, beatUs);
  }

  /** Whether an event of this row was folded here; else all that is known of it was fetched. */
  hasEvent(row: number): boolean {
    return this.open.has(row) || this.seq[row] !== SEQ_UNKNOWN;
  }

  /** The state of a row; `shown` is what the table shows of it. */
  stateOf(row: number, shown: () => DocumentSummary): PartialState<DocumentSummary> {
    const open = this.open.get(row);
    if (open) return open;
    const phase = this.phase[row] as number;
    const stamp: Stamp = [
      phase,
      this.at[row] as number,
      this.seq[row] as number,
      this.eventId[row] ?? EVENT_ID_UNKNOWN,
    ];
    const { status, usage = null } = shown();
    if (phase === PHASE_ENDED) return { document: { status, usage }, stamp, progress: null, progress_stamp: null };
    const progress = { status, at_us: stamp[1], usage };
    // fetched while only progress of it was known
    if (phase === PHASE_PROGRESSED) return { document: null, stamp: null, progress, progress_stamp: stamp };
    // a fetched row of an open step may show the usage of its progress: a later heartbeat replaces it
    const document = this.hasEvent(row) ? { status, usage } : { status };
    return { document, stamp, progress: null, progress_stamp: null };
  }

  store(row: number, state: PartialState<DocumentSummary>): void {
    const { document, stamp, progress, progress_stamp } = state;
    if (stamp !== null) {
      this.phase[row] = stamp[0];
      this.at[row] = stamp[1];
      this.seq[row] = stamp[2];
      this.eventId[row] = stamp[3];
    }
    if (ended(state)) this.open.delete(row);
    else if (progress !== null) {
      const summary = document && { status: document.status, usage: document.usage ?? null };
      this.open.set(row, { document: summary, stamp, progress, progress_stamp });
    }
  }
}

/** A longer array that begins with what another one holds. */
export function grown<T extends { set: (old: T) => void }>(fresh: T, old: T): T {
  fresh.set(old);
  return fresh;
}
