"""The deny-set and its updater, against a plain model of them."""

import random
import timeit

from hypothesis import given
from hypothesis import strategies as st

from beyond_ai import DenyReason, DenyScope, DenySet

IDS = st.integers(0, 4)
STEPS = st.one_of(
    st.tuples(st.sampled_from(DenyScope), IDS, st.none() | st.sampled_from(DenyReason)),
    st.tuples(st.dictionaries(IDS, st.sampled_from(DenyReason)), st.dictionaries(IDS, st.sampled_from(DenyReason))),
)


@given(st.lists(STEPS, max_size=20))
def test_it_says_what_it_was_told(
    steps: list[tuple[DenyScope, int, DenyReason | None] | tuple[dict[int, DenyReason], dict[int, DenyReason]]],
) -> None:
    denied = DenySet()
    updater = denied.updater()
    model: dict[tuple[DenyScope, int], DenyReason] = {}
    for step in steps:
        if len(step) == 2:
            tenants, keys = step
            model = {(DenyScope.TENANT, number): reason for number, reason in tenants.items()}
            model |= {(DenyScope.KEY, number): reason for number, reason in keys.items()}
            updater.replace(dict(tenants), dict(keys))
        else:
            scope, number, reason = step
            if reason is None:
                model.pop((scope, number), None)
                updater.remove(scope, number)
            else:
                model[scope, number] = reason
                updater.put(scope, number, reason)
        assert len(denied) == len(updater) == len(model)
        for tenant in range(5):
            of_tenant = model.get((DenyScope.TENANT, tenant))
            assert denied.reason(tenant, None) is of_tenant
            for key in range(5):
                assert denied.reason(tenant, key) is (of_tenant or model.get((DenyScope.KEY, key)))


def test_a_lookup_takes_less_than_a_microsecond_among_a_million() -> None:
    numbers = random.Random(1)
    denied = DenySet()
    denied.updater().replace({numbers.getrandbits(64): DenyReason.SPEND for _ in range(1_000_000)}, {})
    asked = [numbers.getrandbits(64) for _ in range(10_000)]

    def ask() -> None:
        for number in asked:
            denied.reason(number, number)

    assert min(timeit.repeat(ask, number=1, repeat=7)) / len(asked) < 1e-6
