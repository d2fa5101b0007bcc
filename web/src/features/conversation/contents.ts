/** Inputs and outputs of the steps on the screen: fetched in batches as they come into view, and kept while there is room. */
import { request } from '../../api/http';
import type { Step, StepAnswer, StepPayloads } from '../../api/types';
import type { LiveTask } from '../execution-log/live-task';
import { attributesOf } from '../step-detail/Attributes';
import type { Message } from '../step-detail/messages';
import { type Content as Parsed, readContent } from '../step-detail/PayloadView';
import { isBehind } from '../step-detail/step';
import { type OfferedTool, offeredTools } from '../step-detail/tools-offered';

const BATCH = 10;
/** The original has the definitions of tools; what inputs and outputs hold is not in it. */
const SLOTS = 'input,output,original';
const KEPT_CHARS_MAX = 24_000_000;
/** Payloads are sent apart from steps: what was announced is fetched again. */
const RETRY_MS = 1_000;
/** Afterwards the tables are late because the projector has a backlog, and the page asks less often. */
const FAST_TRIES_MAX = 30;
const SLOW_RETRY_MS = 5_000;

export interface Side {
  /** null when there is none: `absent` is the reason */
  content: Parsed | null;
  absent: string | null;
  truncated: boolean;
  /** of the complete text */
  bytes: number | null;
}

export interface Content {
  step: Step;
  input: Side;
  output: Side;
  /** that the model was offered */
  tools: readonly OfferedTool[];
}

interface Entry extends Content {
  chars: number;
  /** the service was asked so often */
  tries: number;
  fetchedAtMs: number;
}

export class Contents {
  /** what failed last; null after a success */
  error: unknown = null;
  private readonly entries = new Map<string, Entry>();
  private readonly listeners = new Set<() => void>();
  private wanted: string[] = [];
  private fetching = false;
  private chars = 0;
  private version = 0;

  constructor(
    private readonly address: string,
    private readonly live: LiveTask,
  ) {}

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  readonly getVersion = (): number => this.version;

  of(id: string): Content | null {
    return this.entries.get(id) ?? null;
  }

  /** These are needed now; what was wanted before and is not among them is not fetched any more. */
  want(ids: string[]): void {
    this.wanted = ids;
    if (!this.fetching) void this.fetch();
  }

  private async fetch(): Promise<void> {
    this.fetching = true;
    try {
      for (;;) {
        const missing = this.wanted.filter((id) => this.isMissing(id)).slice(0, BATCH);
        if (missing.length === 0) break;
        const page = await request<StepPayloads>(this.address, { query: { step_id: missing.join(','), slots: SLOTS } });
        for (const answer of page.items) this.keep(answer);
        // a frame may be faster than the tables behind REST: asked again when the rows change
        const known = new Set([...page.items.map((answer) => answer.step.step_id), ...page.omitted]);
        this.wanted = this.wanted.filter((id) => known.has(id) || !missing.includes(id));
        this.error = null;
        this.changed();
      }
    } catch (thrown) {
      this.error = thrown;
      this.changed();
    } finally {
      this.fetching = false;
    }
  }

  private isMissing(id: string): boolean {
    const entry = this.entries.get(id);
    if (!entry) return true;
    if (!isBehind({ step: entry.step, payloads: [entry.input, entry.output] }, this.live.stateOf(id))) return false;
    const pause = entry.tries < FAST_TRIES_MAX ? RETRY_MS : SLOW_RETRY_MS;
    return performance.now() - entry.fetchedAtMs > pause;
  }

  private keep({ step, payloads }: StepAnswer): void {
    const side = (slot: 'input' | 'output'): Side & { chars: number } => {
      const payload = payloads.find((one) => one.slot === slot);
      const text = payload?.text ?? null;
      return {
        content: text === null ? null : readContent(text, payload?.mime ?? '', payload?.truncated ?? false),
        absent: payload?.absent ?? null,
        truncated: payload?.truncated ?? false,
        bytes: payload?.bytes ?? null,
        chars: text?.length ?? 0,
      };
    };
    const [input, output] = [side('input'), side('output')];
    const original = step.type === 'llm' ? (payloads.find((one) => one.slot === 'original')?.text ?? null) : null;
    const before = this.entries.get(step.step_id);
    this.chars += input.chars + output.chars - (before?.chars ?? 0);
    this.entries.delete(step.step_id);
    this.entries.set(step.step_id, {
      step,
      input,
      output,
      tools: offeredTools(attributesOf(original), step.parameters),
      chars: input.chars + output.chars,
      tries: (before?.tries ?? 0) + 1,
      fetchedAtMs: performance.now(),
    });
    const needed = new Set(this.wanted);
    for (const [id, entry] of this.entries) {
      if (this.chars <= KEPT_CHARS_MAX) break;
      if (needed.has(id)) continue;
      this.entries.delete(id);
      this.chars -= entry.chars;
    }
  }

  private changed(): void {
    this.version++;
    for (const listener of this.listeners) listener();
  }
}

export function messagesOf(side: Side | undefined): Message[] | null {
  return side?.content?.kind === 'messages' ? side.content.messages : null;
}
