import { memo, type ReactNode, useSyncExternalStore } from 'react';
import { STATUSES, STEP_TYPES, type Status, type Step } from '../../api/types';
import { cost, count, duration, exactCost, plural } from '../../ui/format';
import { Icon, StatusMark, TypeTile } from '../../ui/Icon';
import type { LiveTask } from '../execution-log/live-task';
import { NONE, type StepTable } from '../execution-log/table';
import { ErrorCard } from '../step-detail/ErrorCard';
import { JsonView } from '../step-detail/Json';
import { Markdown } from '../step-detail/Markdown';
import { MessageCard, Value } from '../step-detail/Messages';
import type { Json, Message } from '../step-detail/messages';
import { argumentsLine } from '../step-detail/messages';
import { absenceSentence } from '../step-detail/PayloadView';
import { LongText } from '../step-detail/Text';
import { ToolList } from '../step-detail/ToolsOffered';
import type { OfferedTool } from '../step-detail/tools-offered';
import { WaitCard } from '../step-detail/WaitCard';
import { type Content, messagesOf, type Side } from './contents';
import { Fold } from './Fold';
import { withResults } from './history';
import { Prompt } from './Prompt';

const COLORS = 8;
const ARGUMENTS_CHARS = 100;

export interface TurnProps {
  table: StepTable;
  row: number;
  live: LiveTask;
  /** from 1; 0 for what is not a model call */
  turn: number;
  turns: number;
  /** who acts, by name and by the order of appearance; '' and NONE when it is not known */
  agent: string;
  speaker: number;
  /** as it was fetched, or as later frames have it; null while it is not loaded */
  step: Step | null;
  content: Content | null;
  /** of the turn that this one continues; undefined while it is not loaded, null when there is none */
  before: Content | null | undefined;
  beforeTurn: number;
  /** of the turn that continues this one: it has the results of the calls */
  after: Content | null;
  /** by the name of a called tool the step that did it, which has a card of its own */
  callRows: ReadonlyMap<string, number>;
  selected: boolean;
  markdown: boolean;
  onSelect: (row: number) => void;
  onTurn: (turn: number) => void;
}

/** A model call, a tool call or another step of the conversation. */
export function Turn(props: TurnProps) {
  const { table, row, turn, turns, agent, selected, onSelect, onTurn } = props;
  const type = STEP_TYPES[table.type[row] as number] ?? 'span';
  const status = STATUSES[table.status[row] as number] ?? 'ok';
  const name = table.names.at(table.name[row]) || 'Unnamed step';
  return (
    <article
      className="turn-card"
      aria-label={turn > 0 ? `Turn ${turn} of ${turns}${agent ? `, ${agent}` : ''}` : `${type} ${name}`}
      aria-current={selected ? 'true' : undefined}
      data-agent={props.speaker < 0 ? undefined : props.speaker % COLORS}
    >
      <header className="turn-head">
        {agent ? (
          <span className="turn-agent cut" title={`Agent: ${agent}`}>
            {agent}
          </span>
        ) : null}
        <button type="button" className="turn-name" onClick={() => onSelect(row)} title="Show this step">
          <TypeTile type={type} />
          <span className="cut">{name}</span>
        </button>
        <StatusMark status={status} />
        <span className="turn-facts tnum">{factsOf(table, row)}</span>
        {turn > 0 ? (
          <span className="turn-number tnum">
            turn {turn}/{turns}
            <TurnButton to={turn - 1} of={turns} icon="up" name="Previous turn" onTurn={onTurn} />
            <TurnButton to={turn + 1} of={turns} icon="down" name="Next turn" onTurn={onTurn} />
          </span>
        ) : null}
      </header>
      {status === 'waiting' && props.step ? <WaitCard step={props.step} /> : null}
      {turn > 0 ? <ModelCall {...props} status={status} /> : <Other {...props} status={status} type={type} />}
    </article>
  );
}

interface TurnButtonProps {
  to: number;
  of: number;
  icon: string;
  name: string;
  onTurn: (turn: number) => void;
}

function TurnButton({ to, of, icon, name, onTurn }: TurnButtonProps) {
  return (
    <button
      type="button"
      className="button plain small square"
      aria-label={name}
      title={name}
      disabled={to < 1 || to > of}
      onClick={() => onTurn(to)}
    >
      <Icon name={icon} />
    </button>
  );
}

function factsOf(table: StepTable, row: number): string {
  const known = (value: number | undefined) => (value === undefined || Number.isNaN(value) ? null : value);
  const input = known(table.input[row]);
  const output = known(table.output[row]);
  const price = known(table.cost[row]);
  return [
    table.models.at(table.model[row]),
    duration(known(table.duration[row])),
    input === null && output === null ? '' : `${count(input ?? 0)} → ${count(output ?? 0)} tokens`,
    price === null ? '' : (cost(price) ?? exactCost(price)),
  ]
    .filter(Boolean)
    .join(' · ');
}

function ModelCall(props: TurnProps & { status: Status }) {
  const { live, table, row, content, before, status } = props;
  const stepId = table.ids[row] as string;
  if (content === null || before === undefined) return <Ghost live={live} stepId={stepId} isOpen={table.open(row)} />;
  const prompt = messagesOf(content.input);
  const answer = messagesOf(content.output);
  return (
    <div className="message-list">
      {isNewList(content.tools, before?.tools) ? (
        <Fold
          name={`${stepId}.tools`}
          label={`${plural(content.tools.length, 'tool')} offered${before ? ', changed since the turn before' : ''}`}
        >
          <ToolList tools={content.tools} />
        </Fold>
      ) : null}
      {prompt ? (
        <Prompt
          stepId={stepId}
          messages={prompt}
          before={before === null ? null : [...(messagesOf(before.input) ?? []), ...(messagesOf(before.output) ?? [])]}
          beforeTurn={props.beforeTurn}
          onTurn={props.onTurn}
          markdown={props.markdown}
        />
      ) : (
        <Plain side={content.input} title="input" status={status} markdown={props.markdown} />
      )}
      {answer ? (
        answer.map((message, index) => (
          <Answer
            key={index}
            {...props}
            message={withResults(message, props.after ? (messagesOf(props.after.input) ?? []) : [])}
          />
        ))
      ) : content.output.content ? (
        <Plain side={content.output} title="output" status={status} markdown={props.markdown} />
      ) : (
        <Writing live={live} stepId={stepId} />
      )}
      {status === 'error' && content.step.error ? (
        <ErrorCard error={content.step.error} stack={null} label={`Error of turn ${props.turn}`} />
      ) : null}
      <Cut sides={[content.input, content.output]} />
    </div>
  );
}

/** Whether a turn was offered other tools than the one that it continues: the same ones are not repeated. */
function isNewList(tools: readonly OfferedTool[], before: readonly OfferedTool[] = []): boolean {
  const names = (list: readonly OfferedTool[]) => list.map(({ name }) => name).join('\n');
  return tools.length > 0 && names(tools) !== names(before);
}

/** An answer; calls whose tools have a card of their own are named only. */
function Answer({ message, callRows, table, onSelect, markdown }: TurnProps & { message: Message }) {
  const called = message.parts.flatMap((part) => (part.kind === 'call' && callRows.has(part.name) ? [part.name] : []));
  const parts = message.parts.filter((part) => part.kind !== 'call' || !callRows.has(part.name));
  return (
    <>
      {parts.length > 0 || called.length === 0 ? (
        <MessageCard message={{ ...message, parts }} markdown={markdown} />
      ) : null}
      {called.length > 0 ? (
        <p className="turn-calls">
          calls{' '}
          {called.map((name, index) => (
            <button
              key={index}
              type="button"
              className="turn-link mono"
              title={`Show the step of ${table.names.at(table.name[callRows.get(name) as number])}`}
              onClick={() => onSelect(callRows.get(name) as number)}
            >
              {name}
            </button>
          ))}
        </p>
      ) : null}
    </>
  );
}

/** A tool with its arguments and result as one card; any other step with its input and output. */
function Other({ live, table, row, content, status, markdown }: TurnProps & { status: Status; type: string }) {
  const stepId = table.ids[row] as string;
  if (content === null) return <Ghost live={live} stepId={stepId} isOpen={table.open(row)} />;
  const { input, output, step } = content;
  const isOpen = table.open(row);
  const flat = input.content?.kind === 'json' ? argumentsLine(input.content.value, ARGUMENTS_CHARS) : null;
  return (
    <div className="turn-call">
      {flat !== null && flat.length < ARGUMENTS_CHARS ? (
        <p className="turn-arguments mono">{flat}</p>
      ) : input.content ? (
        <Part>
          <Plain side={input} title="input" status={status} markdown={markdown} />
        </Part>
      ) : null}
      {output.content ? (
        <Part>
          <Plain side={output} title="output" status={status} markdown={markdown} />
        </Part>
      ) : isOpen ? (
        <Writing live={live} stepId={stepId} />
      ) : null}
      {status === 'error' && step.error ? (
        <ErrorCard error={step.error} stack={null} label={`Error of ${step.name} ${stepId}`} />
      ) : null}
      {!input.content && !output.content && !isOpen && status !== 'error' ? (
        <p className="faint">{absenceSentence('not_captured', 'input or output', status)}</p>
      ) : null}
      <Cut sides={[input, output]} />
    </div>
  );
}

function Part({ children }: { children: ReactNode }) {
  return <div className="turn-part">{children}</div>;
}

function Plain({ side, title, status, markdown }: { side: Side; title: string; status: Status; markdown: boolean }) {
  const { content } = side;
  if (content === null) return <p className="faint">{absenceSentence(side.absent as never, title, status)}</p>;
  if (content.kind === 'messages') {
    const result = onlyResult(content.messages);
    if (result !== undefined) return <Value value={result} />;
    return (
      <div className="message-list">
        {content.messages.map((message, index) => (
          <MessageCard key={index} message={message} markdown={markdown} />
        ))}
      </div>
    );
  }
  if (content.kind === 'json') {
    return typeof content.value === 'object' ? (
      <JsonView value={content.value} depth={1} />
    ) : (
      <Value value={content.value} />
    );
  }
  return <LongText text={content.text} markdown={markdown} />;
}

/** The result in a tool's own message: the card says whose it is. */
function onlyResult(messages: Message[]): Json | undefined {
  const [part, ...others] = messages.flatMap((message) => message.parts);
  return part?.kind === 'result' && others.length === 0 ? part.result : undefined;
}

function Cut({ sides }: { sides: Side[] }) {
  return sides.some((side) => side.truncated) ? (
    <p className="cut-note">Truncated: only the beginning was stored.</p>
  ) : null;
}

function Ghost({ live, stepId, isOpen }: { live: LiveTask; stepId: string; isOpen: boolean }) {
  return isOpen ? (
    <Writing live={live} stepId={stepId} />
  ) : (
    <div className="turn-ghost" aria-hidden="true">
      <div className="ghost" style={{ height: 48 }} />
    </div>
  );
}

/** What the model is writing. Only this draws again for each piece. */
const Writing = memo(function Writing({ live, stepId }: { live: LiveTask; stepId: string }) {
  useSyncExternalStore(
    (listener) => live.streams.subscribe(stepId, listener),
    () => live.streams.versionOf(stepId),
  );
  const stream = live.streams.of(stepId);
  if (!stream?.text) return <p className="faint turn-silent">No output yet.</p>;
  return (
    <div className={stream.finished ? 'stream-text' : 'stream-text writing'} aria-live="off">
      {stream.cut ? <p className="faint">… earlier output was sent before this page was opened</p> : null}
      <Markdown text={stream.text} />
    </div>
  );
});

export const NO_CALLS: ReadonlyMap<string, number> = new Map();

/** The steps that did what an answer calls: the next ones before the agent's next turn, by the name of the tool. */
export function callRowsOf(
  table: StepTable,
  rows: Int32Array,
  from: number,
  until: number,
  called: readonly string[],
): ReadonlyMap<string, number> {
  if (called.length === 0) return NO_CALLS;
  const found = new Map<string, number>();
  for (let index = from; index < Math.min(until, from + 200) && found.size < called.length; index++) {
    const row = rows[index] ?? NONE;
    if (row === NONE || STEP_TYPES[table.type[row] as number] === 'llm') continue;
    const name = table.names.at(table.name[row]);
    const call = called.find(
      (one) => !found.has(one) && (name === one || name.endsWith(` ${one}`) || name.endsWith(`.${one}`)),
    );
    if (call) found.set(call, row);
  }
  return found;
}
