import { type FormEvent, useRef, useState } from 'react';

export interface Field {
  name: string;
  label: string;
  type?: string;
  autoComplete: string;
  hint?: string;
  inputMode?: 'numeric' | 'text';
}

interface FieldFormProps {
  fields: Field[];
  errors: Readonly<Record<string, string>>;
  action: string;
  busy: boolean;
  /** Whether the first field has the focus when the form appears. */
  focused?: boolean;
  danger?: boolean;
  /** Another control is the first choice of the page. */
  secondary?: boolean;
  onSubmit: (fields: Record<string, string>) => void;
}

/** A form of labelled fields: what is missing or refused is written below its field. */
export function FieldForm({ fields, errors, action, busy, focused, danger, secondary, onSubmit }: FieldFormProps) {
  const [missing, setMissing] = useState<string[]>([]);
  const form = useRef<HTMLFormElement>(null);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!form.current || busy) return;
    const data = new FormData(form.current);
    const values = Object.fromEntries(fields.map(({ name }) => [name, String(data.get(name) ?? '')]));
    const empty = fields.filter(({ name }) => !values[name]?.trim()).map(({ name }) => name);
    setMissing(empty);
    if (empty.length > 0) form.current.querySelector<HTMLInputElement>(`[name=${empty[0]}]`)?.focus();
    else onSubmit(values);
  };
  return (
    <form ref={form} onSubmit={submit} noValidate aria-label={action}>
      {fields.map((field, index) => {
        const error = missing.includes(field.name) ? `${field.label} is required.` : errors[field.name];
        const note = error ?? field.hint;
        const id = `${action.replaceAll(' ', '-')}-${field.name}-note`;
        return (
          <label key={field.name} className="field">
            <span>{field.label}</span>
            <input
              className="input"
              name={field.name}
              type={field.type ?? 'text'}
              autoComplete={field.autoComplete}
              inputMode={field.inputMode}
              autoCapitalize="none"
              spellCheck={false}
              // biome-ignore lint/a11y/noAutofocus: only where the page is this form and nothing else
              autoFocus={focused === true && index === 0}
              aria-invalid={error ? true : undefined}
              aria-describedby={note ? id : undefined}
            />
            {note ? (
              <small id={id} className={error ? 'field-error' : 'faint'}>
                {note}
              </small>
            ) : null}
          </label>
        );
      })}
      <button type="submit" className={`button ${danger ? 'danger' : secondary ? '' : 'primary'} wide`} disabled={busy}>
        {action}
      </button>
    </form>
  );
}
