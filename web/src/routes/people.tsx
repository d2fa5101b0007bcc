import { useMutation, useQuery } from '@tanstack/react-query';
import { type FormEvent, useEffect, useState, useSyncExternalStore } from 'react';
import { invitationsQuery, invite, membersQuery, removeMember, setRole, withdrawInvitation } from '../api/people';
import { asApiError } from '../api/problems';
import { projectsQuery, queryClient } from '../api/queries';
import { session } from '../api/session';
import type { InvitationView, Member, Role } from '../api/types';
import { Link, navigate } from '../app/router';
import { SecondFactorSetting } from '../features/factors/SecondFactorSetting';
import { CopyButton, ErrorStrip, When } from '../ui/controls';
import { microsecondsOf } from '../ui/format';
import './own-account.css';

const ROLES: Role[] = ['viewer', 'member', 'owner'];
const MAY: Record<Role, string> = {
  viewer: 'reads tasks',
  member: 'reads tasks, manages API keys',
  owner: 'manages members and the project',
};

/** `/projects/{project}/people`: who has access, and who is invited. */
export function PeoplePage({ project }: { project: string }) {
  const members = useQuery(membersQuery(project));
  const projects = useQuery(projectsQuery);
  const identity = useSyncExternalStore(session.subscribe, session.get);
  const me = identity.state === 'in' ? identity.user.user_id : '';
  const own = projects.data?.items.find((item) => item.project_id === project);
  const owner = own?.role === 'owner';
  const role = own?.role;
  const refresh = () => queryClient.invalidateQueries(membersQuery(project));
  useEffect(() => {
    document.title = 'People · AMS';
  }, []);
  return (
    <div className="page">
      <div className="page-inner">
        <div className="page-head">
          <div>
            <h1>People</h1>
            <p className="quiet">Who has access to this project.</p>
          </div>
          <div className="page-actions">
            {role === undefined || role === 'viewer' ? null : (
              <Link className="button" to={`/projects/${project}/links`}>
                Public links
              </Link>
            )}
            {owner ? (
              <Link className="button" to={`/projects/${project}/audit`}>
                Audit log
              </Link>
            ) : null}
          </div>
        </div>
        {members.error ? (
          <ErrorStrip
            error={asApiError(members.error)}
            doing="Cannot load the members"
            onRetry={() => members.refetch()}
          />
        ) : null}
        {members.data ? (
          // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls sideways, and keys must reach it
          <section className="table-scroll" aria-label="Members" tabIndex={0}>
            <table className="table">
              <thead>
                <tr>
                  <th scope="col">Username</th>
                  <th scope="col">Role</th>
                  <th scope="col">Since</th>
                  <th scope="col">
                    <span className="visually-hidden">Remove</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {members.data.items.map((item) => (
                  <MemberRow
                    key={item.user_id}
                    project={project}
                    item={item}
                    mine={item.user_id === me}
                    owner={owner}
                    onChanged={refresh}
                  />
                ))}
              </tbody>
            </table>
          </section>
        ) : null}
        {owner ? <Invitations project={project} /> : null}
        {own && owner ? <SecondFactorSetting project={own} /> : null}
      </div>
    </div>
  );
}

interface MemberRowProps {
  project: string;
  item: Member;
  mine: boolean;
  owner: boolean;
  onChanged: () => void;
}

function MemberRow({ project, item, mine, owner, onChanged }: MemberRowProps) {
  const [asking, setAsking] = useState(false);
  const change = useMutation({
    mutationFn: (role: Role) => setRole(project, item.user_id, role),
    onSuccess: onChanged,
  });
  const remove = useMutation({
    mutationFn: () => removeMember(project, item.user_id),
    onSuccess: async () => {
      if (mine) {
        await queryClient.invalidateQueries(projectsQuery);
        navigate('/');
      } else onChanged();
    },
  });
  const error = change.error ?? remove.error;
  return (
    <tr>
      <td style={{ fontWeight: 500 }}>
        {item.username} {mine ? <span className="quiet">(you)</span> : null}
        {item.kind === 'service' ? <span className="quiet">(service account)</span> : null}
      </td>
      <td>
        {owner ? (
          <select
            className="input"
            aria-label={`Role of ${item.username}`}
            value={item.role}
            disabled={change.isPending}
            onChange={(event) => change.mutate(event.target.value as Role)}
          >
            {ROLES.filter((role) => item.kind !== 'service' || role !== 'owner').map((role) => (
              <option key={role} value={role}>
                {role}: {MAY[role]}
              </option>
            ))}
          </select>
        ) : (
          item.role
        )}
      </td>
      <td className="quiet">
        <When us={microsecondsOf(item.created_at)} />
      </td>
      <td className="num">
        {error ? <span className="field-error">{asApiError(error).message} </span> : null}
        {!owner && !mine ? null : asking ? (
          <>
            <button
              type="button"
              className="button small danger"
              disabled={remove.isPending}
              onClick={() => remove.mutate()}
            >
              {mine ? 'Leave project' : 'Remove member'}
            </button>{' '}
            <button type="button" className="button small plain" onClick={() => setAsking(false)}>
              Cancel
            </button>
          </>
        ) : (
          <button
            type="button"
            className="button small"
            aria-label={mine ? 'Leave this project' : `Remove ${item.username}`}
            onClick={() => setAsking(true)}
          >
            {mine ? 'Leave' : 'Remove'}
          </button>
        )}
      </td>
    </tr>
  );
}

function Invitations({ project }: { project: string }) {
  const invitations = useQuery(invitationsQuery(project));
  const [role, choose] = useState<Role>('member');
  const refresh = () => queryClient.invalidateQueries(invitationsQuery(project));
  const create = useMutation({ mutationFn: () => invite(project, role), onSuccess: refresh });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    create.mutate();
  };
  return (
    <section className="settings-section" aria-label="Invitations">
      <h2>Invitations</h2>
      <p className="quiet">
        Send the link to one person. It works once, for 7 days, for anyone who has it and signs in.
      </p>
      <form className="inline" onSubmit={submit}>
        <select
          className="input"
          aria-label="Role of the invited person"
          value={role}
          onChange={(event) => choose(event.target.value as Role)}
        >
          {ROLES.map((item) => (
            <option key={item} value={item}>
              {item}: {MAY[item]}
            </option>
          ))}
        </select>
        <button type="submit" className="button primary" disabled={create.isPending}>
          Create invitation
        </button>
      </form>
      {create.error ? <ErrorStrip error={asApiError(create.error)} doing="Cannot create the invitation" /> : null}
      {create.data ? (
        <div className="key-made" role="status">
          <p>Copy this link now. It is not shown again.</p>
          <code>{create.data.link}</code>
          <CopyButton text={create.data.link} what="the link" label="Copy" />
        </div>
      ) : null}
      {invitations.error ? (
        <ErrorStrip
          error={asApiError(invitations.error)}
          doing="Cannot load the invitations"
          onRetry={() => invitations.refetch()}
        />
      ) : null}
      {invitations.data && invitations.data.items.length > 0 ? (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls sideways, and keys must reach it
        <section className="table-scroll" aria-label="Open invitations" tabIndex={0}>
          <table className="table">
            <thead>
              <tr>
                <th scope="col">Role</th>
                <th scope="col">Invited by</th>
                <th scope="col">Created</th>
                <th scope="col">Expires</th>
                <th scope="col">
                  <span className="visually-hidden">Withdraw</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {invitations.data.items.map((item) => (
                <InvitationRow key={item.invitation_id} project={project} item={item} onEnded={refresh} />
              ))}
            </tbody>
          </table>
        </section>
      ) : null}
    </section>
  );
}

function InvitationRow({ project, item, onEnded }: { project: string; item: InvitationView; onEnded: () => void }) {
  const end = useMutation({ mutationFn: () => withdrawInvitation(project, item.invitation_id), onSuccess: onEnded });
  return (
    <tr>
      <td>{item.role}</td>
      <td className="quiet">{item.invited_by}</td>
      <td className="quiet">
        <When us={microsecondsOf(item.created_at)} />
      </td>
      <td className="quiet">
        <When us={microsecondsOf(item.expires_at)} />
      </td>
      <td className="num">
        {end.error ? <span className="field-error">{asApiError(end.error).message} </span> : null}
        <button type="button" className="button small" disabled={end.isPending} onClick={() => end.mutate()}>
          Withdraw
        </button>
      </td>
    </tr>
  );
}
