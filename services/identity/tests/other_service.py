"""A service of the platform that authenticates with the kit."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
from litestar import Litestar, Request, get
from litestar.di import NamedDependency, Provide
from services.identity.tests.clients import SERVICE_SECRET

from ams_contracts.claims import Access, KeyGrant, Role, Scope
from ams_identity.settings import Settings
from ams_kit.auth import AuthKit, AuthMiddleware, bearer_of, principal_of, provide_access, require_role
from ams_kit.background import Background
from ams_kit.http.app import make_application
from ams_kit.testing.serving import serving


@get("/who")
async def who(request: Request[Any, Any, Any]) -> str:
    return principal_of(request).user_id


@get("/in/{project:str}")
async def inside(access: NamedDependency[Access]) -> Role:
    return access.role


@get("/write/{project:str}")
async def write(access: NamedDependency[Access]) -> Role:
    require_role(access, Role.MEMBER)
    return access.role


@get("/read/{project:str}")
async def read(access: NamedDependency[Access]) -> str:
    return f"{access.role.value} {access.user_id}"


@get("/intake", opt={"public": True})
async def intake(request: Request[Any, Any, Any]) -> KeyGrant:
    return await request.app.state.auth.keys.grant(bearer_of(request.scope))


@contextmanager
def service(url: str, settings: Settings, name: str, key_scope: Scope | None = None, *, kafka: str | None = None) -> Iterator[httpx.Client]:
    """A service of the platform that uses the identity at this URL."""
    background = Background()

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncGenerator[None]:
        app.state.auth = AuthKit.open(url, settings.redis_url, SERVICE_SECRET, settings.public_url, service=name, kafka=kafka)
        await app.state.auth.start(background)
        yield
        await background.close()
        await app.state.auth.close()

    app = make_application(
        title=name,
        openapi_path="/openapi",
        route_handlers=[who, inside, write, read, intake],
        checks={},
        background=background,
        middleware=[AuthMiddleware(key_scope=key_scope)],
        dependencies={"access": Provide(provide_access)},
        lifespan=[lifespan],
    )
    with serving(app) as address, httpx.Client(base_url=address, timeout=30) as client:
        yield client
