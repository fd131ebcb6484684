"""
vLLM's sleep mode, and that of the simulated engine, which has the same routes.

Source:
    vLLM 0.30.0, `entrypoints/serve/dev/sleep/api_router.py` and `entrypoints/serve/dev/rpc/api_router.py`: the routes,
    which are there with VLLM_SERVER_DEV_MODE only, and `v1/worker/gpu_worker.py`: what each level keeps.
"""

from deployments.engines.contract import EngineAddress, SleepMode, SleepRequest

SLEEP_ENVIRONMENT = {"VLLM_SERVER_DEV_MODE": "1"}
"""Opens vLLM's routes for developers, too; like all others they are for whoever has the replica's secret."""


def vllm_sleep_mode(address: EngineAddress, level: int) -> SleepMode:
    wake: tuple[SleepRequest, ...] = (SleepRequest("/wake_up"),)
    if level == 2:  # the weights are gone, and there is nothing to read them into before their memory is back
        wake = (
            SleepRequest("/wake_up?tags=weights"),
            SleepRequest("/collective_rpc", {"method": "reload_weights"}),
            SleepRequest("/wake_up?tags=kv_cache"),
        )
    return SleepMode(
        url=f"http://{address.host}:{address.port}",
        headers={"Authorization": f"Bearer {address.secret}"},
        sleep=(SleepRequest(f"/sleep?level={level}"),),
        wake=wake,
        state="/is_sleeping",
        is_asleep=lambda answer: answer["is_sleeping"] is True,
    )
