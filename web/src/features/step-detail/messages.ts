/** `application/vnd.ams.messages+json` read carefully: what is not known is kept and shown as JSON (docs/messages.md). */
import { compactJson } from '../text/json-text';
import { parseCut } from './cut-json';

/** Of a part that is not text, so many characters are counted. */
const SIZE_MAX = 1_000_000;

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export type Part =
  | { kind: 'text'; text: string }
  | { kind: 'reasoning'; text: string }
  | { kind: 'call'; id: string | null; name: string; arguments: Json; result: Json | undefined; answered: boolean }
  | { kind: 'result'; id: string | null; name: string | null; result: Json }
  | { kind: 'media'; mime: string; uri: string | null; bytes: number | null }
  | { kind: 'other'; value: Json };

export interface Message {
  role: string;
  name: string | null;
  finish: string | null;
  parts: Part[];
}

/** The messages of a payload, up to the cut when it was truncated; null when it is something else. */
export function parseMessages(text: string, truncated = false): Message[] | null {
  let value: Json | undefined;
  try {
    value = truncated ? parseCut(text) : (JSON.parse(text) as Json);
  } catch {
    return null;
  }
  if (!Array.isArray(value)) return null;
  const messages: Message[] = [];
  for (const item of value) {
    // the last one may be cut before its role
    if (truncated && messages.length > 0 && isObject(item) && item.role === undefined) break;
    if (!isObject(item) || typeof item.role !== 'string') return null;
    messages.push({
      role: item.role,
      name: textOf(item.name),
      finish: textOf(item.finish_reason),
      parts: partsOf(item.content),
    });
  }
  return joinResults(messages);
}

function partsOf(content: Json | undefined): Part[] {
  if (typeof content === 'string') return [{ kind: 'text', text: content }];
  if (!Array.isArray(content))
    return content === undefined || content === null ? [] : [{ kind: 'other', value: content }];
  return content.map(partOf);
}

function partOf(part: Json): Part {
  if (typeof part === 'string') return { kind: 'text', text: part };
  if (!isObject(part)) return { kind: 'other', value: part };
  switch (part.type) {
    case 'text':
      return typeof part.text === 'string' ? { kind: 'text', text: part.text } : { kind: 'other', value: part };
    case 'reasoning':
      return { kind: 'reasoning', text: textOf(part.text) ?? '' };
    case 'tool_call':
      return {
        kind: 'call',
        id: textOf(part.id),
        name: textOf(part.name) ?? 'tool',
        arguments: part.arguments ?? null,
        result: undefined,
        answered: false,
      };
    case 'tool_result':
      return { kind: 'result', id: textOf(part.id), name: textOf(part.name), result: part.result ?? null };
    case 'media':
      return {
        kind: 'media',
        mime: textOf(part.mime) ?? 'file',
        uri: textOf(part.uri),
        bytes: typeof part.bytes === 'number' ? part.bytes : null,
      };
    default:
      return { kind: 'other', value: part };
  }
}

/** A call and its result are one card: the result moves to its call, and a message that held nothing else goes. */
function joinResults(messages: Message[]): Message[] {
  const open = new Map<string, Extract<Part, { kind: 'call' }>>();
  const kept: Message[] = [];
  for (const message of messages) {
    const parts: Part[] = [];
    for (const part of message.parts) {
      if (part.kind === 'call' && part.id) open.set(part.id, part);
      const call = part.kind === 'result' && part.id ? open.get(part.id) : undefined;
      if (part.kind === 'result' && call && !call.answered) {
        call.result = part.result;
        call.answered = true;
      } else parts.push(part);
    }
    if (parts.length > 0 || message.parts.length === 0) kept.push({ ...message, parts });
  }
  return kept;
}

export function wordsOf(message: Message): string {
  return message.parts
    .map((part) => (part.kind === 'text' ? part.text : part.kind === 'call' ? `${part.name}(…)` : ''))
    .filter(Boolean)
    .join('\n');
}

export function sizeOf(message: Message): number {
  let size = 0;
  for (const part of message.parts) {
    if (part.kind === 'text' || part.kind === 'reasoning') size += part.text.length;
    else size += compactJson(part as Json, SIZE_MAX).length;
  }
  return size;
}

/** Arguments on one line for a card's head: `city: "Paris", nights: 3`. */
export function argumentsLine(value: Json, max = 160): string {
  let text = '';
  if (isObject(value)) {
    for (const key in value) {
      if (text.length > max) break;
      text += `${text ? ', ' : ''}${key}: ${compactJson(value[key], max)}`;
    }
  } else text = typeof value === 'string' ? value : compactJson(value, max);
  return text.length > max ? `${text.slice(0, max)}…` : text;
}

export function isObject(value: unknown): value is { [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textOf(value: Json | undefined): string | null {
  return typeof value === 'string' ? value : null;
}
