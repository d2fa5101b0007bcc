import { useMutation } from '@tanstack/react-query';
import { type FormEvent, useId, useRef, useState } from 'react';
import { asApiError } from '../../api/problems';
import type { OwnPrice } from '../../api/types';
import { CopyButton, ErrorStrip, Segmented, toast } from '../../ui/controls';
import { Dialog } from '../../ui/Dialog';
import { Preview } from './Preview';
import { faultsOf, furtherSentence, PARTS, type PriceForm, previewPrices, priceOf, setPrice } from './prices';
import './prices.css';

/** Computes stored costs again: only the operator may, because it is done for all projects. */
const APPLY = './ams replay --reprice --apply';
const DAYS = [
  { value: '7', label: '7 days' },
  { value: '30', label: '30 days' },
  { value: '90', label: '90 days' },
] as const;

interface PriceDialogProps {
  project: string;
  /** what the fields show at first */
  initial: PriceForm;
  /** the price that counts for the model now; with it, the list price can be restored */
  current: OwnPrice | null;
  /** members see what a price would change; only owners set it */
  owner: boolean;
  onSet: () => void;
  onClose: () => void;
}

/** Sets a project's own price of a model, and shows before what it would change of past costs. */
export function PriceDialog({ project, initial, current, owner, onSet, onClose }: PriceDialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [form, setForm] = useState(initial);
  const [checked, setChecked] = useState(false);
  const [days, setDays] = useState<(typeof DAYS)[number]['value']>('30');
  const faults = checked ? faultsOf(form) : {};
  const preview = useMutation({ mutationFn: () => previewPrices(project, Number(days), priceOf(form)) });
  const set = useMutation({
    mutationFn: (listPrice: boolean) => setPrice(project, priceOf(form, listPrice)),
    onSuccess: () => {
      toast('Price set. Calls are billed by it in 30 seconds at the latest.');
      onSet();
      dialog.current?.close();
    },
  });
  const change = (next: Partial<PriceForm>) => {
    setForm((known) => ({ ...known, ...next }));
    preview.reset();
  };
  const compare = (value: typeof days) => {
    setDays(value);
    preview.reset();
  };
  const checkedThen = (send: () => void) => {
    setChecked(true);
    if (Object.keys(faultsOf(form)).length === 0) send();
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    checkedThen(() => (owner ? set.mutate(false) : preview.mutate()));
  };
  const error = set.error ?? preview.error;
  const further = furtherSentence(form);
  return (
    <Dialog dialog={dialog} title={owner ? 'Set an own price' : 'Try a price'} onClose={onClose}>
      <form className="dialog-body" onSubmit={submit} noValidate>
        <div className="price-fields">
          <TextField
            label="Model"
            value={form.model}
            fault={faults.model}
            hint="End with * for all names that begin like this."
            onChange={(model) => change({ model })}
          />
          <TextField
            label="Provider"
            value={form.provider}
            hint="Empty for any."
            onChange={(provider) => change({ provider })}
          />
        </div>
        <fieldset className="price-parts">
          <legend>US dollars for a million tokens</legend>
          {PARTS.map(({ part, label }) => (
            <TextField
              key={part}
              label={label}
              value={form.usd[part]}
              fault={faults[part]}
              numeric
              onChange={(usd) => change({ usd: { ...form.usd, [part]: usd } })}
            />
          ))}
        </fieldset>
        {further ? <p className="faint">{further}</p> : null}
        <div className="price-fields">
          <label className="field">
            <span>From</span>
            <input
              className="input"
              type="date"
              value={form.from}
              onChange={(event) => change({ from: event.target.value })}
            />
            <small className="faint">Start of the UTC day. Empty: from now on.</small>
          </label>
          <TextField
            label="Note"
            value={form.note}
            hint="Such as the contract."
            onChange={(note) => change({ note })}
          />
        </div>
        <div className="price-preview-head">
          <strong>Past costs</strong>
          <Segmented small label="Compare" value={days} options={DAYS} onChange={compare} />
          <button
            type="button"
            className="button small"
            disabled={preview.isPending}
            onClick={() => checkedThen(() => preview.mutate())}
          >
            {preview.isPending ? 'Comparing…' : 'Preview changes'}
          </button>
        </div>
        {preview.data ? (
          <Preview preview={preview.data} days={Number(days)} />
        ) : (
          <p className="faint">Shows what this price would change, by day and model. Nothing is stored.</p>
        )}
        <p className="faint">
          Stored costs stay. The operator of the installation applies prices to them with{' '}
          <code className="price-command">{APPLY}</code> <CopyButton text={APPLY} what="the command" />
        </p>
        {error ? <ErrorStrip error={asApiError(error)} doing="Cannot continue" /> : null}
        <div className="dialog-actions">
          {owner && current?.usd_per_million ? (
            <button
              type="button"
              className="button price-list-again"
              disabled={set.isPending}
              onClick={() => set.mutate(true)}
            >
              Use the list price again
            </button>
          ) : null}
          <button type="button" className="button" onClick={() => dialog.current?.close()}>
            Cancel
          </button>
          {owner ? (
            <button type="submit" className="button primary" disabled={set.isPending}>
              Set price
            </button>
          ) : null}
        </div>
      </form>
    </Dialog>
  );
}

interface TextFieldProps {
  label: string;
  value: string;
  fault?: string | undefined;
  hint?: string;
  numeric?: boolean;
  onChange: (value: string) => void;
}

function TextField({ label, value, fault, hint, numeric, onChange }: TextFieldProps) {
  const id = useId();
  const note = fault ?? hint;
  return (
    <label className="field">
      <span>{label}</span>
      <input
        className="input"
        value={value}
        inputMode={numeric ? 'decimal' : undefined}
        autoComplete="off"
        spellCheck={false}
        maxLength={256}
        aria-invalid={fault ? true : undefined}
        aria-describedby={note ? id : undefined}
        onChange={(event) => onChange(event.target.value)}
      />
      {note ? (
        <small id={id} className={fault ? 'field-error' : 'faint'}>
          {note}
        </small>
      ) : null}
    </label>
  );
}
