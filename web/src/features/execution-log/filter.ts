/**
 * The small query of a task page: `type:llm status:error model:gpt-* latency:>2s -tool text`. The browser answers it, but for a text: that
 * may also be in the contents of a step, which the server searches.
 */
import { STATUSES, STEP_TYPES } from '../../api/types';
import type { Dictionary } from './dictionary';
import type { StepTable } from './table';

type Test = (row: number) => boolean;
type Clause = (table: StepTable, stepsWith: StepsWith) => Test;

const WORD_CHARS_MIN = 2;
const WORD_CHARS_MAX = 200;
const WORDS_MAX = 4;

/** The steps whose contents have a word. */
export type StepsWith = (word: string) => ReadonlySet<string>;

export interface Filter {
  /** null when the text has no clause */
  test: ((table: StepTable, stepsWith: StepsWith) => Test) | null;
  /** what contents are searched for, in lower case */
  words: string[];
  /** a sentence when a clause is not understood */
  mistake: string | null;
}

const UNITS: Record<string, number> = { us: 1, ms: 1e3, s: 1e6, m: 60e6, h: 3_600e6, '': 1e6 };
const COMPARISON = /^(>=|<=|>|<|=)?([\d.]+)(us|ms|s|m|h)?$/;

export function parseFilter(text: string): Filter {
  const clauses: Clause[] = [];
  const words = new Set<string>();
  let mistake: string | null = null;
  for (const raw of text.match(/-?(?:\w+:)?(?:"[^"]*"?|\S+)/g) ?? []) {
    const negated = raw.startsWith('-') && raw.length > 1;
    const clause = negated ? raw.slice(1) : raw;
    const made = clauseOf(clause);
    const word = /^\w+:/.test(clause) ? '' : unquote(clause).toLowerCase();
    if (word.length >= WORD_CHARS_MIN && word.length <= WORD_CHARS_MAX && words.size < WORDS_MAX) words.add(word);
    if (typeof made === 'string') mistake ??= made;
    else
      clauses.push((table, stepsWith) => {
        const test = made(table, stepsWith);
        return negated ? (row) => !test(row) : test;
      });
  }
  if (clauses.length === 0) return { test: null, words: [], mistake };
  return {
    mistake,
    words: [...words],
    test: (table, stepsWith) => {
      const tests = clauses.map((clause) => clause(table, stepsWith));
      return (row) => tests.every((test) => test(row));
    },
  };
}

function clauseOf(clause: string): Clause | string {
  const match = /^(\w+):(.*)$/.exec(clause);
  const value = unquote(match ? (match[2] ?? '') : clause);
  switch (match?.[1]) {
    case undefined:
      return (table, stepsWith) => textTest(table, value, stepsWith(value.toLowerCase()));
    case 'type':
      return oneOf(STEP_TYPES, value, 'type', (table) => table.type);
    case 'status':
      return oneOf(STATUSES, value, 'status', (table) => table.status);
    case 'name':
    case 'tool':
      return (table) => wordTest(table.names, table.name, value);
    case 'agent':
      return (table) => wordTest(table.agents, table.agent, value);
    case 'model':
      return (table) => wordTest(table.models, table.model, value);
    case 'latency':
    case 'duration':
      return compared(value, (table) => (row) => table.duration[row] as number, true);
    case 'cost':
      return compared(value, (table) => (row) => (table.cost[row] as number) / 1e9, false);
    case 'tokens':
      return compared(value, (table) => (row) => (table.input[row] as number) + (table.output[row] as number), false);
    default:
      return `Unknown field "${match?.[1]}". Use type, status, name, agent, model, latency, cost or tokens.`;
  }
}

function oneOf(
  words: readonly string[],
  value: string,
  field: string,
  column: (table: StepTable) => Uint8Array,
): ((table: StepTable) => Test) | string {
  const wanted = new Set(value.split(',').map((word) => words.indexOf(word.toLowerCase())));
  if (wanted.has(-1)) return `${field} must be one of ${words.join(', ')}.`;
  return (table) => {
    const values = column(table);
    return (row) => wanted.has(values[row] as number);
  };
}

/** Words are matched once per word of the dictionary, not once per step. */
function wordTest(words: Dictionary, column: Int32Array, pattern: string): Test {
  const test = wildcard(pattern);
  const hits = words.list.map(test);
  return (row) => hits[column[row] as number] ?? false;
}

function textTest(table: StepTable, text: string, contents: ReadonlySet<string>): Test {
  const tests = [
    wordTest(table.names, table.name, `*${text}*`),
    wordTest(table.models, table.model, `*${text}*`),
    wordTest(table.agents, table.agent, `*${text}*`),
  ];
  const lower = text.toLowerCase();
  const types = STEP_TYPES.map((type) => type === lower);
  return (row) =>
    tests.some((test) => test(row)) ||
    (types[table.type[row] as number] ?? false) ||
    contents.has(table.ids[row] as string) ||
    table.ids[row] === lower;
}

function wildcard(pattern: string): (word: string) => boolean {
  const lower = pattern.toLowerCase();
  if (!lower.includes('*')) return (word) => word.toLowerCase() === lower;
  const pieces = lower.split('*');
  return (word) => {
    const text = word.toLowerCase();
    const first = pieces[0] ?? '';
    const last = pieces.at(-1) ?? '';
    if (!text.startsWith(first) || !text.endsWith(last) || text.length < first.length + last.length) return false;
    let at = first.length;
    for (const piece of pieces.slice(1, -1)) {
      at = text.indexOf(piece, at);
      if (at < 0) return false;
      at += piece.length;
    }
    return at <= text.length - last.length;
  };
}

function compared(
  value: string,
  number: (table: StepTable) => (row: number) => number,
  time: boolean,
): ((table: StepTable) => Test) | string {
  const match = COMPARISON.exec(value);
  if (!match || (match[3] && !time))
    return `Cannot compare with "${value}". Use a value like >${time ? '2s' : '0.01'}.`;
  const limit = Number(match[2]) * (time ? (UNITS[match[3] ?? ''] ?? 1e6) : 1);
  const operator = match[1] ?? '=';
  return (table) => {
    const of = number(table);
    // an unknown number compares as false either way
    if (operator === '>') return (row) => of(row) > limit;
    if (operator === '>=') return (row) => of(row) >= limit;
    if (operator === '<') return (row) => of(row) < limit;
    if (operator === '<=') return (row) => of(row) <= limit;
    return (row) => of(row) === limit;
  };
}

function unquote(text: string): string {
  return text.startsWith('"') ? text.slice(1).replace(/"$/, '') : text;
}
