"""router.canary.choice: a request's model, with the backend of its session first."""

import orjson

from configs.backends import BackendSettings, CanaryRule, ShadowSettings
from configs.router import ModelRoute
from router.call import ROUTES, Call, parse_call
from router.canary.choice import choose_backend, without_trials
from router.canary.trial import Trial, base_of
from router.models.table import Model, model_of

LONG = "You are a careful programmer. " * 200
TENANT = "0123456789abcdef" * 4


def call(text: str = "hi", session: bytes = b"", *more: str) -> Call:
    messages = [{"role": "user", "content": text}]
    for one in more:
        messages += [{"role": "assistant", "content": "yes"}, {"role": "user", "content": one}]
    return parse_call(
        ROUTES["/v1/chat/completions"], orjson.dumps({"model": "m", "messages": messages, "temperature": 0}), session
    )


def completion(prompt: str) -> Call:
    return parse_call(ROUTES["/v1/completions"], orjson.dumps({"model": "m", "prompt": prompt}))


def model(**fields: object) -> Model:
    backends = (
        BackendSettings(application="a"),
        BackendSettings(application="b", adapter="sql", weight=2),
        BackendSettings(application="b", adapter="go"),
    )
    return model_of("m", ModelRoute.model_validate({"backends": backends, **fields}))


def chosen(one: Call, tenant: str = "") -> Model:
    return choose_backend(model(fallbacks=("spare",)), one, tenant)


def test_a_session_keeps_its_backend_whatever_it_says() -> None:
    """What the client's header names stands for all that is said in it, and sessions are spread."""
    assert chosen(call("hi", b"s1")) == chosen(call(LONG, b"s1", "more"), TENANT)
    assert {"a", "b"} == {chosen(call("hi", b"s%d" % number)).applications[0] for number in range(20)}


def test_a_conversation_keeps_its_backend_as_it_grows() -> None:
    """Its beginning stands for it where no header does."""
    for number in range(20):
        assert chosen(call(f"{number} {LONG}")) == chosen(call(f"{number} {LONG}", b"", "more", "and more"))


def test_a_conversation_that_begins_with_little_keeps_its_backend() -> None:
    """Also when it has become long, and whether its requests have a key or not."""
    for number in range(20):
        grown = call(f"hi {number}", b"", LONG, "and more")
        for tenant in ("", TENANT):
            assert chosen(call(f"hi {number}"), tenant) == chosen(grown, tenant)


def test_short_conversations_of_one_tenant_are_spread() -> None:
    """A team with one key would otherwise be on one side of a canary, all of it."""
    assert 3 == len({chosen(call(f"hi {number}"), TENANT).backends[0].label for number in range(200)})


def test_short_prompts_of_one_tenant_have_one_backend() -> None:
    """Where there is neither a session nor a beginning worth the name."""
    assert 1 == len({chosen(completion(f"hi {number}"), TENANT).backends for number in range(20)})


def test_a_request_with_nothing_to_know_it_by_is_spread() -> None:
    """One of many has each backend."""
    assert 3 == len({chosen(completion("hi")).backends[0].label for _ in range(200)})


def test_the_fallbacks_stay_last() -> None:
    """Each application is asked once: of two adapters of one that which was chosen."""
    for number in range(20):
        found = chosen(call("hi", b"s%d" % number))
        first = found.backends[0]
        assert {"a", "b"} == set(found.applications[:2])
        assert ("spare", first.application, first.adapter) == (
            found.applications[2], found.applications[0], found.adapter,
        )  # fmt: skip
        assert [first, None] == [found.backend_at(first.application), found.backend_at("spare").adapter]


def test_a_model_with_one_backend_is_left_as_it_is() -> None:
    """Nothing is to be chosen."""
    plain = model_of("m", ModelRoute(application="a", fallbacks=("b",)))
    assert plain is choose_backend(plain, call(), TENANT)
    assert ("a", "b") == plain.applications


def test_work_that_nobody_waits_for_has_the_heaviest_backend() -> None:
    """Batches are planned for one application, and nothing of them is copied."""
    shadow = ShadowSettings(application="c", ratio=1)
    found = without_trials(model(shadow=shadow, fallbacks=("spare",)))
    assert (("b", "a", "spare"), "sql", None) == (found.applications, found.adapter, found.shadow)


def test_work_that_nobody_waits_for_tries_no_canary() -> None:
    """Also one that has most of the sessions: a batch would go to it whole."""
    route = ModelRoute(application="old")
    trial = Trial("t1", "m", "new", None, 80, (), 0, CanaryRule(), base_of(route), 100.0)
    tried = model_of("m", route, trials=(trial,))
    assert ("new", ("old",)) == (tried.applications[0], without_trials(tried).applications)
