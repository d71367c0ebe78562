"""What outlives a call in the cluster, on a real kube-apiserver."""

import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.domain.calls import jobs
from parlance.api.domain.calls.leftovers import DeletedCallJobs

from tests.integration.api_db import support
from tests.integration.api_db.support import Parts, Tenant


async def test_jobs_of_deleted_calls_are_deleted(parts: Parts, acme: Tenant) -> None:
    deleted, kept = [
        await support.add_call(parts.database, acme, audio_key="acme/x") for _ in range(2)
    ]
    await support.delete_call(parts, acme, deleted)
    async with parts.database.system_session() as transaction:
        await transaction.execute(sa.update(tables.Deletion).values(finished_at=sa.func.now()))
    for call in (deleted, kept):
        await parts.kube.create_calljob(jobs.build_calljob(call, acme.slug))

    assert await DeletedCallJobs(parts.database, parts.kube).delete() == 1
    await support.release_job(parts, deleted)
    assert await parts.kube.get_calljob(f"call-{kept.id}") is not None
    assert await parts.kube.get_calljob(f"call-{deleted.id}") is None
