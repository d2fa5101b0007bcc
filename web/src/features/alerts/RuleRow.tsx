import { useMutation } from '@tanstack/react-query';
import { asApiError } from '../../api/problems';
import { queryClient } from '../../api/queries';
import type { AlertRule } from '../../api/types';
import { Link, navigate, withParams } from '../../app/router';
import { Menu, toast } from '../../ui/controls';
import { Icon } from '../../ui/Icon';
import { conditionText, deleteRule, saveRule, switched, testRule, valueText } from './alerts';

interface RuleRowProps {
  project: string;
  rule: AlertRule;
  member: boolean;
}

/** One rule: its condition, what it measured last, and the menu that changes it. */
export function RuleRow({ project, rule, member }: RuleRowProps) {
  const changed = () => {
    void queryClient.invalidateQueries({ queryKey: ['alert-rules', project] });
    void queryClient.invalidateQueries({ queryKey: ['alerts', project] });
  };
  const change = useMutation({
    mutationFn: (work: () => Promise<unknown>) => work(),
    onSuccess: changed,
    onError: (error) => toast(`Cannot change the rule. ${asApiError(error).message}`),
  });
  const test = useMutation({ mutationFn: () => testRule(project, rule.rule_id) });
  return (
    <tr data-quiet={rule.enabled ? undefined : true}>
      <td>
        <Link to={withParams({ rule: rule.rule_id })} className="alert-name" title="Show the alerts of this rule">
          {rule.name}
        </Link>
        <code className="alert-query">{rule.q || 'all tasks'}</code>
      </td>
      <td data-label="Raises an alert at">{conditionText(rule)}</td>
      <td data-label="Now">
        {rule.enabled ? <Now rule={rule} /> : 'paused'}
        {rule.alert_id ? <span className="field-error alert-open">alert is open</span> : null}
      </td>
      <td data-label="Webhook">
        {rule.webhook ? `${rule.webhook.host} (${rule.webhook.format === 'slack' ? 'Slack' : 'JSON'})` : 'none'}
        <span role="status" className={test.data?.problem ? 'field-error alert-test' : 'quiet alert-test'}>
          {test.isPending ? 'Sending…' : test.data ? (test.data.problem ?? 'The test was accepted.') : ''}
          {test.error ? asApiError(test.error).message : ''}
        </span>
      </td>
      <td className="num">
        {member ? (
          <Menu
            name={`Change ${rule.name}`}
            className="button plain small square"
            align="end"
            label={<Icon name="more" />}
          >
            {(close) => (
              <>
                <Item close={close} onClick={() => navigate(withParams({ edit: rule.rule_id }))}>
                  Edit
                </Item>
                <Item
                  close={close}
                  onClick={() => change.mutate(() => saveRule(project, rule.rule_id, switched(rule)))}
                >
                  {rule.enabled ? 'Pause' : 'Resume'}
                </Item>
                {rule.webhook ? (
                  <Item close={close} onClick={() => test.mutate()}>
                    Send a test
                  </Item>
                ) : null}
                <Item close={close} onClick={() => change.mutate(() => deleteRule(project, rule.rule_id))}>
                  Delete
                </Item>
              </>
            )}
          </Menu>
        ) : null}
      </td>
    </tr>
  );
}

function Item({ close, onClick, children }: { close: () => void; onClick: () => void; children: string }) {
  return (
    <button
      type="button"
      className="menu-item"
      onClick={() => {
        close();
        onClick();
      }}
    >
      {children}
    </button>
  );
}

function Now({ rule }: { rule: AlertRule }) {
  if (rule.problem) return <span className="field-error">{rule.problem}</span>;
  if (rule.evaluated_at_us === null) return <span className="quiet">not measured yet</span>;
  return rule.value === null ? <span className="quiet">nothing to measure</span> : valueText(rule.measure, rule.value);
}
