/** JSON as text, in one pass and without recursion, whatever its depth: `JSON.stringify` ends with an error on deep values. */
import type { Json } from '../step-detail/messages';

const INDENT_LEVELS_MAX = 32;
const DEPTH_MAX = 24;
const VECTOR_MIN = 32;

const TOKEN = /"(?:[^"\\]|\\[\s\S])*"?|[{}[\],:]|[^\s{}[\],:"]+/g;
const SPACES = '  ';

/**
 * The same JSON with one value on a line, numbers as they were written. Levels beyond 32 are not indented further, so that a deep
 * value does not become a hundred times as long.
 *
 * @returns null when a bracket does not match: it is not JSON
 */
export function indentJson(text: string): string | null {
  const out: string[] = [];
  const open: string[] = [];
  let last = '';
  for (const [token] of text.matchAll(TOKEN)) {
    const closes = token === '}' || token === ']';
    if (closes && open.pop() !== (token === '}' ? '{' : '[')) return null;
    const isEmpty = closes && (last === '{' || last === '[');
    if (last === '{' || last === '[' || last === ',' || closes) {
      if (!isEmpty) out.push('\n', SPACES.repeat(Math.min(open.length, INDENT_LEVELS_MAX)));
    }
    out.push(token === ':' ? ': ' : token);
    if (token === '{' || token === '[') open.push(token);
    last = token;
  }
  return open.length === 0 && out.length > 0 ? out.join('') : null;
}

/** A value on one line, at most about `charsMax` long; what is left out is an ellipsis. */
export function compactJson(value: Json | undefined, charsMax: number): string {
  let left = charsMax;
  const write = (inner: Json | undefined, depth: number): string => {
    if (left <= 0) return '…';
    if (typeof inner === 'string')
      return spend(JSON.stringify(inner.length > left ? `${inner.slice(0, left)}…` : inner));
    if (inner === null || typeof inner !== 'object') return spend(String(inner));
    if (depth >= DEPTH_MAX) return spend('…');
    const parts: string[] = [];
    const isList = Array.isArray(inner);
    for (const key in inner) {
      if (left <= 0) {
        parts.push('…');
        break;
      }
      const name = isList ? '' : spend(`${JSON.stringify(key)}:`);
      parts.push(name + write((inner as Record<string, Json>)[key], depth + 1));
      left--;
    }
    return isList ? `[${parts.join(',')}]` : `{${parts.join(',')}}`;
  };
  const spend = (text: string): string => {
    left -= text.length;
    return text;
  };
  return write(value, 0);
}

/** The head of a list: its length, and of an embedding the norm, because nobody reads 1,536 numbers. */
export function listMark(list: readonly Json[]): string {
  if (list.length < VECTOR_MIN || !list.every((one) => typeof one === 'number'))
    return `[${list.length.toLocaleString('en-US')}]`;
  const norm = Math.sqrt((list as number[]).reduce((sum, one) => sum + one * one, 0));
  return `[${list.length.toLocaleString('en-US')} numbers, norm ${norm.toPrecision(4)}]`;
}
