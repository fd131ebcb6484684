"""Whether the engines of a file will find what they need."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from configs.engine import LlamaCppSettings, VllmSettings
from configs.finding import KeyPath, Problem, Severity
from configs.serve_file import ModelApplication, RouterApplication, ServeFile


def model_sources_exist(file: ServeFile) -> Iterator[Problem]:
    for index, application in enumerate(file.applications):
        if isinstance(application, ModelApplication) and isinstance(application.args.root, LlamaCppSettings):
            path: KeyPath = ("applications", index, "args", "model_source")
            for message, severity in _source_faults(application, application.args.root):
                yield Problem(path, message, severity)


def _source_faults(application: ModelApplication, settings: LlamaCppSettings) -> Iterator[tuple[str, Severity]]:
    scheme, colon, package = settings.model_source.partition(":")
    if not colon or scheme != "package":
        if not Path(settings.model_source).is_file():
            message = f"{settings.model_source!r} is no file on this machine; the nodes that run the model must have it"
            yield message, "warning"
    elif not _has_own_environment(application, settings):
        yield from ((message, "error") for message in _package_faults(package))


def _has_own_environment(application: ModelApplication, settings: LlamaCppSettings) -> bool:
    """Whether the engine's packages are not this interpreter's, so that nothing can be said about them here."""
    options = [each.ray_actor_options for each in application.deployments if each.ray_actor_options]
    environments = [application.runtime_env, *(each.runtime_env for each in options)]
    elsewhere = any(each.pip or each.uv or each.conda or each.image_uri or each.container for each in environments)
    return elsewhere or settings.interpreter is not None


def _package_faults(package: str) -> Iterator[str]:
    if not package.isidentifier():
        yield f"'package:{package}' must name a top-level Python package"
        return
    try:
        # imports the parents of a dotted name, but not a top-level package itself
        spec = importlib.util.find_spec(package)
    except ValueError:  # a module that was not imported from anywhere, such as __main__
        spec = None
    if spec is None:
        yield f"the Python package {package!r} is not installed"
        return
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    num_weights = sum(len(list(folder.glob("*.gguf"))) for folder in folders)
    if num_weights != 1:
        yield f"the Python package {package!r} holds {num_weights} GGUF files, not one"


def gpus_are_reserved(file: ServeFile) -> Iterator[Problem]:
    """A deployment's own `ray_actor_options` replace the default ones, which reserve as many GPUs as vLLM uses."""
    for index, application in enumerate(file.applications):
        if not isinstance(application, ModelApplication) or not isinstance(application.args.root, VllmSettings):
            continue
        settings = application.args.root
        for number, deployment in enumerate(application.deployments):
            options = deployment.ray_actor_options
            path: KeyPath = ("applications", index, "deployments", number, "ray_actor_options")
            is_share = settings.swap is None and settings.num_gpus == 1
            if options is not None and is_share and 0 < (options.num_gpus or 0) < 1:
                yield from _share_faults(settings, options.num_gpus or 0, (*path, "num_gpus"))
            elif options is not None and (options.num_gpus or 0) < settings.reserved_gpus:
                yield Problem(path, f"must reserve the GPUs that vLLM uses: num_gpus: {settings.reserved_gpus:g}")
            elif options is not None and options.num_gpus and settings.distributed_executor_backend == "ray":
                yield Problem((*path, "num_gpus"), "must be 0: with the backend `ray`, vLLM reserves its GPUs itself")


def _share_faults(settings: VllmSettings, num_gpus: float, path: KeyPath) -> Iterator[Problem]:
    """Several replicas may share a GPU, whose memory each of them takes its part of."""
    if settings.gpu_memory_utilization > num_gpus:
        message = f"reserves {num_gpus:g} of a GPU, of which vLLM takes {settings.gpu_memory_utilization:g}"
        yield Problem(path, f"{message}: set gpu_memory_utilization", "warning")


def gpus_of_llama_cpp_are_decided(file: ServeFile) -> Iterator[Problem]:
    """As above, but llama.cpp may share a GPU, or use one that Ray does not know: only silence is an error."""
    for index, application in enumerate(file.applications):
        if not isinstance(application, ModelApplication) or not isinstance(application.args.root, LlamaCppSettings):
            continue
        num_gpus = application.args.root.reserved_gpus
        for number, deployment in enumerate(application.deployments):
            options = deployment.ray_actor_options
            if num_gpus and options is not None and options.num_gpus is None:
                path: KeyPath = ("applications", index, "deployments", number, "ray_actor_options")
                yield Problem(path, f"must say which GPUs the layers are for: num_gpus: {num_gpus:g}, or 0 on a Mac")


def drains_fit_into_shutdowns(file: ServeFile) -> Iterator[Problem]:
    for index, application in enumerate(file.applications):
        if isinstance(application, ModelApplication):
            drain_s = application.args.root.drain_timeout_s
        elif isinstance(application, RouterApplication):
            drain_s = application.args.drain_timeout_s
        else:
            continue
        for number, deployment in enumerate(application.deployments):
            shutdown_s = deployment.graceful_shutdown_timeout_s
            if shutdown_s is not None and drain_s > shutdown_s:
                message = (
                    f"ends a stopping replica after {shutdown_s:g} s, though drain_timeout_s gives it {drain_s:g} s"
                )
                path: KeyPath = ("applications", index, "deployments", number, "graceful_shutdown_timeout_s")
                yield Problem(path, message, "warning")
