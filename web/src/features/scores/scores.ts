/** Scores of a task or a step: what a person gives, and how scores read. */
import type { Score, ScoreSummary } from '../../api/types';
import { clauseOf } from '../task-list/filter';

/** The ways in which a person judges. A thumb is a boolean, so that its average is the share of thumbs up. */
export type ScoreKind = 'thumb' | 'number' | 'label' | 'note';

export interface ScoreDraft {
  kind: ScoreKind;
  name: string;
  /** as typed; `up` or `down` of a thumb */
  value: string;
  comment: string;
}

export const NAME_MAX = 256;
export const COMMENT_MAX = 4_096;
export const NOTE = 'note';
export const THUMB = 'thumb';
const QUERY_NAME = /^[\w.-]+$/;
const NUMBER_MAX = 1e15;
/** The platform puts the person before it. */
const ID_MAX = 192;
const PERSON = 'user:';
const SOURCES: Record<string, string> = { human: 'person', model: 'model', code: 'code' };
const NUMBER = /^[+-]?(\d+([.,]\d*)?|[.,]\d+)$/;

/** What of a score a person gives; its project, task and author come from elsewhere. */
export interface ScoreValue {
  name: string;
  /** null: a note, which judges nothing */
  value: number | boolean | string | null;
  comment: string | null;
}

/** The value of a draft, or the sentence that says what is missing. */
export function scoreValue(draft: ScoreDraft): ScoreValue | string {
  const name = (draft.kind === 'note' ? NOTE : draft.kind === 'thumb' ? THUMB : draft.name).trim();
  const comment = draft.comment.trim() || null;
  const typed = draft.value.trim();
  if (draft.kind === 'note') return comment === null ? 'Enter a note.' : { name, value: null, comment };
  if (name === '') return 'Enter a name for the score.';
  if (draft.kind === 'thumb') {
    if (typed !== 'up' && typed !== 'down') return 'Choose thumbs up or thumbs down.';
    return { name, value: typed === 'up', comment };
  }
  if (draft.kind === 'label') return typed === '' ? 'Enter a label.' : { name, value: typed, comment };
  const value = NUMBER.test(typed) ? Number(typed.replace(',', '.')) : Number.NaN;
  if (!Number.isFinite(value) || Math.abs(value) > NUMBER_MAX) return 'Enter a number, such as 0.8.';
  return { name, value, comment };
}

/**
 * A person has one score of a name for a task or step: giving it again changes it. Notes add up. Null: the score gets an ID of
 * its own, because it is a note, or because its name does not fit.
 */
export function scoreId(stepId: string | null, name: string): string | null {
  if (name === NOTE) return null;
  const id = `${stepId ?? 'task'}:${[...new TextEncoder().encode(name)].map(idOfByte).join('')}`;
  return id.length > ID_MAX ? null : id;
}

/** Letters, digits and hyphens as they are, other bytes of UTF-8 as `.` and two hex digits. */
function idOfByte(byte: number): string {
  const letter = String.fromCharCode(byte);
  return /[A-Za-z0-9-]/.test(letter) ? letter : `.${byte.toString(16).padStart(2, '0')}`;
}

/** Whether a signed-in person gave a score. */
export function isOwn(score: Score, userId: string): boolean {
  return score.author === `${PERSON}${userId}`;
}

/** Who gave a score: the name of a member where it is known, what a program named, or the kind of its source. */
export function authorOf(score: Score, names: ReadonlyMap<string, string>): string {
  const { author, source } = score;
  if (author === null) return SOURCES[source] ?? source;
  if (!author.startsWith(PERSON)) return source === 'human' ? author : `${author} · ${source}`;
  return names.get(author.slice(PERSON.length)) ?? 'former member';
}

/** `0.8`, `good`, `0.8 good`; empty for a note. */
export function scoreText({ number, label }: Pick<Score, 'number' | 'label'>): string {
  return [number === null ? '' : numberText(number), label ?? ''].filter(Boolean).join(' ');
}

/** Yes or no: a boolean has both forms. */
export function verdictOf({ number, label }: Pick<Score, 'number' | 'label'>): 'up' | 'down' | null {
  if (number === 1 && label === 'true') return 'up';
  return number === 0 && label === 'false' ? 'down' : null;
}

/** At most four significant digits. */
export function numberText(number: number): string {
  return String(Number(number.toPrecision(4)));
}

/** The average of a name, or its most frequent label; empty when it has neither. Of thumbs the share that is up. */
export function summaryText({ name, average, label }: ScoreSummary): string {
  if (average === null) return label ?? '';
  return name === THUMB ? `${Math.round(average * 100)} %` : numberText(average);
}

export function summaryName({ name }: ScoreSummary): string {
  return name === THUMB ? 'thumbs up' : name;
}

export function summaryTitle(summary: ScoreSummary): string {
  const { name, scores, numbers, average } = summary;
  const given = `${scores} ${scores === 1 ? 'score' : 'scores'} of ${name}`;
  if (average === null) return given;
  return `${given}: average of ${numbers} ${numbers === 1 ? 'number' : 'numbers'} is ${average}`;
}

/** Queries that find tasks by scores of a name, with their words. A name with other characters cannot be written in a query. */
export function searchesFor({ name, average, label }: ScoreSummary): [string, string][] {
  if (!QUERY_NAME.test(name)) return [];
  const found: [string, string][] = [['Tasks with this score', `score.${name}:*`]];
  if (average !== null) {
    const shown = numberText(average);
    found.push(
      [`Average below ${shown}`, `score.${name}:<${shown}`],
      [`Average of ${shown} or more`, `score.${name}:>=${shown}`],
    );
  } else if (label !== null) found.push([`Label ${label}`, clauseOf(`score.${name}`, label)]);
  return [...found, ['Tasks without this score', `-score.${name}:*`]];
}
