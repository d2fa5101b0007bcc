/** The words of steps for their rows: fetched in windows as rows become visible, and taken from frames where these are newer. */
import { useEffect, useMemo, useState } from 'react';
import { request } from '../../api/http';
import type { Stamp, Step, StepDocument, StepWindow } from '../../api/types';
import { compareStamps, statusOf } from '../../fold/fold';
import { clock, plainLine } from '../../ui/format';
import type { Said } from './labels';
import type { LiveTask } from './live-task';

const BATCH = 100;
const KEPT = 20_000;
const PAUSE_MS = 80;

interface Fetched {
  said: Said;
  stamp: Stamp | null;
  /** the step was over: what it says does not change any more */
  final: boolean;
}

class Previews {
  private readonly fetched = new Map<string, Fetched>();
  private readonly asked = new Set<string>();

  constructor(
    private readonly address: string,
    private readonly live: LiveTask,
  ) {}

  /** Null while nothing is known. */
  of(id: string): Said | null {
    const state = this.live.stateOf(id);
    const fetched = this.fetched.get(id);
    const isNewer = !fetched?.stamp || (state?.stamp != null && compareStamps(state.stamp, fetched.stamp) >= 0);
    if (state?.document && (isNewer || this.live.isPast)) return saidBy({ ...state.document, status: statusOf(state) });
    return fetched?.said ?? null;
  }

  /** Fetch what is missing of these, a batch at a time. Returns whether anything has come. */
  async want(ids: string[]): Promise<boolean> {
    const missing = [...new Set(ids)].filter((id) => this.isMissing(id));
    for (const id of missing) this.asked.add(id);
    try {
      for (let from = 0; from < missing.length; from += BATCH) await this.fetch(missing.slice(from, from + BATCH));
      return missing.length > 0;
    } catch {
      // these words are optional: rows are shown without them, and scrolling back fetches again
      return false;
    } finally {
      for (const id of missing) this.asked.delete(id);
    }
  }

  private isMissing(id: string): boolean {
    if (this.asked.has(id)) return false;
    const fetched = this.fetched.get(id);
    if (!fetched) return true;
    const row = this.live.table?.rowOf(id) ?? -1;
    return !fetched.final && row >= 0 && this.live.table?.ended(row) === true && !this.live.stateOf(id);
  }

  private async fetch(ids: string[]): Promise<void> {
    const page = await request<StepWindow>(this.address, { query: { step_id: ids.join(','), limit: BATCH } });
    if (this.fetched.size > KEPT) this.fetched.clear();
    for (const step of page.items) {
      this.fetched.set(step.step_id, {
        said: saidBy(step),
        stamp: step.stamps.document,
        final: step.status !== 'running' && step.status !== 'waiting',
      });
    }
  }
}

function saidBy(step: Step | StepDocument): Said {
  if (step.status === 'waiting') {
    const since = step.waiting_since_us == null ? '' : `, since ${clock(step.waiting_since_us, 0)}`;
    return {
      asked: plainLine(step.preview_input ?? ''),
      answered: `waits ${step.waiting_for ?? 'for a person'}${since}`,
    };
  }
  const answered = step.preview_output ?? (step.status === 'error' ? step.error?.message : null);
  return { asked: plainLine(step.preview_input ?? ''), answered: plainLine(answered ?? '') };
}

/** A function from step id to its words; the words of `ids` are fetched. */
export function usePreviews(project: string, task: string, live: LiveTask, ids: string[]): (id: string) => Said | null {
  const previews = useMemo(
    () => new Previews(`/api/traces/${project}/tasks/${task}/steps`, live),
    [project, task, live],
  );
  const [, redraw] = useState(0);
  const key = ids.join(',');
  useEffect(() => {
    if (key === '') return;
    const timer = setTimeout(() => {
      void previews.want(key.split(',')).then((got) => got && redraw((n) => n + 1));
    }, PAUSE_MS);
    return () => clearTimeout(timer);
  }, [key, previews]);
  return (id) => previews.of(id);
}
