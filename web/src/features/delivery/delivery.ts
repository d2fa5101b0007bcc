/** What the producers of a task delivered: sums over them, and whether anything is missing. */
import type { Delivery } from '../../api/types';

export interface Totals {
  delivered: number;
  missing: number;
  duplicates: number;
  unproven: number;
  dropped: number;
  truncated: number;
}

export function totalsOf(producers: readonly Delivery[]): Totals {
  const totals: Totals = { delivered: 0, missing: 0, duplicates: 0, unproven: 0, dropped: 0, truncated: 0 };
  for (const producer of producers) {
    totals.delivered += producer.delivered;
    totals.missing += producer.missing;
    totals.duplicates += producer.duplicates;
    totals.unproven += producer.unproven;
    totals.truncated += producer.truncated;
    totals.dropped += droppedOf(producer);
  }
  return totals;
}

export function droppedOf(producer: Delivery): number {
  return Object.values(producer.dropped).reduce((sum, events) => sum + events, 0);
}

/** The highest event number that a producer delivered; 0 before the first. */
export function lastNumberOf(producer: Delivery): number {
  return producer.ranges.at(-1)?.[1] ?? 0;
}

/**
 * `complete`: every number up to the last one arrived, and nothing was dropped or cut. `cut`: all events arrived, some payloads are
 * shortened. `incomplete`: events are missing. `unproven`: gaps may be hidden. `unnumbered`: no producer numbers its events.
 */
export type Verdict = 'complete' | 'cut' | 'incomplete' | 'unproven' | 'unnumbered';

/** @param notStored records of the task that arrived and could not be stored */
export function verdictOf(producers: readonly Delivery[], notStored: number): Verdict {
  const totals = totalsOf(producers);
  if (totals.missing > 0 || totals.dropped > 0 || notStored > 0) return 'incomplete';
  if (totals.unproven > 0) return 'unproven';
  if (totals.delivered === 0) return 'unnumbered';
  return totals.truncated > 0 ? 'cut' : 'complete';
}

/** Gaps as one SVG path over 1,000 by 8 units: one element however many there are. Each is at least 2 units wide. */
export function gapsPath(gaps: readonly number[][], last: number): string {
  const unit = 1_000 / Math.max(1, last);
  return gaps
    .map(([from = 0, to = 0]) => {
      const width = Math.max(2, (to - from + 1) * unit);
      const left = Math.min(1_000 - width, (from - 1) * unit);
      return `M${round(left)} 0h${round(width)}v8h-${round(width)}z`;
    })
    .join('');
}

/** `12`, `12–14`: the numbers of a range. */
export function rangeText([from = 0, to = 0]: readonly number[]): string {
  return from === to ? String(from) : `${from}–${to}`;
}

/** Reasons of the SDK in words; one that is not known is shown as it is. */
const REASONS: Record<string, string> = {
  queue_full: 'the queue in memory was full',
  too_large: 'the event was too large',
  spool_full: 'the spool on disk was full',
};

export function reasonText(reason: string): string {
  return REASONS[reason] ?? reason.replaceAll('_', ' ');
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
