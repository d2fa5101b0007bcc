import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { useEffect } from 'react';
import { asApiError } from '../api/problems';
import { projectsQuery } from '../api/queries';
import type { AlertRule } from '../api/types';
import { useKeys } from '../app/keys';
import { Link, navigate, useQuery as useAddress, withParams } from '../app/router';
import { AlertRow } from '../features/alerts/AlertRow';
import { alertRulesQuery, alertsQuery, formOf, NEW_RULE } from '../features/alerts/alerts';
import { RuleDialog } from '../features/alerts/RuleDialog';
import { RuleRow } from '../features/alerts/RuleRow';
import { ErrorStrip } from '../ui/controls';
import '../features/alerts/alerts.css';

/** `/projects/{project}/alerts?rule=&new=&edit=&q=`: alerts, open ones first, and the rules that raise them. */
export function AlertsPage({ project }: { project: string }) {
  const address = useAddress();
  const of = address.get('rule') ?? '';
  const edited = address.get('edit');
  const alerts = useInfiniteQuery(alertsQuery(project, of));
  const rules = useQuery(alertRulesQuery(project));
  const projects = useQuery(projectsQuery);
  const role = projects.data?.items.find((item) => item.project_id === project)?.role;
  const member = role === 'member' || role === 'owner';
  const known = rules.data?.items ?? [];
  const shown = alerts.data?.pages.flatMap((page) => page.items) ?? [];
  const rule = known.find((item) => item.rule_id === edited) ?? null;
  const close = () => navigate(withParams({ new: null, edit: null, q: null }), { replace: true });
  useEffect(() => {
    document.title = 'Alerts · AMS';
  }, []);
  useKeys({ n: () => member && navigate(withParams({ new: '1' })) });
  return (
    <div className="page">
      <div className="page-inner" style={{ maxWidth: 1120 }}>
        <div className="page-head">
          <div>
            <h1>Alerts</h1>
            <p className="quiet">
              Rules measure the tasks of a query once a minute. An alert is raised when the threshold is reached.{' '}
              <a href="/docs/alerts/" target="_blank" rel="noopener">
                How alerts work
              </a>
            </p>
          </div>
          {member ? (
            <Link className="button primary" to={withParams({ new: '1' })} title="New rule (n)">
              New rule
            </Link>
          ) : null}
        </div>
        {alerts.error ? (
          <ErrorStrip
            error={asApiError(alerts.error)}
            doing="Cannot load the alerts"
            onRetry={() => void alerts.refetch()}
          />
        ) : null}
        {alerts.isFetching && !alerts.data ? <div className="loading-bar" /> : null}
        {of ? (
          <p>
            <span className="chip">
              rule {nameOf(known, of)}{' '}
              <Link to={withParams({ rule: null })} aria-label="Show the alerts of all rules">
                show all
              </Link>
            </span>
          </p>
        ) : null}
        {alerts.data && shown.length === 0 ? (
          <p className="quiet">
            {known.length === 0
              ? 'No alerts, and no rules that could raise any. Create a rule, or choose Views › Alert on this query on the tasks page.'
              : 'No alerts so far.'}
          </p>
        ) : null}
        {shown.length > 0 ? (
          <ul className="alert-list" aria-label="Alerts">
            {shown.map((alert) => (
              <AlertRow key={alert.alert_id} project={project} alert={alert} member={member} />
            ))}
          </ul>
        ) : null}
        {alerts.hasNextPage ? (
          <button
            type="button"
            className="button"
            disabled={alerts.isFetchingNextPage}
            onClick={() => void alerts.fetchNextPage()}
          >
            Show more
          </button>
        ) : null}
        <h2 className="alert-rules-head">Rules</h2>
        {rules.error ? (
          <ErrorStrip
            error={asApiError(rules.error)}
            doing="Cannot load the rules"
            onRetry={() => void rules.refetch()}
          />
        ) : null}
        {rules.data && known.length === 0 ? <p className="quiet">No rules yet.</p> : null}
        {known.length > 0 ? (
          // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls sideways, and keys must reach it
          <section className="table-scroll" aria-label="Alert rules" tabIndex={0}>
            <table className="table stacked">
              <thead>
                <tr>
                  <th scope="col">Rule</th>
                  <th scope="col">Raises an alert at</th>
                  <th scope="col">Now</th>
                  <th scope="col">Webhook</th>
                  <th scope="col">
                    <span className="visually-hidden">Change</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {known.map((item) => (
                  <RuleRow key={item.rule_id} project={project} rule={item} member={member} />
                ))}
              </tbody>
            </table>
          </section>
        ) : null}
        {member && (address.get('new') || rule) ? (
          <RuleDialog
            key={edited ?? 'new'}
            project={project}
            rule={rule}
            initial={rule ? formOf(rule) : { ...NEW_RULE, q: address.get('q') ?? '' }}
            onClose={close}
          />
        ) : null}
      </div>
    </div>
  );
}

function nameOf(rules: AlertRule[], id: string): string {
  return rules.find((rule) => rule.rule_id === id)?.name ?? id.slice(0, 8);
}
