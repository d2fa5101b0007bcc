"""The routes that agents write to. 200 means: every event that was taken is durable in the log."""

from typing import Any

from litestar import Request, post
from litestar.datastructures import State

from ams_contracts.native import REQUEST_BYTES_MAX, NativeAnswer
from ams_kit.errors import UnsupportedError
from ams_kit.http.json_body import check_charset
from ams_trace_ingest.intake.body import read_body
from ams_trace_ingest.intake.keys import grant_of
from ams_trace_ingest.intake.native import read_native
from ams_trace_ingest.intake.publish import IntakeContext, publish, refused


@post("/v1/batches", status_code=200, opt={"public": True}, request_max_body_size=None, summary="Take events from an SDK")
async def take_batches(request: Request[Any, Any, Any], state: State) -> NativeAnswer:
    """Native batches: at most 100 batches, 1,000 events, 4 MiB (gzip allowed). Guarded by an API key."""
    intake: IntakeContext = state.intake
    grant = await grant_of(request, intake)
    if request.content_type[0] != "application/json":
        raise UnsupportedError("use Content-Type application/json")
    check_charset(request.headers.get("content-type", ""))
    with intake.budget.lease(grant.project_id, grant.key_id) as lease:
        data = await read_body(request, lease, sent_bytes_max=REQUEST_BYTES_MAX, inflated_bytes_max=REQUEST_BYTES_MAX)
        prices = await intake.own_prices.of(grant.project_id)
        taken = read_native(data, project_id=grant.project_id, key_id=grant.key_id, prices=prices, masking=grant.masking)
        for item in taken.rejected:
            refused("native", item.code)
        await publish(intake, lease, taken.payloads, taken.steps, source="native", events=taken.accepted)
    return NativeAnswer(accepted=taken.accepted, rejected=taken.rejected)
