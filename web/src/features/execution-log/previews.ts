/** Previews of steps for the log: fetched in windows as rows become visible, and taken from frames where these are newer. */
import { useEffect, useMemo, useState } from 'react';
import { request } from '../../api/http';
import type { StepWindow } from '../../api/types';
import { ended } from '../../fold/fold';
import type { LiveTask } from './live-task';

const BATCH = 100;
const KEPT = 20_000;

class Previews {
  private readonly texts = new Map<string, string>();
  private readonly asked = new Set<string>();

  constructor(
    private readonly address: string,
    private readonly live: LiveTask,
  ) {}

  of(id: string): string {
    const state = this.live.stateOf(id);
    const document = state?.document;
    if (document && state && (ended(state) || !this.texts.has(id))) {
      return document.error?.message ?? document.preview_output ?? document.preview_input ?? '';
    }
    return this.texts.get(id) ?? '';
  }

  async want(ids: string[]): Promise<boolean> {
    const missing = ids.filter((id) => !this.texts.has(id) && !this.asked.has(id)).slice(0, BATCH);
    if (missing.length === 0) return false;
    for (const id of missing) this.asked.add(id);
    try {
      const page = await request<StepWindow>(this.address, { query: { step_id: missing.join(','), limit: BATCH } });
      if (this.texts.size > KEPT) this.texts.clear();
      for (const step of page.items) {
        this.texts.set(step.step_id, step.error?.message ?? step.preview_output ?? step.preview_input ?? '');
      }
      return true;
    } catch {
      // previews are optional: rows are shown without them, and scrolling back fetches again
      return false;
    } finally {
      for (const id of missing) this.asked.delete(id);
    }
  }
}

/** `null` when previews are not shown; else a function from step id to its preview. */
export function usePreviews(
  shown: boolean,
  project: string,
  task: string,
  live: LiveTask,
  ids: string[],
): ((id: string) => string) | null {
  const previews = useMemo(
    () => new Previews(`/api/traces/${project}/tasks/${task}/steps`, live),
    [project, task, live],
  );
  const [, redraw] = useState(0);
  const key = shown ? ids.join(',') : '';
  useEffect(() => {
    if (key === '') return;
    const timer = setTimeout(() => {
      void previews.want(key.split(',')).then((got) => got && redraw((n) => n + 1));
    }, 80);
    return () => clearTimeout(timer);
  }, [key, previews]);
  return shown ? (id) => previews.of(id) : null;
}
