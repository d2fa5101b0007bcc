/** What can follow at the caret of a query: fields, then operators and values. The language is described in docs/reference/queries.md. */
import { STATUSES } from '../../api/types';

type Kind = 'text' | 'choice' | 'count' | 'duration' | 'cost' | 'id' | 'tag' | 'score';

/** The fields of tasks. A test compares them with the reference, which is generated from their declaration. */
export const TASK_QUERY_FIELDS: Record<string, Kind> = {
  status: 'choice',
  agent: 'text',
  latency: 'duration',
  cost: 'cost',
  tokens: 'count',
  errors: 'count',
  steps: 'count',
  error: 'text',
  name: 'text',
  user: 'text',
  conversation: 'text',
  env: 'text',
  'tag.': 'tag',
  kind: 'text',
  flag: 'choice',
  duration: 'duration',
  input_tokens: 'count',
  output_tokens: 'count',
  task: 'id',
  run: 'text',
  duplicate: 'text',
  duplicate_of: 'id',
  folded: 'text',
  folded_into: 'text',
  log: 'text',
  'score.': 'score',
};

const HINTS: Record<Kind, string> = {
  text: 'text',
  choice: 'one of',
  count: 'number',
  duration: 'duration',
  cost: 'US dollars',
  id: 'ID',
  tag: 'a tag',
  score: 'average, or label',
};

const EXAMPLES: Partial<Record<Kind, string[]>> = {
  duration: ['>1s', '>10s', '>1m', '<500ms'],
  cost: ['>0.01', '>0.1', '>1'],
  count: ['>0', '>10', '>1k'],
  score: ['<0.5', '>=0.5', '*'],
};

export interface Option {
  /** what takes the place of the clause */
  insert: string;
  label: string;
  hint: string;
}

export interface Completion {
  from: number;
  to: number;
  options: Option[];
}

export interface ObservedValue {
  value: string;
  tasks: number;
}

/** Observed values of a field (`agent`, `tag.tier`), and the fields that have any. */
export type Observed = ReadonlyMap<string, readonly ObservedValue[]>;

const OPTIONS_MAX = 12;
/** These characters end a value that has no quotation marks. */
const NEEDS_QUOTES = /[\s"(),:]|^[-<>=]|^$/;

export function complete(text: string, caret: number, observed: Observed): Completion {
  const from = clauseStart(text, caret);
  const tail = /^[^\s()]*/.exec(text.slice(caret))?.[0] ?? '';
  const to = caret + tail.length;
  const clause = text.slice(from, caret);
  const sign = clause.startsWith('-') ? '-' : '';
  const written = clause.slice(sign.length);
  const colon = written.indexOf(':');
  const options =
    colon < 0
      ? fieldsLike(written, sign, observed)
      : valuesLike(written.slice(0, colon), written.slice(colon + 1), sign, observed);
  return { from, to, options: options.slice(0, OPTIONS_MAX) };
}

/** The query with an option in the place of the clause, and where the caret is then. */
export function accept(text: string, { from, to }: Completion, option: Option): { text: string; caret: number } {
  const rest = text.slice(to);
  const ends = option.insert.endsWith(':') || option.insert.endsWith('.');
  const insert = ends || rest.startsWith(' ') ? option.insert : `${option.insert} `;
  return {
    text: text.slice(0, from) + insert + rest,
    caret: from + insert.length + (rest.startsWith(' ') && !ends ? 1 : 0),
  };
}

/** Where the clause at the caret begins: after the last blank or bracket that is not in quotation marks. */
function clauseStart(text: string, caret: number): number {
  let start = 0;
  let isQuoted = false;
  for (let at = 0; at < caret; at++) {
    const char = text[at] as string;
    if (char === '\\' && isQuoted) at++;
    else if (char === '"') isQuoted = !isQuoted;
    else if (!isQuoted && /[\s()]/.test(char)) start = at + 1;
  }
  return start;
}

function fieldsLike(written: string, sign: string, observed: Observed): Option[] {
  const wanted = written.toLowerCase().replace('"', '');
  const family = ['tag.', 'score.'].find((one) => wanted.startsWith(one.slice(0, -1)));
  const seen = family === undefined ? [] : [...observed.keys()].filter((field) => field.startsWith(family));
  const names = seen.length > 0 ? seen : Object.keys(TASK_QUERY_FIELDS);
  return names
    .filter((name) => name.toLowerCase().startsWith(wanted))
    .map((name) => ({
      insert: `${sign}${fieldText(name)}${name.endsWith('.') ? '' : ':'}`,
      label: `${name}${name.endsWith('.') ? '…' : ':'}`,
      hint: HINTS[TASK_QUERY_FIELDS[name] ?? (name.startsWith('score.') ? 'score' : 'tag')],
    }));
}

/** The name of a tag or a score that has blanks is in quotation marks: `score."well written"`. */
function fieldText(field: string): string {
  const dot = field.indexOf('.');
  const name = field.slice(dot + 1);
  return dot < 0 || name === '' ? field : `${field.slice(0, dot + 1)}${quoted(name)}`;
}

function valuesLike(field: string, written: string, sign: string, observed: Observed): Option[] {
  const name = field.toLowerCase();
  const kind =
    TASK_QUERY_FIELDS[name] ?? (name.startsWith('tag.') ? 'tag' : name.startsWith('score.') ? 'score' : null);
  if (kind === null) return [];
  const examples = EXAMPLES[kind];
  if (examples) {
    return examples
      .filter((example) => example.startsWith(written) && example !== written)
      .map((example) => ({ insert: `${sign}${field}:${example}`, label: `${field}:${example}`, hint: HINTS[kind] }));
  }
  // of a list, the last value is completed
  const comma = written.lastIndexOf(',') + 1;
  const before = written.slice(0, comma);
  const wanted = written.slice(comma).replace(/^"/, '').toLowerCase();
  const known = observed.get(name) ?? [];
  const choices =
    name === 'status' ? STATUSES.map((status) => ({ value: status, tasks: countOf(known, status) })) : known;
  return choices
    .filter(({ value }) => value.toLowerCase().includes(wanted) && value.toLowerCase() !== wanted)
    .toSorted(
      (a, b) => Number(b.value.toLowerCase().startsWith(wanted)) - Number(a.value.toLowerCase().startsWith(wanted)),
    )
    .map(({ value, tasks }) => ({
      insert: `${sign}${field}:${before}${quoted(value)}`,
      label: value,
      hint: tasks > 0 ? `${tasks} ${tasks === 1 ? 'task' : 'tasks'}` : '',
    }));
}

function countOf(known: readonly ObservedValue[], wanted: string): number {
  return known.find(({ value }) => value === wanted)?.tasks ?? 0;
}

function quoted(value: string): string {
  return NEEDS_QUOTES.test(value) ? `"${value.replace(/(["\\])/g, '\\$1')}"` : value;
}

const HISTORY_MAX = 8;

/** The newest queries first, each once. */
export function withRecent(history: readonly string[], query: string): string[] {
  return query ? [query, ...history.filter((one) => one !== query)].slice(0, HISTORY_MAX) : [...history];
}

export function readRecent(stored: string): string[] {
  try {
    const value: unknown = JSON.parse(stored);
    return Array.isArray(value) ? value.filter((one) => typeof one === 'string').slice(0, HISTORY_MAX) : [];
  } catch {
    return [];
  }
}
