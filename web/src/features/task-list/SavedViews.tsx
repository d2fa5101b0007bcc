import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { request } from '../../api/http';
import { asApiError } from '../../api/problems';
import { queryClient } from '../../api/queries';
import type { View, ViewPage } from '../../api/types';
import { Link, navigate, withParams } from '../../app/router';
import { Menu, toast } from '../../ui/controls';
import { Icon } from '../../ui/Icon';
import { alertAddress } from '../alerts/alerts';
import { queueAddress } from '../scores/queue';
import { readChoice } from './columns';
import type { TaskFilter } from './filter';
import { addressOf, viewOf } from './saved-views';
import { useColumnChoice } from './Toolbar';

interface SavedViewsProps {
  project: string;
  filter: TaskFilter;
  range: string;
}

const keyOf = (project: string) => ['views', project];

/** The views that people saved: filter, order, columns and time range under a name, for oneself or for the project. */
export function SavedViews({ project, filter, range }: SavedViewsProps) {
  const [choice, setChoice] = useColumnChoice();
  const base = `/api/traces/${project}/views`;
  const views = useQuery({
    queryKey: keyOf(project),
    queryFn: ({ signal }) => request<ViewPage>(base, { signal, query: { limit: 200 } }),
    staleTime: 60_000,
  });
  const change = async (doing: string, work: () => Promise<unknown>) => {
    try {
      await work();
      await queryClient.invalidateQueries({ queryKey: keyOf(project) });
      return true;
    } catch (error) {
      toast(`Cannot ${doing} the view. ${asApiError(error).message}`);
      return false;
    }
  };
  const open = (view: View) => {
    if (view.columns !== null)
      setChoice({ ...choice, shown: readChoice(JSON.stringify({ shown: view.columns })).shown });
    navigate(withParams(addressOf(view)));
  };
  const items = views.data?.items ?? [];
  return (
    <Menu
      name="Saved views"
      className="button plain small"
      align="end"
      label={
        <>
          Views
          <Icon name="down" />
        </>
      }
    >
      {(close) => (
        <>
          {items.map((view) => (
            <div key={view.view_id} className="saved-view">
              <button
                type="button"
                className="menu-item"
                onClick={() => {
                  open(view);
                  close();
                }}
              >
                <span className="cut">{view.name}</span>
                <span className="faint">{view.visibility === 'shared' ? 'project' : ''}</span>
              </button>
              <Link
                className="button plain small square"
                aria-label={`Annotate the tasks of ${view.name}`}
                title="Score the tasks of this view one after the other"
                to={queueAddress(project, { ...addressOf(view), view: view.name })}
              >
                <Icon name="evaluator" />
              </Link>
              <button
                type="button"
                className="button plain small square"
                aria-label={`Delete view ${view.name}`}
                title="Delete this view"
                onClick={() => change('delete', () => request(`${base}/${view.view_id}`, { method: 'DELETE' }))}
              >
                <Icon name="trash" />
              </button>
            </div>
          ))}
          {items.length === 0 ? <p className="menu-note">No saved views yet</p> : null}
          <Link
            className="menu-item"
            to={queueAddress(project, { ...filter, ...(range ? { range, from: '', to: '' } : {}) })}
          >
            <Icon name="evaluator" /> Annotate the tasks shown
          </Link>
          <Link className="menu-item" to={alertAddress(project, filter)}>
            <Icon name="status-error" /> Alert on this query…
          </Link>
          <div className="menu-rule" />
          <SaveForm
            onSave={async (name, shared) => {
              const body = viewOf(name, shared, filter, range, choice.shown);
              if (await change('save', () => request<View>(base, { method: 'POST', body }))) close();
            }}
          />
        </>
      )}
    </Menu>
  );
}

function SaveForm({ onSave }: { onSave: (name: string, shared: boolean) => Promise<void> }) {
  const [name, setName] = useState('');
  const [shared, setShared] = useState(false);
  return (
    <form
      className="range-form"
      onSubmit={(event) => {
        event.preventDefault();
        if (name.trim()) void onSave(name.trim(), shared);
      }}
    >
      <label>
        Save this view as
        <input className="input" maxLength={100} value={name} onChange={(event) => setName(event.target.value)} />
      </label>
      <label className="saved-view-shared">
        <input type="checkbox" checked={shared} onChange={(event) => setShared(event.target.checked)} />
        For everybody in the project
      </label>
      <button type="submit" className="button small primary" disabled={!name.trim()}>
        Save view
      </button>
    </form>
  );
}
