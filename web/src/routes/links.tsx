import { useMutation, useQuery } from '@tanstack/react-query';
import { useEffect } from 'react';
import { asApiError } from '../api/problems';
import { queryClient } from '../api/queries';
import { revokeShareLink, shareLinksQuery } from '../api/share-links';
import type { ShareLinkView } from '../api/types';
import { Link } from '../app/router';
import { showsText } from '../features/share/shows';
import { ErrorStrip, toast, When } from '../ui/controls';
import { dateTime, microsecondsOf, moment } from '../ui/format';

/** `/projects/{project}/links`: the public links that work, and the button that ends each. */
export function LinksPage({ project }: { project: string }) {
  const links = useQuery(shareLinksQuery(project));
  useEffect(() => {
    document.title = 'Public links · AMS';
  }, []);
  return (
    <div className="page">
      <div className="page-inner">
        <div className="page-head">
          <div>
            <h1>Public links</h1>
            <p className="quiet">
              Anyone who has one of these links reads its task without an account. Create links in the menu of a task.
            </p>
          </div>
        </div>
        {links.error ? (
          <ErrorStrip error={asApiError(links.error)} doing="Cannot load the links" onRetry={() => links.refetch()} />
        ) : null}
        {links.isFetching && !links.data ? <div className="loading-bar" /> : null}
        {links.data?.items.length === 0 ? (
          <p className="quiet">No public links. Nobody reads tasks without an account.</p>
        ) : null}
        {links.data && links.data.items.length > 0 ? (
          // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls sideways, and keys must reach it
          <section className="table-scroll" aria-label="Public links" tabIndex={0}>
            <table className="table">
              <thead>
                <tr>
                  <th scope="col">Task</th>
                  <th scope="col">Shows</th>
                  <th scope="col">Created by</th>
                  <th scope="col">Created</th>
                  <th scope="col">Last opened</th>
                  <th scope="col">Expires</th>
                  <th scope="col">
                    <span className="visually-hidden">Revoke</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {links.data.items.map((item) => (
                  <LinkRow key={item.link_id} project={project} item={item} />
                ))}
              </tbody>
            </table>
          </section>
        ) : null}
      </div>
    </div>
  );
}

function LinkRow({ project, item }: { project: string; item: ShareLinkView }) {
  const revoke = useMutation({
    mutationFn: () => revokeShareLink(project, item.link_id),
    onSuccess: () => {
      toast('Link revoked');
      return queryClient.invalidateQueries(shareLinksQuery(project));
    },
  });
  const expires = microsecondsOf(item.expires_at) ?? 0;
  return (
    <tr>
      <td>
        <Link className="mono" to={`/projects/${project}/tasks/${item.task_id}`} title={item.task_id}>
          {item.task_id.slice(0, 8)}
        </Link>
      </td>
      <td>{showsText(item.payloads)}</td>
      <td className="quiet">{item.created_by}</td>
      <td className="quiet">
        <When us={microsecondsOf(item.created_at)} />
      </td>
      <td className="quiet">{item.last_used_at ? <When us={microsecondsOf(item.last_used_at)} /> : 'never'}</td>
      <td className="quiet">
        <time title={moment(expires)}>{dateTime(expires)}</time>
      </td>
      <td className="num">
        {revoke.error ? <span className="field-error">{asApiError(revoke.error).message} </span> : null}
        <button
          type="button"
          className="button small"
          aria-label={`Revoke the link to task ${item.task_id.slice(0, 8)}`}
          disabled={revoke.isPending}
          onClick={() => revoke.mutate()}
        >
          Revoke
        </button>
      </td>
    </tr>
  );
}
