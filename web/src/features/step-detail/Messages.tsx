import { useMemo, useState } from 'react';
import { CopyButton } from '../../ui/controls';
import { bytes, plural } from '../../ui/format';
import { Icon } from '../../ui/Icon';
import { JsonView } from './Json';
import { Media } from './Media';
import { argumentsLine, isObject, type Json, type Message, type Part, sizeOf, structureIn, wordsOf } from './messages';
import { LongText } from './Text';

/** Of a long history the last ones are what the model answered to. */
const SHOWN = 5;
const MORE = 50;
/** Of a message, so many parts are drawn at first. */
const PARTS = 50;

interface MessagesProps {
  messages: Message[];
  markdown: boolean;
}

export function Messages({ messages, markdown }: MessagesProps) {
  const [shown, setShown] = useState(SHOWN);
  const hidden = messages.length <= shown + 2 ? 0 : messages.length - shown;
  return (
    <div className="message-list">
      {messages.slice(0, hidden > 0 ? 1 : 0).map((message, index) => (
        <MessageCard key={index} message={message} markdown={markdown} />
      ))}
      {hidden > 1 ? (
        <button type="button" className="button small message-earlier" onClick={() => setShown(shown + MORE)}>
          <Icon name="expand" /> {plural(hidden - 1, 'earlier message')}
        </button>
      ) : null}
      {messages.slice(hidden).map((message, index) => (
        <MessageCard key={hidden + index} message={message} markdown={markdown} />
      ))}
    </div>
  );
}

function roleKind(role: string): string {
  if (role === 'system' || role === 'developer') return 'system';
  return role === 'user' || role === 'assistant' || role === 'tool' ? role : 'other';
}

export function MessageCard({ message, markdown }: { message: Message; markdown: boolean }) {
  const kind = roleKind(message.role);
  const words = useMemo(() => wordsOf(message), [message]);
  const size = useMemo(() => sizeOf(message), [message]);
  const long = words.length > 200 || words.split('\n', 4).length > 2;
  const [collapsed, setCollapsed] = useState(kind === 'system' && long);
  return (
    <article className="message-card" data-role={kind}>
      <header>
        <span className="role">{message.role}</span>
        {message.name ? <span className="quiet">{message.name}</span> : null}
        {message.finish && message.finish !== 'stop' ? <span className="chip">{message.finish}</span> : null}
        <span className="size tnum">{bytes(size)}</span>
        <CopyButton text={words} what={`the ${message.role} message`} />
      </header>
      {collapsed ? (
        <>
          <div dir="auto" className="text-body clamped">
            {words.slice(0, 400)}
          </div>
          <button type="button" className="button small plain more" onClick={() => setCollapsed(false)}>
            Show all
          </button>
        </>
      ) : (
        <Parts parts={message.parts} markdown={markdown} />
      )}
      {message.parts.length === 0 ? <p className="faint">No content</p> : null}
    </article>
  );
}

function Parts({ parts, markdown }: { parts: Part[]; markdown: boolean }) {
  const [shown, setShown] = useState(PARTS);
  return (
    <>
      {parts.slice(0, shown).map((part, index) => (
        <PartView key={index} part={part} markdown={markdown} />
      ))}
      {parts.length > shown ? (
        <button type="button" className="button small more" onClick={() => setShown(shown + MORE)}>
          {plural(parts.length - shown, 'more part')}
        </button>
      ) : null}
    </>
  );
}

function PartView({ part, markdown }: { part: Part; markdown: boolean }) {
  switch (part.kind) {
    case 'text':
      return <Words text={part.text} markdown={markdown} />;
    case 'reasoning':
      return <Reasoning text={part.text} />;
    case 'call':
      return <Call part={part} />;
    case 'result':
      return (
        <div className="message-call">
          <p className="call-head">
            <Icon name="tool" /> <b>{part.name ?? 'result'}</b>
          </p>
          <Value value={part.result} />
        </div>
      );
    case 'media':
      return <Media part={part} />;
    case 'refusal':
      return (
        <div className="message-refusal">
          <p className="call-head">Refused</p>
          <LongText text={part.text} />
        </div>
      );
    default:
      return <JsonView value={part.value} />;
  }
}

/** Structured output is a tree, everything else what it says. */
function Words({ text, markdown }: { text: string; markdown: boolean }) {
  const value = useMemo(() => (markdown ? structureIn(text) : null), [text, markdown]);
  return value === null ? <LongText text={text} markdown={markdown} /> : <JsonView value={value} depth={3} />;
}

function Reasoning({ text }: { text: string }) {
  if (!text) return <p className="faint">Reasoning hidden by the provider</p>;
  return (
    <details className="message-reasoning">
      <summary>Reasoning · {bytes(text.length)}</summary>
      <LongText text={text} />
    </details>
  );
}

/** A call and what it answered, together. */
function Call({ part }: { part: Extract<Part, { kind: 'call' }> }) {
  const flat = argumentsLine(part.arguments, 90);
  const short = !flat.endsWith('…') && flat.length < 90;
  const failed = isObject(part.result) && ('error' in part.result || part.result.is_error === true);
  return (
    <div className={failed ? 'message-call failed' : 'message-call'}>
      <p className="call-head">
        <Icon name="tool" /> <b>{part.name}</b> {short ? <span className="quiet cut">{flat}</span> : null}
        {part.id ? <span className="call-id cut">{part.id}</span> : null}
      </p>
      {short ? null : <Value value={part.arguments} />}
      {part.answered && part.result !== undefined ? (
        <div className="call-result">
          <Value value={part.result} />
        </div>
      ) : null}
    </div>
  );
}

export function Value({ value }: { value: Json }) {
  return typeof value === 'string' ? <LongText text={value} mono /> : <JsonView value={value} />;
}
