import { useMutation } from '@tanstack/react-query';
import { type FormEvent, type ReactNode, useId, useRef, useState } from 'react';
import { asApiError } from '../../api/problems';
import { queryClient } from '../../api/queries';
import type { AlertRule } from '../../api/types';
import { CopyButton, ErrorStrip, Segmented, toast } from '../../ui/controls';
import { Dialog } from '../../ui/Dialog';
import {
  bodyOf,
  faultsOf,
  MEASURES,
  type Measure,
  previewRule,
  previewText,
  type RuleForm,
  saveRule,
  WINDOWS,
  windowText,
} from './alerts';

const WEBHOOKS = [
  { value: 'none', label: 'None' },
  { value: 'json', label: 'JSON' },
  { value: 'slack', label: 'Slack' },
] as const;

interface RuleDialogProps {
  project: string;
  /** the rule that is edited; null: a new one */
  rule: AlertRule | null;
  initial: RuleForm;
  onClose: () => void;
}

/** Creates or edits a rule, shows what it would have done, and shows the signing secret of a new webhook once. */
export function RuleDialog({ project, rule, initial, onClose }: RuleDialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [form, setForm] = useState(initial);
  const [checked, setChecked] = useState(false);
  const hasWebhook = Boolean(rule?.webhook);
  const faults = checked ? faultsOf(form, hasWebhook) : {};
  const preview = useMutation({ mutationFn: () => previewRule(project, form) });
  const save = useMutation({
    mutationFn: () => saveRule(project, rule?.rule_id ?? null, bodyOf(form, rule?.enabled ?? true)),
    onSuccess: ({ signing_secret }) => {
      void queryClient.invalidateQueries({ queryKey: ['alert-rules', project] });
      if (signing_secret === null) {
        toast('Rule saved');
        dialog.current?.close();
      }
    },
  });
  const change = (next: Partial<RuleForm>) => {
    setForm((known) => ({ ...known, ...next }));
    preview.reset();
  };
  const checkedThen = (send: () => void, needed: string[]) => {
    setChecked(true);
    if (!Object.keys(faultsOf(form, hasWebhook)).some((field) => needed.includes(field))) send();
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    checkedThen(() => save.mutate(), ['name', 'threshold', 'url']);
  };
  const secret = save.data?.signing_secret;
  const windows = WINDOWS.some(([seconds]) => seconds === form.window)
    ? WINDOWS
    : [...WINDOWS, [form.window, windowText(form.window)] as const];
  const unit = MEASURES.find(({ value }) => value === form.measure)?.unit;
  return (
    <Dialog dialog={dialog} title={rule ? 'Edit alert rule' : 'New alert rule'} narrow onClose={onClose}>
      {secret ? (
        <div className="dialog-body">
          <div className="key-made" role="status">
            <p>Copy the signing secret of the webhook now. It is not shown again. Receivers verify webhooks with it.</p>
            <code className="alert-secret">{secret}</code>
            <CopyButton text={secret} what="the signing secret" label="Copy" />
          </div>
          <div className="dialog-actions">
            <button type="button" className="button primary" onClick={() => dialog.current?.close()}>
              Done
            </button>
          </div>
        </div>
      ) : (
        <form className="dialog-body" onSubmit={submit} noValidate>
          <Field label="Name" fault={faults.name}>
            {(more) => (
              <input
                className="input"
                maxLength={100}
                value={form.name}
                onChange={(event) => change({ name: event.target.value })}
                {...more}
              />
            )}
          </Field>
          <Field label="Query" hint="As on the tasks page. Empty: all tasks.">
            {(more) => (
              <input
                className="input mono"
                maxLength={4_096}
                spellCheck={false}
                autoComplete="off"
                value={form.q}
                onChange={(event) => change({ q: event.target.value })}
                {...more}
              />
            )}
          </Field>
          <Field label="Measure">
            {(more) => (
              <select
                className="input"
                value={form.measure}
                onChange={(event) => change({ measure: event.target.value as Measure })}
                {...more}
              >
                {MEASURES.map(({ value, label }) => (
                  <option key={value} value={value}>
                    {label}
                  </option>
                ))}
              </select>
            )}
          </Field>
          <div className="alert-fields">
            <Field label={`At least (${unit})`} fault={faults.threshold}>
              {(more) => (
                <input
                  className="input"
                  inputMode="decimal"
                  autoComplete="off"
                  maxLength={20}
                  value={form.threshold}
                  onChange={(event) => change({ threshold: event.target.value })}
                  {...more}
                />
              )}
            </Field>
            <Field label="In the last">
              {(more) => (
                <select
                  className="input"
                  value={form.window}
                  onChange={(event) => change({ window: Number(event.target.value) })}
                  {...more}
                >
                  {windows.map(([seconds, label]) => (
                    <option key={seconds} value={seconds}>
                      {label}
                    </option>
                  ))}
                </select>
              )}
            </Field>
          </div>
          <div className="alert-preview">
            <button
              type="button"
              className="button small"
              disabled={preview.isPending}
              onClick={() => checkedThen(() => preview.mutate(), ['threshold'])}
            >
              {preview.isPending ? 'Counting…' : 'Preview'}
            </button>
            <p role="status">
              {preview.data ? previewText(preview.data) : 'Shows how often the rule would have raised an alert.'}
            </p>
          </div>
          <div className="field">
            <span>Webhook</span>
            <Segmented
              label="Webhook"
              value={form.webhook}
              options={WEBHOOKS}
              onChange={(webhook) => change({ webhook })}
            />
          </div>
          {form.webhook === 'none' ? null : (
            <Field
              label="URL"
              fault={faults.url}
              hint={
                hasWebhook
                  ? `Empty: the URL at ${rule?.webhook?.host} stays.`
                  : 'It is stored encrypted and not shown again.'
              }
            >
              {(more) => (
                <input
                  className="input"
                  type="url"
                  autoComplete="off"
                  spellCheck={false}
                  maxLength={2_048}
                  value={form.url}
                  onChange={(event) => change({ url: event.target.value })}
                  {...more}
                />
              )}
            </Field>
          )}
          {save.error || preview.error ? (
            <ErrorStrip
              error={asApiError(save.error ?? preview.error)}
              doing={save.error ? 'Cannot save the rule' : 'Cannot preview the rule'}
            />
          ) : null}
          <div className="dialog-actions">
            <button type="button" className="button" onClick={() => dialog.current?.close()}>
              Cancel
            </button>
            <button type="submit" className="button primary" disabled={save.isPending}>
              Save rule
            </button>
          </div>
        </form>
      )}
    </Dialog>
  );
}

interface FieldProps {
  label: string;
  fault?: string | undefined;
  hint?: string;
  children: (more: { id: string; 'aria-invalid'?: true; 'aria-describedby'?: string }) => ReactNode;
}

function Field({ label, fault, hint, children }: FieldProps) {
  const id = useId();
  const note = fault ?? hint;
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {children({
        id,
        ...(fault ? { 'aria-invalid': true } : {}),
        ...(note ? { 'aria-describedby': `${id}-note` } : {}),
      })}
      {note ? (
        <small id={`${id}-note`} className={fault ? 'field-error' : 'faint'}>
          {note}
        </small>
      ) : null}
    </div>
  );
}
