/** Public links to tasks: who made them, what they show, and until when. */
import { queryOptions } from '@tanstack/react-query';
import { request } from './http';
import type { CreatedShareLink, ShareLinkList } from './types';

export interface NewShareLink {
  task_id: string;
  payloads: boolean;
  expires_in_days: number;
}

export function shareLinksQuery(project: string) {
  return queryOptions({
    queryKey: ['share-links', project],
    queryFn: ({ signal }) => request<ShareLinkList>(`/api/projects/${project}/share-links`, { signal }),
  });
}

export const createShareLink = (project: string, body: NewShareLink) =>
  request<CreatedShareLink>(`/api/projects/${project}/share-links`, { method: 'POST', body });

export const revokeShareLink = (project: string, link: string) =>
  request<void>(`/api/projects/${project}/share-links/${link}`, { method: 'DELETE' });
