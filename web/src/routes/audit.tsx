import { useInfiniteQuery, useMutation } from '@tanstack/react-query';
import { useEffect } from 'react';
import { auditQuery, exportAudit } from '../api/people';
import { asApiError } from '../api/problems';
import { ErrorStrip, When } from '../ui/controls';
import { microsecondsOf } from '../ui/format';

/** `/projects/{project}/audit`: what people did in the project, newest first. For owners. */
export function AuditPage({ project }: { project: string }) {
  const entries = useInfiniteQuery(auditQuery(project));
  const download = useMutation({
    mutationFn: () => exportAudit(project),
    onSuccess: (blob) => {
      const link = document.createElement('a');
      link.href = URL.createObjectURL(blob);
      link.download = 'audit.jsonl';
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    },
  });
  useEffect(() => {
    document.title = 'Audit log · AMS';
  }, []);
  const items = entries.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <div className="page">
      <div className="page-inner">
        <div className="page-head">
          <div>
            <h1>Audit log</h1>
            <p className="quiet">
              What people did in this project. Each entry's hash covers the one before it, so that a change shows.
            </p>
          </div>
          <button type="button" className="button" disabled={download.isPending} onClick={() => download.mutate()}>
            Export
          </button>
        </div>
        {download.error ? <ErrorStrip error={asApiError(download.error)} doing="Cannot export the audit log" /> : null}
        {entries.error ? (
          <ErrorStrip
            error={asApiError(entries.error)}
            doing="Cannot load the audit log"
            onRetry={() => entries.refetch()}
          />
        ) : null}
        {entries.isFetching && !entries.data ? <div className="loading-bar" /> : null}
        {items.length > 0 ? (
          // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls sideways, and keys must reach it
          <section className="table-scroll" aria-label="Audit log" tabIndex={0}>
            <table className="table">
              <thead>
                <tr>
                  <th scope="col">When</th>
                  <th scope="col">Who</th>
                  <th scope="col">Action</th>
                  <th scope="col">Object</th>
                  <th scope="col">From</th>
                  <th scope="col">Outcome</th>
                  <th scope="col">Number</th>
                </tr>
              </thead>
              <tbody>
                {items.map((item) => (
                  <tr key={item.audit_id}>
                    <td className="quiet">
                      <When us={microsecondsOf(item.at)} />
                    </td>
                    <td>{item.username ?? 'an operator'}</td>
                    <td className="mono">{item.action}</td>
                    <td className="mono quiet">{item.subject ?? ''}</td>
                    <td className="mono quiet">{item.address ?? ''}</td>
                    <td>{item.outcome}</td>
                    <td className="mono quiet" title={item.hash ?? 'Not in the chain yet'}>
                      {item.seq ?? ''}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </section>
        ) : null}
        {entries.hasNextPage ? (
          <button
            type="button"
            className="button"
            disabled={entries.isFetchingNextPage}
            onClick={() => entries.fetchNextPage()}
          >
            Show older entries
          </button>
        ) : null}
      </div>
    </div>
  );
}
