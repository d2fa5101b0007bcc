/** What is new in a prompt: a model call of a loop sends everything again that the one before it sent and was answered. */
import type { Message, Part } from '../step-detail/messages';

export type Line =
  | { kind: 'same'; messages: Message[] }
  | { kind: 'changed'; before: Message; after: Message }
  | { kind: 'new'; message: Message };

/** The share of trigrams that two versions of a text have in common. */
const ALIKE_MIN = 0.4;
const COMPARED_CHARS_MAX = 20_000;

/**
 * @param before prompt and answer of the call that this one continues; null when there is none
 * @param now the prompt
 */
export function compareHistory(before: readonly Message[] | null, now: readonly Message[]): Line[] {
  if (before === null) return now.map((message) => ({ kind: 'new', message }));
  const keysBefore = before.map(keyOf);
  const keysNow = now.map(keyOf);
  const known = countsOf(keysBefore);
  // another conversation of the same agent
  if (!keysNow.some((key) => known.has(key))) return now.map((message) => ({ kind: 'new', message }));
  const kept = new Set(keysNow);
  const lines: Line[] = [];
  now.forEach((message, index) => {
    const key = keysNow[index] as number;
    const left = known.get(key) ?? 0;
    if (left > 0) {
      known.set(key, left - 1);
      const last = lines.at(-1);
      if (last?.kind === 'same') last.messages.push(message);
      else lines.push({ kind: 'same', messages: [message] });
      return;
    }
    const old = before[index];
    const replaced = old && roleOf(old) === roleOf(message) && !kept.has(keysBefore[index] as number);
    if (replaced && resembles(old, message)) lines.push({ kind: 'changed', before: old, after: message });
    else lines.push({ kind: 'new', message });
  });
  return lines;
}

/** A version of the same text, by the trigrams that both have: a diff of two other texts says nothing. */
function resembles(before: Message, after: Message): boolean {
  const [a, b] = [trigramsOf(before), trigramsOf(after)];
  let shared = 0;
  for (const trigram of a) if (b.has(trigram)) shared++;
  return 2 * shared >= ALIKE_MIN * (a.size + b.size);
}

function trigramsOf(message: Message): Set<string> {
  const text = message.parts
    .map((part) => (part.kind === 'text' ? part.text : JSON.stringify(part)))
    .join('\n')
    .slice(0, COMPARED_CHARS_MAX);
  const trigrams = new Set<string>();
  for (let i = 0; i + 3 <= text.length; i++) trigrams.add(text.slice(i, i + 3));
  return trigrams;
}

/** The results that a prompt has for the calls of an answer, by the id of the call. */
export function resultsIn(messages: readonly Message[]): Map<string, Extract<Part, { kind: 'call' }>> {
  const results = new Map<string, Extract<Part, { kind: 'call' }>>();
  for (const message of messages) {
    for (const part of message.parts) if (part.kind === 'call' && part.id && part.answered) results.set(part.id, part);
  }
  return results;
}

/** The calls of an answer with the results that the next prompt of the agent has for them. */
export function withResults(answer: Message, next: readonly Message[]): Message {
  const results = resultsIn(next);
  const parts = answer.parts.map((part) =>
    part.kind === 'call' && !part.answered && part.id ? (results.get(part.id) ?? part) : part,
  );
  return { ...answer, parts };
}

function countsOf(keys: readonly number[]): Map<number, number> {
  const counts = new Map<number, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts;
}

function roleOf(message: Message): string {
  return message.role === 'developer' ? 'system' : message.role;
}

const keys = new WeakMap<Message, number>();

/** A hash of what a message says; of a call without its result, which the prompt after it has. */
export function keyOf(message: Message): number {
  const known = keys.get(message);
  if (known !== undefined) return known;
  const said = message.parts.map((part) => {
    if (part.kind === 'text') return part.text.trim();
    // providers hide or drop it when it is sent again
    if (part.kind === 'reasoning') return '';
    return part.kind === 'call' ? `${part.name}(${JSON.stringify(part.arguments)})` : JSON.stringify(part);
  });
  const key = hash(`${roleOf(message)}\n${said.filter(Boolean).join('\n')}`);
  keys.set(message, key);
  return key;
}

/** 53 bits (cyrb53): of a million texts two are alike by chance in one of 20,000 tasks. */
function hash(text: string): number {
  let high = 0xdeadbeef;
  let low = 0x41c6ce57;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    high = Math.imul(high ^ unit, 2654435761);
    low = Math.imul(low ^ unit, 1597334677);
  }
  high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909);
  low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909);
  return 4_294_967_296 * (2_097_151 & low) + (high >>> 0);
}
