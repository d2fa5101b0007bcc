import { useQuery } from '@tanstack/react-query';
import { useEffect, useMemo, useRef, useSyncExternalStore } from 'react';
import { request } from '../../api/http';
import { membersQuery, queryClient, scoresQuery } from '../../api/queries';
import { session } from '../../api/session';
import type { RecordedScore, Score } from '../../api/types';
import type { LiveTask } from '../execution-log/live-task';
import { type ScoreValue, scoreId } from './scores';

/** The projector needs some milliseconds more than the live way. */
const PROJECTED_MS = 400;
/** A score that readers do not see yet is asked for again after this long. */
const LATE_MS = 2_000;

/** The scores of a step, or of the task itself (`step` is null), kept up to date by frames. */
export function useScores(project: string, task: string, step: string | null, live: LiveTask) {
  const answer = useQuery(scoresQuery(project, task, step));
  useFreshScores(project, task, live);
  return answer;
}

/** Fetches the scores of a task again after frames brought some. */
export function useFreshScores(project: string, task: string, live: LiveTask): void {
  const seen = useRef(live.scoreEvents);
  const { scoreEvents } = live;
  useEffect(() => {
    if (seen.current === scoreEvents) return;
    const timer = setTimeout(() => {
      seen.current = scoreEvents;
      refetch(project, task);
    }, PROJECTED_MS);
    return () => clearTimeout(timer);
  }, [scoreEvents, project, task]);
}

/** The ID of the person who is signed in; null while that is not known. */
export function useUserId(): string | null {
  const identity = useSyncExternalStore(session.subscribe, session.get);
  return identity.state === 'in' ? identity.user.user_id : null;
}

/** Usernames by user ID: scores name their author by ID. */
export function useMemberNames(project: string): ReadonlyMap<string, string> {
  const { data } = useQuery(membersQuery(project));
  return useMemo(() => new Map(data?.items.map((member) => [member.user_id, member.username])), [data]);
}

type ScoredListener = (task: string, step: string | null) => void;
const scoredListeners = new Set<ScoredListener>();

/** Calls back for each score that this page sends. The answer unsubscribes. */
export function onScored(listener: ScoredListener): () => void {
  scoredListeners.add(listener);
  return () => scoredListeners.delete(listener);
}

export interface Target {
  project: string;
  task: string;
  /** null: the task itself */
  step: string | null;
}

/** Send a score. Rejects with the problem of the platform. */
export async function sendScore({ project, task, step }: Target, value: ScoreValue): Promise<void> {
  const body = { task_id: task, step_id: step, score_id: scoreId(step, value.name), ...value };
  const recorded = await request<RecordedScore>(`/api/ingest/${project}/scores`, { method: 'POST', body });
  for (const listener of scoredListeners) listener(task, step);
  await refetch(project, task);
  if (!recorded.visible) setTimeout(() => refetch(project, task), LATE_MS);
}

/** Take a score back. The log keeps that it was given. */
export async function removeScore(project: string, task: string, score: Score): Promise<void> {
  const id = encodeURIComponent(score.score_id);
  await request<void>(`/api/ingest/${project}/tasks/${task}/scores/${id}`, { method: 'DELETE' });
  await refetch(project, task);
}

function refetch(project: string, task: string): Promise<void> {
  return queryClient.invalidateQueries({ queryKey: ['scores', project, task] });
}
