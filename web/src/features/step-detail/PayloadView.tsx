import { useMemo } from 'react';
import type { Payload, Status } from '../../api/types';
import { usePreference } from '../../app/preferences';
import { CopyButton, Segmented } from '../../ui/controls';
import { bytes, plural } from '../../ui/format';
import { useTextJob } from '../text/useTextJob';
import { Documents } from './Documents';
import { documentsIn, type FoundDocument } from './documents';
import { JsonView } from './Json';
import { Messages } from './Messages';
import { type Json, type Message, parseMessages } from './messages';
import { Section } from './Section';
import { LongText } from './Text';
import { unwrap } from './unwrap';

export const MESSAGES_MIME = 'application/vnd.ams.messages+json';

type Form = 'text' | 'markdown' | 'json';

export type Content =
  | { kind: 'messages'; messages: Message[] }
  | { kind: 'json'; value: Json }
  | { kind: 'text'; text: string };

/** What is shown: of a retrieval also its documents. */
type Shown = Content | { kind: 'documents'; documents: FoundDocument[] };

const FORMS = [
  { value: 'text', label: 'Text' },
  { value: 'markdown', label: 'Markdown' },
  { value: 'json', label: 'Raw' },
] as const;

interface PayloadViewProps {
  title: string;
  payload: Payload | null;
  /** explains an absent text */
  status: Status;
  memory: string;
  /** a list of documents is shown as such: what a retrieval found */
  found?: boolean;
}

export function PayloadView({ title, payload, status, memory, found = false }: PayloadViewProps) {
  const [form, setForm] = usePreference('payload.form', 'markdown');
  const text = payload?.text ?? null;
  const mime = payload?.mime ?? '';
  const truncated = payload?.truncated ?? false;
  const content = useMemo((): Shown | null => {
    if (text === null) return null;
    const read = readContent(text, mime, truncated);
    const documents = found && read.kind === 'json' ? documentsIn(read.value) : null;
    return documents === null ? read : { kind: 'documents', documents };
  }, [text, mime, truncated, found]);
  return (
    <Section
      title={title}
      memory={memory}
      summary={payload && text !== null ? summaryOf(payload, content) : null}
      actions={
        text === null ? null : (
          <>
            <Segmented
              label={`${title} as`}
              value={shownForm(form as Form, content)}
              options={formsOf(content)}
              onChange={setForm}
              small
            />
            <CopyButton text={text} what={`the ${title.toLowerCase()}`} />
          </>
        )
      }
    >
      {text === null || content === null ? (
        <p className="payload-absent">
          {absenceSentence(payload?.absent ?? 'not_here_yet', title.toLowerCase(), status)}
        </p>
      ) : form === 'json' ? (
        <pre className="code-block">
          <RawText text={text} isJson={content.kind !== 'text'} />
        </pre>
      ) : content.kind === 'messages' ? (
        <Messages messages={content.messages} markdown={form === 'markdown'} />
      ) : content.kind === 'documents' ? (
        <Documents documents={content.documents} markdown={form === 'markdown'} />
      ) : content.kind === 'json' ? (
        <JsonView value={content.value} />
      ) : (
        <div className="payload-plain">
          <LongText text={content.text} markdown={form === 'markdown' && mime !== 'application/json'} />
        </div>
      )}
      {truncated && payload ? (
        <p className="cut-note">
          Truncated: showing the first {bytes(new Blob([text ?? '']).size)}
          {payload.bytes === null ? '' : ` of ${bytes(payload.bytes)}`}.
        </p>
      ) : null}
    </Section>
  );
}

function formsOf(content: Shown | null): (typeof FORMS)[number][] {
  return FORMS.filter(({ value }) => value !== 'markdown' || content?.kind !== 'json');
}

/** The chosen form, or the first one where the content does not have it: one of the buttons is always pressed. */
function shownForm(form: Form, content: Shown | null): Form {
  return formsOf(content).some(({ value }) => value === form) ? form : 'text';
}

/** A payload as what its MIME type says, or as text when it is not that. */
export function readContent(text: string, mime: string, truncated: boolean): Content {
  if (mime === MESSAGES_MIME) {
    const messages = parseMessages(text, truncated);
    if (messages) return { kind: 'messages', messages };
  }
  if (!truncated && mime.endsWith('json')) {
    try {
      const value = JSON.parse(text) as Json;
      const inner = unwrap(value);
      if (inner) return inner;
      if (typeof value !== 'string') return { kind: 'json', value };
      return { kind: 'text', text: value };
    } catch {
      // not what its MIME type says: shown as text
    }
  }
  return (truncated ? null : unwrap(text)) ?? { kind: 'text', text };
}

function summaryOf(payload: Payload, content: Shown | null): string {
  const parts = payload.bytes === null ? [] : [bytes(payload.bytes)];
  if (content?.kind === 'messages') parts.unshift(plural(content.messages.length, 'message'));
  if (content?.kind === 'documents') parts.unshift(plural(content.documents.length, 'document'));
  if (payload.truncated) parts.push('truncated');
  return parts.join(' · ');
}

/** The text itself; JSON with one value on a line, in colours where it is short. */
function RawText({ text, isJson }: { text: string; isJson: boolean }) {
  const indented = useTextJob(isJson ? { kind: 'indent', text } : null) ?? text;
  return <LongText text={indented} mono language={isJson ? 'json' : ''} />;
}

export function absenceSentence(absent: Payload['absent'], what: string, status: Status): string {
  const open = status === 'running' || status === 'waiting';
  if (absent === 'not_shared') return `This link does not show the ${what}.`;
  if (absent === 'too_large') return `The ${what} was too large and was not sent.`;
  if (open && what === 'output') return 'No output yet. The step is still running.';
  if (absent === 'not_here_yet') return `The ${what} has not arrived yet. It is sent separately and follows shortly.`;
  if (status === 'error' && what === 'output') return 'No output because the step failed.';
  if (status === 'lost' && what === 'output')
    return 'No output. The agent stopped sending events before the step ended.';
  return `No ${what} recorded.`;
}
