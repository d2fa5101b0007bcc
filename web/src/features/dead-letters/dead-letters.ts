/** Texts about events that could not be stored: pure, so that they are tested without a page. */
import { useInfiniteQuery } from '@tanstack/react-query';
import { deadLettersQuery } from '../../api/queries';
import type { DeadLetter } from '../../api/types';
import { indentJson } from '../text/json-text';

const REASONS: Record<string, string> = {
  not_json: 'not JSON',
  not_utf8: 'not UTF-8',
  unknown_kind: 'an unknown kind of event',
  unknown_version: 'an unknown version',
  too_deep: 'nested too deeply',
  too_large: 'too large',
  invalid: 'not valid',
};

export function reasonText(reason: string): string {
  return REASONS[reason] ?? reason.replaceAll('_', ' ');
}

/** `3`, or `100+` when there are further pages. */
export interface Count {
  value: number;
  more: boolean;
}

/** Those that nobody has replayed yet. */
export function countOpen(letters: readonly DeadLetter[], more: boolean): Count {
  return { value: letters.filter((letter) => letter.replayed_at_us === null).length, more };
}

export function countText({ value, more }: Count): string {
  return `${value}${more ? '+' : ''} not stored`;
}

const HEX_BYTES_MAX = 4_096;
const HEX_PER_LINE = 16;

/** Bytes as `00000010  7b 22 76 22 …  {"v"`: for what is no text. */
export function hexLines(base64: string): string {
  const bytes = atob(base64).slice(0, HEX_BYTES_MAX);
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += HEX_PER_LINE) {
    const line = bytes.slice(at, at + HEX_PER_LINE);
    const hex = [...line].map((char) => char.charCodeAt(0).toString(16).padStart(2, '0')).join(' ');
    const shown = line.replace(/[^ -~]/g, '·');
    lines.push(`${at.toString(16).padStart(8, '0')}  ${hex.padEnd(HEX_PER_LINE * 3 - 1)}  ${shown}`);
  }
  return lines.join('\n');
}

/** JSON with line breaks; other text as it is. */
export function readable(text: string): string {
  return indentJson(text) ?? text;
}

/** The newest letters of a project and how many of them are open; empty while nothing is known. */
export function useDeadLetters(project: string): { letters: DeadLetter[]; open: Count } {
  const { data, hasNextPage } = useInfiniteQuery(deadLettersQuery(project));
  const letters = data?.pages.flatMap((page) => page.items) ?? [];
  return { letters, open: countOpen(letters, hasNextPage) };
}
