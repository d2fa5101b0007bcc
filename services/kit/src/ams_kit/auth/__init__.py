"""Authentication and authorization, the same in every service.

A service's composition root opens one ``AuthKit`` in its lifespan, stores it in ``app.state.auth``, and puts ``AuthMiddleware()`` in front of
every route. Routes of a project use the dependency ``access`` from ``provide_access``.
"""

from ams_kit.auth.access import AccessClient, AccessSource, access_of, provide_access, require_role, second_factor_required
from ams_kit.auth.api_keys import KeyClient, KeyUse
from ams_kit.auth.identity_events import IdentityEvents
from ams_kit.auth.inbound import InboundVerifier
from ams_kit.auth.kit import AuthKit, open_redis
from ams_kit.auth.middleware import KEY_SCOPE, SHARED, AuthMiddleware, Shared, use_of
from ams_kit.auth.principal import KeyPrincipal, Principal, SharePrincipal, any_principal_of, bearer_of, principal_of, visitor_of
from ams_kit.auth.service_tokens import internal_only, service_token, verify_service_token
from ams_kit.auth.tokens import is_uuid
from ams_kit.auth.verifier import Verifier

__all__ = [
    "KEY_SCOPE",
    "SHARED",
    "AccessClient",
    "AccessSource",
    "AuthKit",
    "AuthMiddleware",
    "IdentityEvents",
    "InboundVerifier",
    "KeyClient",
    "KeyPrincipal",
    "KeyUse",
    "Principal",
    "SharePrincipal",
    "Shared",
    "Verifier",
    "access_of",
    "any_principal_of",
    "bearer_of",
    "internal_only",
    "is_uuid",
    "open_redis",
    "principal_of",
    "provide_access",
    "require_role",
    "second_factor_required",
    "service_token",
    "use_of",
    "verify_service_token",
    "visitor_of",
]
