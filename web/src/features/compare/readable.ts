/** A payload as text whose words can be compared: messages by role, JSON with line breaks, other text as it is. */
import type { Payload } from '../../api/types';
import { type Json, type Part, parseMessages } from '../step-detail/messages';
import { MESSAGES_MIME } from '../step-detail/PayloadView';

export function readableText(payload: Pick<Payload, 'text' | 'mime' | 'truncated'> | undefined): string {
  const text = payload?.text ?? '';
  if (text === '') return '';
  if (payload?.mime === MESSAGES_MIME) {
    const messages = parseMessages(text, payload.truncated);
    if (messages) {
      return messages.map(({ role, parts }) => `${role}: ${parts.map(partText).join('\n')}`).join('\n\n');
    }
  }
  try {
    return json(JSON.parse(text) as Json);
  } catch {
    return text;
  }
}

function partText(part: Part): string {
  switch (part.kind) {
    case 'text':
    case 'refusal':
    case 'reasoning':
      return part.text;
    case 'call':
      return `${part.name}(${json(part.arguments)})${part.result === undefined ? '' : ` = ${json(part.result)}`}`;
    case 'result':
      return json(part.result);
    case 'media':
      return `[${part.mime} ${part.sha256 ?? part.uri ?? part.name ?? ''}] ${part.transcript ?? ''}`;
    default:
      return json(part.value);
  }
}

function json(value: Json): string {
  return typeof value === 'string' ? value : JSON.stringify(value, null, 2);
}
