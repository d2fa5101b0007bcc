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
  | ({ kind: 'media' } & MediaPart)
  | { kind: 'refusal'; text: string }
  | { kind: 'other'; value: Json };

/** An image, sound or file: its bytes are stored under their hash, or `absent` says why not. */
export interface MediaPart {
  mime: string;
  sha256: string | null;
  bytes: number | null;
  /** where the sender says that it is; never loaded by itself */
  uri: string | null;
  absent: string | null;
  /** file name, or the provider's ID of a file */
  name: string | null;
  /** the words of a sound */
  transcript: string | null;
}

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
      return { kind: 'media', ...mediaOf(part) };
    case 'refusal':
      return typeof part.refusal === 'string'
        ? { kind: 'refusal', text: part.refusal }
        : { kind: 'other', value: part };
    default:
      return { kind: 'other', value: part };
  }
}

const SHA256 = /^[0-9a-f]{64}$/;

export function mediaOf(part: { [key: string]: Json }): MediaPart {
  const sha256 = textOf(part.sha256);
  return {
    mime: textOf(part.mime) ?? 'file',
    sha256: sha256 !== null && SHA256.test(sha256) ? sha256 : null,
    bytes: typeof part.bytes === 'number' ? part.bytes : null,
    uri: textOf(part.uri),
    absent: textOf(part.absent),
    name: textOf(part.filename) ?? textOf(part.file_name) ?? textOf(part.name) ?? textOf(part.file_id),
    transcript: textOf(part.transcript),
  };
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
  return message.parts.map(wordsOfPart).filter(Boolean).join('\n');
}

function wordsOfPart(part: Part): string {
  if (part.kind === 'text' || part.kind === 'refusal') return part.text;
  if (part.kind === 'call') return `${part.name}(…)`;
  return part.kind === 'media' ? (part.transcript ?? '') : '';
}

export function sizeOf(message: Message): number {
  let size = 0;
  for (const part of message.parts) {
    if (part.kind === 'text' || part.kind === 'reasoning' || part.kind === 'refusal') size += part.text.length;
    else if (part.kind === 'media') size += part.bytes ?? 0;
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

/** Longer text is not parsed while it is drawn. */
const STRUCTURE_MAX = 200_000;

/** The object or list that a text consists of, as a model gives structured output; null for other text. */
export function structureIn(text: string): Json | null {
  const trimmed = text.trim();
  if (trimmed.length > STRUCTURE_MAX || !/^(\{.*\}|\[.*\])$/s.test(trimmed)) return null;
  try {
    const value = JSON.parse(trimmed) as Json;
    return Array.isArray(value) || (isObject(value) && Object.keys(value).length > 0) ? value : null;
  } catch {
    return null;
  }
}

export function isObject(value: unknown): value is { [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function textOf(value: Json | undefined): string | null {
  return typeof value === 'string' ? value : null;
}
