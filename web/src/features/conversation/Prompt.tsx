import { useMemo } from 'react';
import { bytes, plural } from '../../ui/format';
import { MessageCard } from '../step-detail/Messages';
import { type Message, sizeOf, wordsOf } from '../step-detail/messages';
import { Fold } from './Fold';
import { compareHistory, type Line } from './history';
import { wordDiff } from './word-diff';

/** Of a history that no turn above has shown, the last messages are what the model answered to. */
const SHOWN = 5;

interface PromptProps {
  /** of the step, for the names of folds */
  stepId: string;
  messages: Message[];
  /** prompt and answer of the turn that this one continues; null when there is none */
  before: Message[] | null;
  /** the number of that turn */
  beforeTurn: number;
  onTurn: (turn: number) => void;
  markdown: boolean;
}

/** What is new in a prompt; the rest is folded. */
export function Prompt(props: PromptProps) {
  const { stepId, messages, before } = props;
  const lines = useMemo(() => compareHistory(before, messages), [before, messages]);
  const fresh = lines.filter((line) => line.kind === 'new' && !isSystem(line.message));
  const hidden = new Set<Line>(fresh.length > SHOWN + 2 ? fresh.slice(0, -SHOWN) : []);
  const folded = fresh.filter((line) => hidden.has(line));
  let isFoldDrawn = false;
  return (
    <>
      {lines.map((line, index) => {
        if (hidden.has(line)) {
          if (isFoldDrawn) return null;
          isFoldDrawn = true;
          return <Earlier key={index} name={`${stepId}.earlier`} lines={folded} markdown={props.markdown} />;
        }
        return <PromptLine key={index} line={line} index={index} {...props} />;
      })}
    </>
  );
}

function PromptLine({
  line,
  index,
  stepId,
  beforeTurn,
  onTurn,
  markdown,
}: PromptProps & { line: Line; index: number }) {
  if (line.kind === 'same') {
    return (
      <Fold
        name={`${stepId}.${index}`}
        label={`${plural(line.messages.length, 'earlier message')}, same as`}
        more={
          <button type="button" className="turn-link" onClick={() => onTurn(beforeTurn)}>
            turn {beforeTurn}
          </button>
        }
      >
        <Cards messages={line.messages} markdown={markdown} />
      </Fold>
    );
  }
  if (line.kind === 'changed') return <Changed before={line.before} after={line.after} />;
  if (isSystem(line.message)) {
    return (
      <Fold name={`${stepId}.${index}`} label={`System prompt · ${bytes(sizeOf(line.message))}`}>
        <MessageCard message={line.message} markdown={markdown} />
      </Fold>
    );
  }
  return <MessageCard message={line.message} markdown={markdown} />;
}

function Earlier({ name, lines, markdown }: { name: string; lines: Line[]; markdown: boolean }) {
  return (
    <Fold name={name} label={plural(lines.length, 'earlier message')}>
      <Cards messages={lines.flatMap((line) => (line.kind === 'new' ? [line.message] : []))} markdown={markdown} />
    </Fold>
  );
}

function Cards({ messages, markdown }: { messages: Message[]; markdown: boolean }) {
  return (
    <div className="message-list">
      {messages.map((message, index) => (
        <MessageCard key={index} message={message} markdown={markdown} />
      ))}
    </div>
  );
}

/** A message that was sent before with other words. */
function Changed({ before, after }: { before: Message; after: Message }) {
  const pieces = useMemo(() => wordDiff(wordsOf(before), wordsOf(after)), [before, after]);
  if (pieces === null) return <MessageCard message={after} markdown={false} />;
  return (
    <article className="turn-changed" aria-label={`Changed ${after.role} message`}>
      <header>
        <span className="role">{after.role}</span> <span className="chip">changed</span>
      </header>
      <div className="text-body" dir="auto">
        {pieces.map((piece, index) =>
          piece.kind === 'added' ? (
            <ins key={index}>{piece.text}</ins>
          ) : piece.kind === 'removed' ? (
            <del key={index}>{piece.text}</del>
          ) : (
            <Same key={index} text={piece.text} />
          ),
        )}
      </div>
    </article>
  );
}

const CONTEXT = 160;

/** Unchanged words, with a long middle left out. */
function Same({ text }: { text: string }) {
  if (text.length <= 3 * CONTEXT) return <span>{text}</span>;
  return (
    <span>
      {text.slice(0, CONTEXT)} <span className="faint">… {bytes(text.length - 2 * CONTEXT)} unchanged …</span>{' '}
      {text.slice(-CONTEXT)}
    </span>
  );
}

function isSystem(message: Message): boolean {
  return message.role === 'system' || message.role === 'developer';
}
