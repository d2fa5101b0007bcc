import { describe, expect, test } from 'vitest';
import type { AlertRule } from '../../api/types';
import { NO_FILTER } from '../task-list/filter';
import { alertAddress, bodyOf, faultsOf, formOf, NEW_RULE, previewText, valueText } from './alerts';

const RULE = {
  name: 'Failures',
  q: 'agent:planner',
  measure: 'error_rate',
  threshold: 0.07,
  window_seconds: 900,
  webhook: { format: 'slack', host: 'hooks.example.com' },
} as AlertRule;

describe('the form of a rule', () => {
  test('an error rate is entered in percent, and silence in minutes', () => {
    expect(formOf(RULE).threshold).toBe('7');
    expect(bodyOf({ ...NEW_RULE, name: ' a ', measure: 'error_rate', threshold: '7' }, true)).toMatchObject({
      name: 'a',
      threshold: 0.07,
    });
    expect(bodyOf({ ...NEW_RULE, measure: 'waiting', threshold: '10' }, true).threshold).toBe(600);
  });

  test('a webhook keeps its URL unless a new one is entered', () => {
    expect(bodyOf(formOf(RULE), true).webhook).toEqual({ format: 'slack', url: null });
    expect(bodyOf(NEW_RULE, true).webhook).toBeNull();
    expect(faultsOf({ ...formOf(RULE) }, true)).toEqual({});
    expect(faultsOf({ ...formOf(RULE) }, false)).toHaveProperty('url');
  });

  test.each([
    [{ name: '' }, 'name'],
    [{ threshold: '0' }, 'threshold'],
    [{ threshold: 'x' }, 'threshold'],
    [{ measure: 'error_rate', threshold: '101' }, 'threshold'],
    [{ measure: 'lost', threshold: '16' }, 'threshold'],
  ] as const)('%j is refused', (change, field) => {
    expect(Object.keys(faultsOf({ ...NEW_RULE, name: 'a', threshold: '1', ...change }, false))).toEqual([field]);
  });
});

test('values have the unit of their measure', () => {
  expect(valueText('count', 1)).toBe('1 task');
  expect(valueText('error_rate', 0.125)).toBe('12.5 % failed');
  expect(valueText('cost', 0.00001)).toBe('<$0.0001');
  expect(valueText('waiting', 600)).toBe('waiting for 10 min');
});

test('a preview says how often the rule would have raised an alert', () => {
  const preview = { alerts: 3, raised_at_us: [], value: 1, is_met: false, counted_back_to_us: null };
  expect(previewText(preview)).toContain('3 times');
  expect(previewText({ ...preview, alerts: 0 })).toContain('never');
  expect(previewText({ ...preview, alerts: null, is_met: true })).toContain('met now');
});

test('the filter of the tasks page becomes one query', () => {
  const address = alertAddress('p', { ...NO_FILTER, q: 'env:prod', status: 'error', agent: 'a b' });
  expect(new URLSearchParams(address.split('?')[1]).get('q')).toBe('env:prod status:error agent:"a b"');
});
