import { CopyButton, Segmented } from '../../ui/controls';
import { exact, plural } from '../../ui/format';
import { Icon } from '../../ui/Icon';
import type { StepTable } from './table';
import type { Mode, Zoom } from './waterfall';

const MODES = [
  { value: 'tree', label: 'Tree', icon: 'tree' },
  { value: 'log', label: 'Log', icon: 'list' },
] as const;

interface LogBarProps {
  table: StepTable;
  mode: Mode;
  onMode: (mode: Mode) => void;
  filterText: string;
  onFilter: (text: string) => void;
  mistake: string | null;
  hits: number | null;
  /** the contents of steps are still searched */
  isSearching: boolean;
  query: React.RefObject<HTMLInputElement | null>;
  open: number;
  following: boolean;
  onFollow: (following: boolean) => void;
  /** a range was chosen */
  zoomed: boolean;
  /** whether the time axis follows the visible rows; null in small tasks, where it need not */
  fitted: boolean | null;
  onZoom: (zoom: Zoom) => void;
  onCollapseAll: () => void;
  onExpandAll: () => void;
}

/** The toolbar above the steps: view, filter and navigation. */
export function LogBar(props: LogBarProps) {
  const { mode, filterText, mistake, hits } = props;
  return (
    <div className="log-bar" role="toolbar" aria-label="Steps">
      <Segmented label="Show steps as" value={mode} options={MODES} onChange={props.onMode} small />
      <search className="query-box">
        <Icon name="search" />
        <input
          ref={props.query}
          className="input"
          type="text"
          value={filterText}
          onChange={(event) => props.onFilter(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === 'Escape') {
              if (filterText) props.onFilter('');
              else event.currentTarget.blur();
              event.stopPropagation();
            }
            if (event.key === 'Enter') {
              event.currentTarget.blur();
              document.querySelector<HTMLElement>('.step-grid')?.focus();
            }
          }}
          aria-label="Filter steps"
          aria-invalid={mistake ? true : undefined}
          title={mistake ?? undefined}
          placeholder="Filter by text, type:llm, latency:>2s"
          spellCheck={false}
          autoComplete="off"
        />
        {filterText ? (
          <button
            type="button"
            className="button plain small square clear"
            aria-label="Clear filter"
            onClick={() => props.onFilter('')}
          >
            <Icon name="close" />
          </button>
        ) : (
          <kbd>/</kbd>
        )}
      </search>
      {mistake ? (
        <span className="hits" role="alert" style={{ color: 'var(--error)' }}>
          {mistake}
        </span>
      ) : hits !== null ? (
        <span className="hits" role="status">
          {exact(hits)} of {plural(props.table.size, 'step')}
          {props.isSearching ? ' …' : ''}
        </span>
      ) : null}
      <span style={{ flex: 1 }} />
      {props.zoomed ? (
        <button
          type="button"
          className="button small"
          onClick={() => props.onZoom(props.fitted === null ? null : 'all')}
          title="Show the full time range (0)"
        >
          <Icon name="zoom" /> Full range
        </button>
      ) : null}
      {props.fitted !== null && mode === 'tree' ? (
        <button
          type="button"
          className="button small"
          aria-pressed={props.fitted}
          onClick={() => props.onZoom(props.fitted ? 'all' : null)}
          title="Fit the time axis to the visible rows (g)"
        >
          <Icon name="zoom" /> Fit
        </button>
      ) : null}
      {mode === 'tree' ? (
        <>
          <button
            type="button"
            className="button plain small square"
            onClick={props.onExpandAll}
            aria-label="Expand all"
            title="Expand all (9)"
          >
            <Icon name="expand" />
          </button>
          <button
            type="button"
            className="button plain small square"
            onClick={props.onCollapseAll}
            aria-label="Collapse all"
            title="Collapse all (1)"
          >
            <Icon name="collapse" />
          </button>
        </>
      ) : null}
      {props.open > 0 ? (
        <button
          type="button"
          className="button small"
          aria-pressed={props.following}
          onClick={() => props.onFollow(!props.following)}
          title="Keep the newest step visible (f)"
        >
          <Icon name="follow" /> Follow
        </button>
      ) : null}
      <CopyButton text={() => location.href} what="a link to this view" icon="link" />
    </div>
  );
}
