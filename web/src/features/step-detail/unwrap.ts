/** What is inside the envelopes in which libraries log values: messages or text. What is not known stays as it is. */
import { isObject, type Json, type Message, type Part } from './messages';

const DEPTH_MAX = 6;
const ROLES: Record<string, string> = { human: 'user', ai: 'assistant', AIMessageChunk: 'assistant' };
const REPR = /^content=(['"])((?:\\.|(?!\1)[^\\])*)\1 (?:additional_kwargs|response_metadata|name|id)=/s;

export type Unwrapped =
  | { kind: 'messages'; messages: Message[] }
  | { kind: 'text'; text: string }
  | { kind: 'json'; value: Json };

/** Null when there is no envelope around the value. */
export function unwrap(value: Json, depth = 0): Unwrapped | null {
  if (depth > DEPTH_MAX) return null;
  if (typeof value === 'string') return unwrapText(value, depth);
  const message = messageIn(value);
  if (message) return { kind: 'messages', messages: [message] };
  if (Array.isArray(value)) {
    if (value.length === 1 && Array.isArray(value[0])) return unwrap(value[0], depth + 1);
    const messages = value.map(messageIn);
    if (messages.length > 0 && messages.every((one) => one !== null)) return { kind: 'messages', messages };
    const texts = value.map(textBlockIn);
    if (texts.length > 0 && texts.every((one) => one !== null)) return { kind: 'text', text: texts.join('\n') };
    return null;
  }
  if (!isObject(value)) return null;
  const entries = Object.entries(value).filter(([, inner]) => inner !== null);
  const [only] = entries;
  // a state, or what a node of a graph returns, with nothing else in it
  if (
    entries.length === 1 &&
    only &&
    ['messages', 'update', 'content'].includes(only[0]) &&
    typeof only[1] === 'object'
  )
    return unwrap(only[1] as Json, depth + 1);
  if (Array.isArray(value.generations)) return unwrap(value.generations.flat(2).map(generationOf), depth + 1);
  return null;
}

/** JSON in a string, or the repr of a library's message. */
function unwrapText(text: string, depth: number): Unwrapped | null {
  const first = text.trimStart()[0];
  if (first === '{' || first === '[') {
    try {
      const value = JSON.parse(text) as Json;
      return unwrap(value, depth + 1) ?? { kind: 'json', value };
    } catch {
      return null;
    }
  }
  const words = REPR.exec(text)?.[2];
  return words === undefined ? null : { kind: 'text', text: unescaped(words) };
}

function unescaped(text: string): string {
  return text.replace(/\\(.)/gs, (_, letter: string) => (letter === 'n' ? '\n' : letter === 't' ? '\t' : letter));
}

/** LangChain's two forms: `{lc, type: "constructor", id, kwargs}` and `{type: "human", data}`. */
function messageIn(value: Json): Message | null {
  if (!isObject(value)) return null;
  let inner: Json | undefined;
  let kind = textOf(value.type);
  if (value.lc !== undefined && isObject(value.kwargs)) {
    inner = value.kwargs;
    const name = Array.isArray(value.id) ? textOf(value.id.at(-1)) : null;
    kind = textOf(value.kwargs.type) ?? name?.replace(/Message(Chunk)?$/, '').toLowerCase() ?? null;
  } else if (isObject(value.data) && kind !== null) inner = value.data;
  if (!isObject(inner) || inner.content === undefined || kind === null) return null;
  const role = ROLES[kind] ?? kind;
  const parts = [...partsOf(inner.content, role, inner), ...callsOf(inner.tool_calls)];
  return { role, name: textOf(inner.name), finish: null, parts };
}

function partsOf(content: Json | undefined, role: string, inner: { [key: string]: Json }): Part[] {
  if (role === 'tool')
    return [{ kind: 'result', id: textOf(inner.tool_call_id), name: textOf(inner.name), result: content ?? null }];
  if (typeof content === 'string') return content === '' ? [] : [{ kind: 'text', text: content }];
  if (!Array.isArray(content)) return content == null ? [] : [{ kind: 'other', value: content }];
  return content.map((block) => {
    const text = textBlockIn(block);
    return text === null ? { kind: 'other', value: block } : { kind: 'text', text };
  });
}

function callsOf(calls: Json | undefined): Part[] {
  if (!Array.isArray(calls)) return [];
  return calls.filter(isObject).map((call) => ({
    kind: 'call',
    id: textOf(call.id),
    name: textOf(call.name) ?? 'tool',
    arguments: call.args ?? null,
    result: undefined,
    answered: false,
  }));
}

function textBlockIn(value: Json): string | null {
  if (!isObject(value) || typeof value.text !== 'string') return null;
  return Object.keys(value).every((key) => ['text', 'type', 'annotations', 'index', 'id'].includes(key))
    ? value.text
    : null;
}

/** Of a model's generation its message, else its text. */
function generationOf(generation: Json): Json {
  if (!isObject(generation)) return generation;
  return generation.message ?? { text: generation.text ?? '' };
}

function textOf(value: Json | undefined): string | null {
  return typeof value === 'string' ? value : null;
}
