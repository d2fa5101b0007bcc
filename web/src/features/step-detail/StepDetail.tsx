import { useQuery } from '@tanstack/react-query';
import { useEffect, useMemo, useRef, useSyncExternalStore } from 'react';
import { asApiError } from '../../api/problems';
import { queryClient, stepQuery } from '../../api/queries';
import type { Payload, Slot, Step } from '../../api/types';
import { useVisitor } from '../../app/visitor';
import { outranks } from '../../fold/fold';
import { CopyButton, ErrorStrip } from '../../ui/controls';
import { Icon, StatusPill, TypeTile } from '../../ui/Icon';
import { useMarks } from '../../ui/useMarks';
import { parseFilter } from '../execution-log/filter';
import type { LiveTask } from '../execution-log/live-task';
import { Silence } from '../execution-log/TraceStep';
import { NONE, type StepTable } from '../execution-log/table';
import type { Tree } from '../execution-log/tree';
import { ScoresSection } from '../scores/ScoresSection';
import { PlainText } from '../text/PlainText';
import { attributesOf, Original } from './Attributes';
import { ErrorCard } from './ErrorCard';
import { Facts } from './facts';
import { JsonView } from './Json';
import { LogSection } from './LogSection';
import { Markdown } from './Markdown';
import { isObject, type Json } from './messages';
import { PayloadView } from './PayloadView';
import { Section } from './Section';
import { sameKind } from './same-kind';
import { isBehind, payloadsAt, stepWith } from './step';
import { ToolsOffered } from './ToolsOffered';
import { offeredTools } from './tools-offered';
import { WaitCard } from './WaitCard';
import './step-detail.css';
import './messages.css';
import './content.css';
import './documents.css';

/** Types of steps whose output is a list of documents. */
const FINDS: ReadonlySet<string> = new Set(['retrieval', 'rerank', 'memory']);
const POLL_MS = 1_000;
/** Afterwards the tables are late because the projector has a backlog, and the page asks less often. */
const FAST_POLLS_MAX = 40;
const SLOW_POLL_MS = 5_000;
/** A longer stream is drawn as plain text until it is complete: each piece would parse all of it again. */
const STREAM_MARKDOWN_MAX = 60_000;

interface StepDetailProps {
  project: string;
  task: string;
  stepId: string;
  live: LiveTask;
  table: StepTable;
  tree: Tree;
  version: number;
  /** the filter of the steps: its words are marked */
  found: string;
  onClose: () => void;
  onSelect: (stepId: string) => void;
}

/** The selected step: its error first, then output, input and the rest. */
export function StepDetail(props: StepDetailProps) {
  const { project, task, stepId, live, table, tree } = props;
  const query = stepQuery(project, task, stepId);
  const answer = useQuery({
    ...query,
    refetchInterval: ({ state }) => {
      if (!isBehind(state.data, live.stateOf(stepId))) return false;
      return state.dataUpdateCount < FAST_POLLS_MAX ? POLL_MS : SLOW_POLL_MS;
    },
    retry: (failures, error) => {
      const problem = asApiError(error);
      // a frame may be faster than the tables behind REST
      return (
        (problem.status === 404 && live.stateOf(stepId) !== null && failures < 10) ||
        (problem.transient && failures < 3)
      );
    },
    retryDelay: 400,
  });
  const visitor = useVisitor();
  const state = live.stateOf(stepId);
  const stamp = state?.stamp ?? null;
  const known = answer.data?.step.stamps.document ?? null;
  const newer = outranks(stamp, known);
  const asked = useRef<unknown>(null);
  useEffect(() => {
    if (!newer || asked.current === stamp || answer.isFetching) return;
    asked.current = stamp;
    // the projector needs some milliseconds more than the live way
    const timer = setTimeout(() => void queryClient.invalidateQueries({ queryKey: query.queryKey }), 250);
    return () => clearTimeout(timer);
  }, [newer, stamp, answer.isFetching, query.queryKey]);

  const step = useMemo(
    () => stepWith(task, stepId, live.isPast ? null : (answer.data?.step ?? null), state),
    [task, stepId, answer.data, state, live.isPast],
  );
  const top = useRef<HTMLDivElement>(null);
  useEffect(() => {
    void stepId;
    top.current?.scrollTo({ top: 0 });
  }, [stepId]);

  const words = useMemo(() => parseFilter(props.found).words, [props.found]);
  const shownFor = useRef('');
  useMarks('detail-found', top, words, (first) => {
    // once for each step and filter: afterwards the reader scrolls
    const key = `${stepId} ${props.found}`;
    if (first === null || shownFor.current === key) return;
    shownFor.current = key;
    const box = first.getBoundingClientRect();
    const pane = top.current?.getBoundingClientRect();
    if (pane && (box.top < pane.top || box.bottom > pane.bottom))
      top.current?.scrollBy({ top: box.top - pane.top - pane.height / 3 });
  });

  const payloads = payloadsAt(live, stepId, answer.data?.payloads);
  const slot = (name: Slot): Payload | null => payloads?.find((payload) => payload.slot === name) ?? null;
  const row = table.rowOf(stepId);
  const open = step?.status === 'running' || step?.status === 'waiting';
  const original = slot('original')?.text ?? null;
  const parameters = step?.parameters ?? null;
  const tools = useMemo(() => offeredTools(attributesOf(original), parameters), [original, parameters]);
  const writing = useWriting(live, stepId);
  const loading = answer.isPending && !answer.error;

  return (
    <div className="detail-body" ref={top} id="detail" tabIndex={-1}>
      {answer.isFetching && !answer.data ? <div className="loading-bar" /> : null}
      {step ? (
        <>
          <Head step={step} {...props} />
          <Facts step={step} table={table} tree={tree} row={row} />
          {open && row !== NONE ? (
            <div className="detail-silence">
              <Silence lastEventUs={Math.max(table.lastEventUsOf(row), step.progress?.at_us ?? 0)} />
            </div>
          ) : null}
          {step.status === 'waiting' ? <WaitCard step={step} /> : null}
          {step.error && step.status === 'error' ? (
            <ErrorCard error={step.error} stack={slot('error_stack')?.text ?? null} />
          ) : null}
          {answer.error && !newer ? (
            <ErrorStrip
              error={asApiError(answer.error)}
              doing="Cannot load this step"
              onRetry={() => answer.refetch()}
            />
          ) : null}
          <StreamView live={live} stepId={stepId} covered={slot('output')?.text != null} />
          {visitor && !visitor.payloads ? null : (
            <LogSection project={project} task={task} stepId={stepId} live={live} open={open} />
          )}
          {loading ? (
            <Ghost />
          ) : (
            <>
              {open && writing ? null : (
                <PayloadView
                  title="Output"
                  payload={slot('output')}
                  status={step.status}
                  memory={`${step.type}.output`}
                  found={FINDS.has(step.type)}
                />
              )}
              <PayloadView title="Input" payload={slot('input')} status={step.status} memory={`${step.type}.input`} />
            </>
          )}
          {visitor ? null : <ScoresSection project={project} task={task} step={stepId} live={live} />}
          <ToolsOffered tools={tools} memory={step.type} />
          {step.parameters ? <Parameters text={step.parameters} memory={step.type} /> : null}
          {original ? <Original text={original} memory={step.type} /> : null}
          <Section title="Raw" memory={`${step.type}.raw`} startsCollapsed>
            <JsonView value={step as unknown as Json} depth={1} />
          </Section>
        </>
      ) : answer.error ? (
        <ErrorStrip error={asApiError(answer.error)} doing="Cannot load this step" onRetry={() => answer.refetch()} />
      ) : (
        <Ghost />
      )}
    </div>
  );
}

function Ghost() {
  return (
    <div className="detail-ghost" aria-hidden="true">
      <div className="ghost" style={{ height: 20, width: '40%' }} />
      <div className="ghost" style={{ height: 96 }} />
      <div className="ghost" style={{ height: 20, width: '30%' }} />
      <div className="ghost" style={{ height: 96 }} />
    </div>
  );
}

function Head({ step, table, tree, stepId, onClose, onSelect }: StepDetailProps & { step: Step }) {
  const row = table.rowOf(stepId);
  const up = row === NONE ? NONE : (tree.above[row] as number);
  return (
    <header className="detail-head">
      <TypeTile type={step.type} large />
      <h2 className="cut" title={step.name}>
        {step.name}
      </h2>
      <StatusPill status={step.status} />
      <span style={{ flex: 1 }} />
      <SameKind icon="back" word="Previous" to={sameKind(table, tree, row, -1)} table={table} onSelect={onSelect} />
      <SameKind icon="next" word="Next" to={sameKind(table, tree, row, 1)} table={table} onSelect={onSelect} />
      {up === NONE ? null : (
        <button
          type="button"
          className="button plain small square"
          aria-label="Go to the parent step"
          title={`Parent: ${table.names.at(table.name[up])}`}
          onClick={() => onSelect(table.ids[up] as string)}
        >
          <Icon name="up" />
        </button>
      )}
      <CopyButton text={() => location.href} what="a link to this step" icon="link" />
      <button
        type="button"
        className="button plain small square"
        aria-label="Close step"
        title="Close (Esc)"
        onClick={onClose}
      >
        <Icon name="close" />
      </button>
    </header>
  );
}

interface SameKindProps {
  icon: string;
  word: string;
  to: number;
  table: StepTable;
  onSelect: (stepId: string) => void;
}

/** To the step before or after of the same type and name. */
function SameKind({ icon, word, to, table, onSelect }: SameKindProps) {
  if (to === NONE) return null;
  return (
    <button
      type="button"
      className="button plain small square"
      aria-label={`${word} step of this name`}
      title={`${word} ${table.names.at(table.name[to])}`}
      onClick={() => onSelect(table.ids[to] as string)}
    >
      <Icon name={icon} />
    </button>
  );
}

function Parameters({ text, memory }: { text: string; memory: string }) {
  const value = useMemo(() => {
    try {
      return JSON.parse(text) as Json;
    } catch {
      return null;
    }
  }, [text]);
  const line = isObject(value)
    ? Object.entries(value)
        .map(([name, inner]) => `${name} ${typeof inner === 'object' ? '…' : String(inner).slice(0, 100)}`)
        .slice(0, 20)
        .join(' · ')
    : text.slice(0, 400);
  return (
    <Section title="Parameters" memory={`${memory}.parameters`} startsCollapsed summary={line}>
      {value === null ? <pre className="code-block">{text}</pre> : <JsonView value={value} />}
    </Section>
  );
}

/** Whether output is being streamed: changes once a step, not with each piece. */
function useWriting(live: LiveTask, stepId: string): boolean {
  return useSyncExternalStore(
    (listener) => live.streams.subscribe(stepId, listener),
    () => (live.streams.of(stepId)?.text ?? '') !== '',
  );
}

/** Output as it is being written. Only this part draws again for each piece. */
function StreamView({ live, stepId, covered }: { live: LiveTask; stepId: string; covered: boolean }) {
  useSyncExternalStore(
    (listener) => live.streams.subscribe(stepId, listener),
    () => live.streams.versionOf(stepId),
  );
  const stream = live.streams.of(stepId);
  if (!stream) return null;
  const writing = stream.text !== '' && !covered;
  return (
    <>
      {writing ? (
        <section className="detail-section">
          <div className="section-head">
            <h3 className="stream-title">{stream.finished ? 'Output' : 'Output (streaming)'}</h3>
          </div>
          <div className={stream.finished ? 'stream-text' : 'stream-text writing'} aria-live="off">
            {stream.cut ? <p className="faint">… earlier output was sent before this page was opened</p> : null}
            {stream.text.length > STREAM_MARKDOWN_MAX ? (
              <PlainText text={stream.text} />
            ) : (
              <Markdown text={stream.text} />
            )}
          </div>
        </section>
      ) : null}
    </>
  );
}
