/** The filter of the tasks page as its address has it: clauses of the query, and time ranges. */
import { NEWEST_FIRST } from './orders';

export interface TaskFilter {
  q: string;
  status: string;
  agent: string;
  from: string;
  to: string;
  sort: string;
}

export const NO_FILTER: TaskFilter = { q: '', status: '', agent: '', from: '', to: '', sort: NEWEST_FIRST };

/** `agent:planner`, `tag.tier:"two words"`: exactly this value. */
export function clauseOf(field: string, value: string): string {
  const plain = /^[\w.-]+$/.test(value);
  return `${field}:${plain ? value : `"${value.replace(/["\\]/g, '\\$&')}"`}`;
}

/** The words of a query: clauses, phrases in quotation marks and groups in parentheses stay together. */
export function wordsOf(q: string): string[] {
  return q.match(/-?(?:[\w.-]+:[<>]?=?)?(?:"(?:\\.|[^"\\])*"?|\((?:[^()]|\([^()]*\))*\)?|\S+)/g) ?? [];
}

export function hasClause(q: string, clause: string): boolean {
  return wordsOf(q).includes(clause);
}

/** The query with a clause added, or without it when it is there. The opposite of it leaves. */
export function toggleClause(q: string, clause: string): string {
  const opposite = clause.startsWith('-') ? clause.slice(1) : `-${clause}`;
  const words = wordsOf(q).filter((word) => word !== opposite);
  return (words.includes(clause) ? words.filter((word) => word !== clause) : [...words, clause]).join(' ');
}

export const RELATIVE_RANGES = [
  ['15m', 'Last 15 minutes', 900],
  ['1h', 'Last hour', 3_600],
  ['6h', 'Last 6 hours', 21_600],
  ['24h', 'Last 24 hours', 86_400],
  ['7d', 'Last 7 days', 604_800],
  ['30d', 'Last 30 days', 2_592_000],
  ['90d', 'Last 90 days', 7_775_000],
] as const;

/** The start of a relative range as RFC 3339; empty for one that there is not. */
export function startOf(range: string, nowMs: number): string {
  const seconds = RELATIVE_RANGES.find(([name]) => name === range)?.[2];
  return seconds === undefined ? '' : new Date(Math.floor(nowMs / 1_000) * 1_000 - seconds * 1_000).toISOString();
}

/** RFC 3339 as microseconds; null when it is no time. */
export function microseconds(time: string): number | null {
  const ms = Date.parse(time);
  return Number.isFinite(ms) ? ms * 1_000 : null;
}

/** A time for an `<input type="datetime-local">`, in local time. */
export function localInput(time: string): string {
  const ms = Date.parse(time);
  if (!Number.isFinite(ms)) return '';
  const date = new Date(ms);
  const pad = (n: number) => String(n).padStart(2, '0');
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}T${pad(date.getHours())}:${pad(date.getMinutes())}`;
}
