/** Alerts and their rules: requests, units, and the texts that describe them. */
import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query';
import { request } from '../../api/http';
import type {
  Alert,
  AlertPage,
  AlertRule,
  AlertRulePage,
  ChangedAlertRule,
  RulePreview,
  WebhookDelivery,
  WebhookTest,
} from '../../api/types';
import { count, plural } from '../../ui/format';
import { clauseOf, type TaskFilter } from '../task-list/filter';

const REFRESH_MS = 5_000;
const PAGE = 50;

export const MEASURES = [
  { value: 'count', label: 'Number of tasks', unit: 'tasks' },
  { value: 'error_rate', label: 'Error rate', unit: '%' },
  { value: 'p95_duration', label: 'Duration, 95th percentile', unit: 'seconds' },
  { value: 'cost', label: 'Cost', unit: 'US dollars' },
  { value: 'waiting', label: 'A task waits for a person', unit: 'minutes' },
  { value: 'lost', label: 'A task is lost', unit: 'minutes' },
] as const;

export type Measure = (typeof MEASURES)[number]['value'];

/** How many of the unit that people enter one of the unit of the API is. */
const SCALE: Record<Measure, number> = {
  count: 1,
  error_rate: 100,
  p95_duration: 1,
  cost: 1,
  waiting: 1 / 60,
  lost: 1 / 60,
};

export const WINDOWS = [
  [300, '5 minutes'],
  [900, '15 minutes'],
  [3_600, '1 hour'],
  [21_600, '6 hours'],
  [86_400, '24 hours'],
  [604_800, '7 days'],
] as const;

export interface RuleForm {
  name: string;
  q: string;
  measure: Measure;
  threshold: string;
  window: number;
  webhook: 'none' | 'json' | 'slack';
  url: string;
}

export const NEW_RULE: RuleForm = {
  name: '',
  q: '',
  measure: 'count',
  threshold: '',
  window: 900,
  webhook: 'none',
  url: '',
};

const base = (project: string) => `/api/traces/${project}`;

export function alertsQuery(project: string, rule: string) {
  return infiniteQueryOptions({
    queryKey: ['alerts', project, rule],
    queryFn: ({ signal, pageParam }) =>
      request<AlertPage>(`${base(project)}/alerts`, {
        signal,
        query: { limit: PAGE, cursor: pageParam, ...(rule ? { rule_id: rule } : {}) },
      }),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    refetchInterval: REFRESH_MS,
  });
}

export function alertRulesQuery(project: string) {
  return queryOptions({
    queryKey: ['alert-rules', project],
    queryFn: ({ signal }) => request<AlertRulePage>(`${base(project)}/alert-rules`, { signal, query: { limit: 200 } }),
    refetchInterval: REFRESH_MS,
  });
}

export const acknowledge = (project: string, alert: string) =>
  request<Alert>(`${base(project)}/alerts/${alert}/acknowledge`, { method: 'POST' });

export const saveRule = (project: string, rule: string | null, body: object) =>
  rule === null
    ? request<ChangedAlertRule>(`${base(project)}/alert-rules`, { method: 'POST', body })
    : request<ChangedAlertRule>(`${base(project)}/alert-rules/${rule}`, { method: 'PUT', body });

export const deleteRule = (project: string, rule: string) =>
  request<void>(`${base(project)}/alert-rules/${rule}`, { method: 'DELETE' });

export const testRule = (project: string, rule: string) =>
  request<WebhookTest>(`${base(project)}/alert-rules/${rule}/test`, { method: 'POST' });

export const previewRule = (project: string, form: RuleForm) =>
  request<RulePreview>(`${base(project)}/alert-rules/preview`, { method: 'POST', body: conditionOf(form) });

/** What a rule measures, as the API takes it. */
export function conditionOf(form: RuleForm) {
  return {
    q: form.q.trim(),
    measure: form.measure,
    threshold: Number(form.threshold) / SCALE[form.measure],
    window_seconds: form.window,
  };
}

/** A rule as the API takes it. Without a new URL the webhook keeps the one that it has. */
export function bodyOf(form: RuleForm, enabled: boolean) {
  return {
    name: form.name.trim(),
    enabled,
    ...conditionOf(form),
    webhook: form.webhook === 'none' ? null : { format: form.webhook, url: form.url.trim() || null },
  };
}

/** The rule with another state; its webhook stays. */
export function switched(rule: AlertRule) {
  const { name, q, measure, threshold, window_seconds } = rule;
  return { name, q, measure, threshold, window_seconds, enabled: !rule.enabled };
}

export function formOf(rule: AlertRule): RuleForm {
  const measure = rule.measure as Measure;
  return {
    name: rule.name,
    q: rule.q,
    measure,
    threshold: String(Number((rule.threshold * SCALE[measure]).toPrecision(12))),
    window: rule.window_seconds,
    webhook: (rule.webhook?.format ?? 'none') as RuleForm['webhook'],
    url: '',
  };
}

/** What is wrong with a form, by field. */
export function faultsOf(form: RuleForm, hasWebhook: boolean): Partial<Record<'name' | 'threshold' | 'url', string>> {
  const threshold = Number(form.threshold);
  const url = form.url.trim();
  return {
    ...(form.name.trim() ? {} : { name: 'Enter a name.' }),
    ...(form.threshold.trim() && threshold > 0 ? {} : { threshold: 'Enter a number greater than 0.' }),
    ...(form.measure === 'error_rate' && threshold > 100 ? { threshold: 'Enter at most 100 %.' } : {}),
    ...((form.measure === 'waiting' || form.measure === 'lost') && threshold * 60 > form.window
      ? { threshold: 'The window must be at least as long as this time.' }
      : {}),
    ...(form.webhook !== 'none' && !/^https?:\/\/\S+$/.test(url) && !(hasWebhook && url === '')
      ? { url: 'Enter an https address.' }
      : {}),
  };
}

/** A measurement with its unit, for people. */
export function valueText(measure: string, value: number): string {
  switch (measure) {
    case 'count':
      return plural(value, 'task');
    case 'error_rate':
      return `${Number((value * 100).toFixed(1))} % failed`;
    case 'p95_duration':
      return `p95 ${Number(value.toPrecision(3))} s`;
    case 'cost':
      return value > 0 && value < 0.0001 ? '<$0.0001' : `$${Number(value.toPrecision(6))}`;
    default:
      return `${measure} for ${minutes(value)}`;
  }
}

function minutes(seconds: number): string {
  return seconds < 120 ? `${Math.round(seconds)} s` : `${count(Math.round(seconds / 60))} min`;
}

export function windowText(seconds: number): string {
  return WINDOWS.find(([known]) => known === seconds)?.[1] ?? minutes(seconds);
}

/** `at least 5 tasks in 15 minutes`. */
export function conditionText({ measure, threshold, window_seconds }: AlertRule): string {
  return `at least ${valueText(measure, threshold)}, in ${windowText(window_seconds)}`;
}

/** What a rule would have done. */
export function previewText(preview: RulePreview): string {
  if (preview.alerts === null) {
    return preview.is_met
      ? 'The condition is met now: the rule raises an alert within a minute.'
      : 'The condition is not met now. How long tasks were silent before is not stored.';
  }
  const since =
    preview.counted_back_to_us === null
      ? 'In the last 24 hours'
      : `Since ${new Date(preview.counted_back_to_us / 1_000).toLocaleString()} (there are too many tasks to count more)`;
  const times = preview.alerts === 1 ? 'once' : preview.alerts === 0 ? 'never' : `${preview.alerts} times`;
  return `${since} this rule would have raised an alert ${times}. ${preview.is_met ? 'The condition is met now.' : 'The condition is not met now.'}`;
}

/** What became of a webhook. */
export function deliveryText(delivery: WebhookDelivery): string {
  const attempts = delivery.attempts > 1 ? `, ${delivery.attempts} attempts` : '';
  if (delivery.state === 'delivered') return `Webhook delivered${attempts}`;
  if (delivery.state === 'failed') return `Webhook failed${attempts}: ${delivery.last_problem ?? ''}`;
  return delivery.attempts === 0
    ? 'Webhook waits to be sent'
    : `Webhook to be sent again${attempts}: ${delivery.last_problem ?? ''}`;
}

export const REASONS: Record<string, string> = {
  recovered: 'the condition was no longer met',
  rule_changed: 'the rule was changed',
  rule_paused: 'the rule was paused',
  rule_deleted: 'the rule was deleted',
};

/** The tasks page with the query and the window of an alert. */
export function tasksAddress(project: string, alert: Alert): string {
  const iso = (us: number) => new Date(us / 1_000).toISOString();
  const status = alert.measure === 'waiting' || alert.measure === 'lost' ? { status: alert.measure } : {};
  const params = { q: alert.q, from: iso(alert.window_start_us), to: iso(alert.window_end_us), ...status };
  return `/projects/${project}/tasks?${new URLSearchParams(params)}`;
}

/** The form of a new rule for what the tasks page shows. */
export function alertAddress(project: string, filter: TaskFilter): string {
  const clauses = [
    filter.q,
    ...(filter.status ? [`status:${filter.status}`] : []),
    ...(filter.agent ? [clauseOf('agent', filter.agent)] : []),
  ];
  return `/projects/${project}/alerts?${new URLSearchParams({ new: '1', q: clauses.filter(Boolean).join(' ') })}`;
}
