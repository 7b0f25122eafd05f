"""Balancer: who is dialled, who rests and for how long, and who gets a run; by a clock and a chance of our own."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from openclaw_nb.client.balancer import DRAIN, FRESH, LONGEST, REST, Balancer, Place

A, B, C = (Place(f"ws://127.0.0.1:{port}", f"ws://127.0.0.1:{port}", "near") for port in (1, 2, 3))
FAR = Place("ws://127.0.0.1:4", "ws://127.0.0.1:4", "far", rank=1)


def balancer(*places: Place, balance: str = "least-busy", seed: int = 1) -> Balancer:
    return Balancer(places, [balance] * 2, Random(seed))


def test_the_first_links_are_spread_by_weight() -> None:
    """Of many clients each is at one endpoint."""
    heavy = Place("ws://127.0.0.1:9", weight=3.0)
    chance = Random(7)
    at = Counter(Balancer([heavy, B], chance=chance).choose(0.0) for _ in range(1000))
    assert 700 < at[heavy] < 800


def test_the_same_chance_gives_the_same_choices() -> None:
    def choices(seed: int) -> list[Place | None]:
        one = balancer(A, B, C, seed=seed)
        return [one.choose(0.0) for _ in range(20)]

    assert choices(3) == choices(3)
    assert choices(3) != choices(4)


def test_each_gets_a_link_before_one_gets_a_second() -> None:
    heavy = Place("ws://127.0.0.1:9", weight=3.0)
    one = balancer(A, heavy)
    for _ in range(2):
        place = one.choose(0.0)
        assert place is not None
        one.aim(place)
        one.up(place, 0.0)
    assert {state.links for state in one.states(0.0, [], {})} == {1}
    for _ in range(6):
        place = one.choose(0.0)
        assert place is not None
        one.aim(place)
        one.up(place, 0.0)
    assert [state.links for state in one.states(0.0, [], {})] == [2, 6]


def test_one_that_failed_rests_twice_as_long_each_time() -> None:
    one, now = balancer(A, B), 100.0
    for failures in range(12):
        one.failed(A, now, "refused")
        rest = min(LONGEST, REST * 2**failures)
        assert one.rests(A, now + rest / 2 - 0.001)
        assert not one.rests(A, now + rest)
        assert one.choose(now, [B]) is None
        now += rest
        assert one.choose(now, [B]) == A
    one.up(A, now)
    one.heard(A, now)
    one.failed(A, now, "refused")
    assert not one.rests(A, now + REST), "it worked meanwhile"


def test_links_that_see_the_same_failure_count_it_once() -> None:
    one = balancer(A, B)
    for _ in range(8):
        one.failed(A, 0.0, "cut")
    assert one.states(0.0, [], {})[0].failures == 1
    assert not one.rests(A, REST)


def test_one_that_does_not_want_us_rests_for_longest() -> None:
    one = balancer(A, B)
    one.failed(A, 0.0, "wrong token", refused=True)
    assert one.rests(A, LONGEST / 2 - 0.001)


def test_one_that_asks_for_more_rest_gets_it() -> None:
    one = balancer(A, B)
    one.failed(A, 0.0, "starting", rest=20.0)
    assert one.rests(A, 19.9)
    assert not one.rests(A, 20.1)


@pytest.mark.parametrize(("told", "rest"), [(None, DRAIN), (1.5, 1.5), (1e9, LONGEST)])
def test_one_that_goes_away_is_left_alone_for_so_long(told: float | None, rest: float) -> None:
    one = balancer(A, B)
    one.leaves(A, 0.0, told, "restarting")
    assert one.drains(A)
    assert one.rests(A, rest - 0.01)
    assert not one.rests(A, rest)
    assert one.states(0.0, [], {})[0].state.startswith("draining (restarting), tried again in")
    one.up(A, 9.0)
    assert not one.drains(A)


def test_while_all_rest_the_soonest_is_dialled() -> None:
    one = balancer(A, B, FAR)
    one.failed(A, 0.0, "refused", rest=9.0)
    one.failed(B, 0.0, "refused", rest=5.0)
    one.failed(FAR, 0.0, "refused", rest=7.0)
    assert one.choose(0.0) is None
    assert one.soonest() == B
    one.opened(FAR)
    assert one.soonest() == FAR


# -- fallback --------------------------------------------------------------------------------------


def test_another_cluster_is_dialled_only_while_all_of_the_first_are_away() -> None:
    one = balancer(A, B, FAR)
    assert {one.choose(0.0) for _ in range(50)} == {A, B}
    one.failed(A, 0.0, "refused")
    assert {one.choose(0.0) for _ in range(50)} == {B}
    one.failed(B, 0.0, "refused")
    assert one.choose(0.0) == FAR
    assert one.choose(REST, [FAR]) in (A, B)


def test_links_go_back_to_the_first_cluster() -> None:
    one = balancer(A, B, FAR)
    one.failed(A, 0.0, "refused", rest=3.0)
    one.failed(B, 0.0, "refused", rest=9.0)
    one.up(FAR, 0.0)
    assert one.is_uneven([FAR])
    assert one.better(1.0, [FAR]) is None
    assert one.better(3.0, [FAR]) == (0, A)
    one.aim(A)
    assert one.better(3.0, [A, FAR]) == (1, A), "though it has one"
    assert not one.is_uneven([A])


def test_of_several_links_one_goes_to_an_endpoint_that_has_none() -> None:
    one = balancer(A, B, C)
    assert one.is_uneven([A, A, B])
    found = one.better(0.0, [A, A, B])
    assert found is not None
    assert found[0] in (0, 1)
    assert found[1] == C
    heavy = Place("ws://127.0.0.1:9", weight=3.0)
    found = balancer(A, B, heavy).better(0.0, [heavy, B, heavy])
    assert found is not None
    assert found[0] in (0, 2), "the only link to an endpoint stays, though another has fewer for its weight"
    assert found[1] == A
    assert not one.is_uneven([A, B, C])
    assert not one.is_uneven([A, B])
    assert not one.is_uneven([A])
    assert not one.is_uneven([])
    assert one.better(100.0, [A]) is None, "one link has no better place within its cluster"


# -- which one gets a run --------------------------------------------------------------------------


def runs(one: Balancer, *places: Place, count: int, ends: bool) -> Counter[str]:
    """Where so many runs go that end at once, or never."""
    at, there = Counter[str](), [0] * len(places)
    for _ in range(count):
        index = one.pick(0.0, list(zip(places, there, strict=True)))
        at[places[index].url] += 1
        there[index] += not ends
    return at


@pytest.mark.parametrize("balance", ["least-busy", "round-robin"])
@pytest.mark.parametrize("ends", [True, False])
def test_runs_are_spread_by_weight(balance: str, ends: bool) -> None:
    heavy = Place("ws://127.0.0.1:9", weight=3.0)
    assert runs(balancer(A, heavy, balance=balance), A, heavy, count=80, ends=ends) == {A.url: 20, heavy.url: 60}


def test_two_links_to_one_endpoint_give_it_no_more_runs() -> None:
    at = runs(balancer(A, B, balance="round-robin"), A, A, B, count=40, ends=False)
    assert at == {A.url: 20, B.url: 20}
    one = balancer(A)
    assert [one.pick(0.0, [(A, 2), (A, 1)]), one.pick(0.0, [(A, 0), (A, 1)])] == [1, 0], "the idler link of the two"


def test_the_least_busy_one_gets_it_whoever_keeps_it_busy() -> None:
    one = balancer(A, B)
    assert one.pick(0.0, [(A, 2), (B, 1)]) == 1
    one.told(B, 0.0, load=9, ours=1)
    assert one.pick(0.0, [(A, 2), (B, 1)]) == 0
    assert one.pick(FRESH, [(A, 2), (B, 1)]) == 1, "what it said is old"
    assert one.states(0.0, [(A, 2), (B, 1)], {})[1].load == 9


def test_in_turn_however_busy() -> None:
    one = balancer(A, B, balance="round-robin")
    assert sorted(one.pick(0.0, [(A, 9), (B, 0)]) for _ in range(10)) == [0] * 5 + [1] * 5


def test_runs_go_to_the_first_cluster_while_a_link_is_there() -> None:
    one = balancer(A, FAR)
    assert {one.pick(0.0, [(FAR, 0), (A, 9)]) for _ in range(10)} == {1}


# -- what people are told --------------------------------------------------------------------------


def test_states_in_words() -> None:
    one = balancer(A, B, C)
    one.up(A, 1.0)
    one.failed(B, 2.0, "connection refused", rest=4.0)
    [a, b, c] = one.states(3.0, [(A, 5)], {A: 0.25})
    assert (a.state, a.runs, a.links, a.last_seen, a.cluster, a.url) == ("up", 5, 1, 0.25, "near", A.url)
    assert (b.state, b.failures, b.last_seen) == ("away (connection refused), tried again in 3.0 s", 1, None)
    assert c.state == "not tried yet"
    one.down(A, cut=True)
    [a, *_] = one.states(3.0, [], {})
    assert (a.state, a.cuts, a.last_seen, a.links) == ("free", 1, 2.0, 0)
    one.down(A, cut=False)
    assert one.states(3.0, [], {})[0].links == 0
