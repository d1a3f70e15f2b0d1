"""Operations of the tests on the storage behind a real API server."""

import aiohttp


async def compact_etcd(url: str) -> None:
    """Let it forget everything but the present, through its JSON gateway."""
    async with aiohttp.ClientSession(url, raise_for_status=True) as session:
        async with session.post("/v3/kv/range", json={"key": "AA=="}) as response:
            revision = (await response.json())["header"]["revision"]
        await session.post("/v3/kv/compaction", json={"revision": revision, "physical": True})
