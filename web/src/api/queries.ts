/** Server data by name: keys and fetches of the lists and pages. */
import { infiniteQueryOptions, QueryClient, queryOptions } from '@tanstack/react-query';
import { request } from './http';
import { asApiError, problemOf } from './problems';
import type {
  AgentPage,
  DeadLetter,
  DeadLetterDetail,
  DeadLetterPage,
  DeliveryPage,
  FormRules,
  KeyList,
  ListPrices,
  MemberList,
  NewApiKey,
  Project,
  ProjectList,
  ScoreNames,
  ScorePage,
  SessionPage,
  StepAnswer,
  StepLogPage,
  TaskPage,
} from './types';

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      refetchOnWindowFocus: false,
      retry: (failures, error) => asApiError(error).transient && failures < 3,
      retryDelay: (attempt) => Math.min(4_000, 400 * 2 ** attempt),
    },
  },
});

/** What the service requires of usernames and passwords; readable before signing in. */
export const formRulesQuery = queryOptions({
  queryKey: ['form-rules'],
  queryFn: async ({ signal }): Promise<FormRules> => {
    const response = await fetch('/api/auth/rules', { signal });
    if (!response.ok) throw await problemOf(response);
    return (await response.json()) as FormRules;
  },
  staleTime: Number.POSITIVE_INFINITY,
});

export const projectsQuery = queryOptions({
  queryKey: ['projects'],
  queryFn: ({ signal }) => request<ProjectList>('/api/projects', { signal, query: { limit: 200 } }),
  staleTime: 60_000,
});

export function keysQuery(project: string) {
  return queryOptions({
    queryKey: ['keys', project],
    queryFn: ({ signal }) => request<KeyList>(`/api/projects/${project}/keys`, { signal, query: { limit: 200 } }),
  });
}

export function agentsQuery(project: string) {
  return queryOptions({
    queryKey: ['agents', project],
    queryFn: ({ signal }) => request<AgentPage>(`/api/traces/${project}/agents`, { signal, query: { limit: 200 } }),
    staleTime: 30_000,
  });
}

const SESSIONS_PAGE = 50;
const SESSION_REFRESH_MS = 5_000;

/** Conversations, those with the newest tasks first. */
export function sessionsQuery(project: string) {
  return infiniteQueryOptions({
    queryKey: ['sessions', project],
    queryFn: ({ signal, pageParam }) =>
      request<SessionPage>(`/api/traces/${project}/sessions`, {
        signal,
        query: { limit: SESSIONS_PAGE, cursor: pageParam },
      }),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    refetchInterval: SESSION_REFRESH_MS,
  });
}

/** One conversation with its totals. */
export function sessionQuery(project: string, conversation: string) {
  return infiniteQueryOptions({
    queryKey: ['session', project, conversation],
    queryFn: ({ signal }) =>
      request<SessionPage>(`/api/traces/${project}/sessions`, { signal, query: { conversation, limit: 1 } }),
    initialPageParam: null as string | null,
    getNextPageParam: () => null,
    refetchInterval: SESSION_REFRESH_MS,
  });
}

/** The tasks of one conversation, the newest first. */
export function tasksOfSessionQuery(project: string, conversation: string) {
  return infiniteQueryOptions({
    queryKey: ['tasks-of-session', project, conversation],
    queryFn: ({ signal, pageParam }) =>
      request<TaskPage>(`/api/traces/${project}/tasks`, {
        signal,
        query: { q: `conversation:"${quoted(conversation)}"`, limit: SESSIONS_PAGE, cursor: pageParam },
      }),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    refetchInterval: SESSION_REFRESH_MS,
  });
}

/** A value between the quotation marks of the query language. */
function quoted(value: string): string {
  return value.replace(/[\\"]/g, '\\$&');
}

export function stepQuery(project: string, task: string, step: string) {
  return queryOptions({
    queryKey: ['step', project, task, step],
    queryFn: ({ signal }) => request<StepAnswer>(`/api/traces/${project}/tasks/${task}/steps/${step}`, { signal }),
    staleTime: 2_000,
  });
}

const LINES_PAGE = 200;
const LINES_REFRESH_MS = 3_000;

/** What a step logged. While the step is open, it is fetched again. */
export function stepLogsQuery(project: string, task: string, step: string, open: boolean) {
  return infiniteQueryOptions({
    queryKey: ['step-logs', project, task, step, open],
    queryFn: ({ signal, pageParam }) =>
      request<StepLogPage>(`/api/traces/${project}/tasks/${task}/steps/${step}/logs`, {
        signal,
        query: { limit: LINES_PAGE, cursor: pageParam },
      }),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    refetchInterval: open ? LINES_REFRESH_MS : false,
  });
}

const SCORES_PAGE = 500;

/** Scores of a step, or of the task itself (`step` is null), with their averages. */
export function scoresQuery(project: string, task: string, step: string | null) {
  return queryOptions({
    queryKey: ['scores', project, task, step],
    queryFn: ({ signal }) =>
      request<ScorePage>(`/api/traces/${project}/tasks/${task}/scores`, {
        signal,
        query: { step_id: step, of: step === null ? 'task' : null, limit: SCORES_PAGE },
      }),
    // a frame may be faster than the tables behind REST
    retry: (failures, error) => failures < 3 && (asApiError(error).transient || asApiError(error).status === 404),
  });
}

/** All scores of a task and of its steps, only as averages by name. */
export function scoreSummaryQuery(project: string, task: string) {
  return queryOptions({
    queryKey: ['scores', project, task, 'names'],
    queryFn: ({ signal }) =>
      request<ScorePage>(`/api/traces/${project}/tasks/${task}/scores`, { signal, query: { limit: 1 } }),
    retry: (failures, error) => failures < 3 && asApiError(error).transient,
  });
}

/** The names of scores that the newest tasks of a project have. */
export function scoreNamesQuery(project: string) {
  return queryOptions({
    queryKey: ['score-names', project],
    queryFn: ({ signal }) => request<ScoreNames>(`/api/traces/${project}/score-names`, { signal }),
    staleTime: 60_000,
  });
}

/** The members of a project with their names. */
export function membersQuery(project: string) {
  return queryOptions({
    queryKey: ['members', project],
    queryFn: ({ signal }) => request<MemberList>(`/api/projects/${project}/members`, { signal, query: { limit: 200 } }),
    staleTime: 300_000,
  });
}

const PRICED_MODELS_MAX = 100;

/** List prices of models as they are today. */
export function pricesQuery(project: string, models: readonly string[]) {
  const names = models.slice(0, PRICED_MODELS_MAX);
  return queryOptions({
    queryKey: ['prices', project, names],
    queryFn: ({ signal }) => {
      const params = new URLSearchParams(names.map((name) => ['model', name]));
      return request<ListPrices>(`/api/ingest/${project}/prices?${params}`, { signal });
    },
    staleTime: 3_600_000,
  });
}

const PRODUCERS_PAGE = 100;
const DELIVERY_REFRESH_MS = 3_000;

/** What each producer of a task delivered. While the task is open, or its texts are not searchable yet, it is fetched again. */
export function deliveryQuery(project: string, task: string, open: boolean) {
  return infiniteQueryOptions({
    queryKey: ['delivery', project, task, open],
    queryFn: ({ signal, pageParam }) =>
      request<DeliveryPage>(`/api/traces/${project}/tasks/${task}/delivery`, {
        signal,
        query: { limit: PRODUCERS_PAGE, cursor: pageParam },
      }),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    refetchInterval: (query) =>
      open || query.state.data?.pages.some((page) => page.searchable_until_us !== null) ? DELIVERY_REFRESH_MS : false,
  });
}

const LETTERS_PAGE = 100;

/** Events that could not be stored, the newest first. The badge counts them, so they are fetched every half minute. */
export function deadLettersQuery(project: string) {
  return infiniteQueryOptions({
    queryKey: ['dead-letters', project],
    queryFn: ({ signal, pageParam }) =>
      request<DeadLetterPage>(`/api/ingest/${project}/dead-letters`, {
        signal,
        query: { limit: LETTERS_PAGE, cursor: pageParam },
      }),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    refetchInterval: 30_000,
  });
}

export function deadLetterQuery(project: string, place: string) {
  return queryOptions({
    queryKey: ['dead-letter', project, place],
    queryFn: ({ signal }) => request<DeadLetterDetail>(`/api/ingest/${project}/dead-letters/${place}`, { signal }),
    staleTime: Number.POSITIVE_INFINITY,
  });
}

export function replayDeadLetter(project: string, place: string): Promise<DeadLetter> {
  return request<DeadLetter>(`/api/ingest/${project}/dead-letters/${place}`, { method: 'POST' });
}

export function createKey(project: string, name: string): Promise<NewApiKey> {
  return request<NewApiKey>(`/api/projects/${project}/keys`, { method: 'POST', body: { name } });
}

export function deleteKey(project: string, key: string): Promise<void> {
  return request<void>(`/api/projects/${project}/keys/${key}`, { method: 'DELETE' });
}

export function createProject(name: string): Promise<Project> {
  return request<Project>('/api/projects', { method: 'POST', body: { name } });
}

export function deleteTask(project: string, task: string): Promise<void> {
  return request<void>(`/api/ingest/${project}/tasks/${task}`, { method: 'DELETE' });
}
