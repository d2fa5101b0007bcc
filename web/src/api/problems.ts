import type { Problem } from './types';

/** Errors of the platform (`application/problem+json`) and of the network. */
export class ApiError extends Error {
  constructor(
    /** HTTP status; 0 when nothing answered */
    readonly status: number,
    /** stable word of the platform: `not_found`, `unauthenticated` ... */
    readonly code: string,
    message: string,
    readonly requestId: string | null = null,
    /** fields that were refused, with the reason of each */
    readonly fields: Readonly<Record<string, string>> = {},
    readonly retryAfterSeconds: number | null = null,
    /** where a query is wrong (column from 1) and what was perhaps meant */
    readonly hint: { column: number | null; suggestion: string | null } = { column: null, suggestion: null },
    /** of `proof_required`: how the person can confirm who they are */
    readonly methods: readonly string[] = [],
  ) {
    super(message);
    this.name = 'ApiError';
  }

  /** Whether asking again may help without anyone changing anything. */
  get transient(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

type ProblemBody = Partial<Problem>;

export async function problemOf(response: Response): Promise<ApiError> {
  let body: ProblemBody = {};
  try {
    body = (await response.json()) as ProblemBody;
  } catch {
    // a proxy in between responded with something else: only the status is known
  }
  const fields: Record<string, string> = {};
  for (const error of Array.isArray(body.errors) ? body.errors : []) {
    // each kind of check names the field and the reason in its own words
    const name = error.field ?? error.key ?? error.path;
    const reason = error.message ?? error.detail ?? 'is not valid';
    const field = name ? (String(name).split('.').at(-1) ?? '') : '';
    // a field may have several faults: people see all of them at once
    if (field) fields[field] = fields[field] ? `${fields[field]} ${reason}` : String(reason);
  }
  const retry = Number(response.headers.get('retry-after'));
  return new ApiError(
    response.status,
    body.code ?? `http_${response.status}`,
    body.detail || body.title || sentenceFor(response.status),
    response.headers.get('x-request-id'),
    fields,
    Number.isFinite(retry) && retry > 0 ? retry : null,
    { column: body.column ?? null, suggestion: body.suggestion ?? null },
    body.methods ?? [],
  );
}

export function networkError(): ApiError {
  return new ApiError(0, 'network', 'The platform did not respond. Check that it is running and that you are online.');
}

/** Anything thrown, as one kind. */
export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError(0, 'unexpected', error instanceof Error ? error.message : String(error));
}

function sentenceFor(status: number): string {
  if (status === 401) return 'You are not signed in.';
  if (status === 403) return 'Your role in this project does not allow this.';
  if (status === 404) return 'Not found, or you have no access.';
  if (status === 429) return 'Too many requests. Try again in a moment.';
  if (status === 502 || status === 503 || status === 504)
    return 'A service is starting or unavailable. Try again in a moment.';
  return `The platform responded with status ${status}.`;
}
