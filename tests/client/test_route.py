"""Route: the order in which a link tries endpoints, how long each has, and what it comes to; by a clock of our own."""

from __future__ import annotations

from random import Random

import pytest

from openclaw_nb.client.balancer import Balancer, Place
from openclaw_nb.client.credentials import Credentials
from openclaw_nb.client.route import OPEN_TIMEOUT, QUICK, TIMES, WHERE_OTHERS_ARE, Route
from openclaw_nb.errors import AuthError, ConnectionLost

PLACES = [Place(f"ws://127.0.0.1:{port}", f"ws://127.0.0.1:{port}") for port in (1, 2, 3)]
CUT = ConnectionLost("it was cut")
GONE = ConnectionLost("connection refused")


def make(*places: Place, trial: bool = False) -> tuple[Route, Balancer]:
    """One that begins at the first of them."""
    balancer = Balancer(places, chance=Random(1))
    route = Route("agent://c", balancer, lambda _: None, now=0.0, first=places[0], is_trial=trial)
    return route, balancer


def up(route: Route, now: float = 0.0, seconds: float = 0.01) -> None:
    """Let in, and something was heard."""
    route.up(now, seconds)
    route.heard(now)


def lost(route: Route, now: float = 0.0, *, abrupt: bool = True) -> bool:
    route.ended(cut=True)
    return route.moves_on(CUT, now, was_up=True, abrupt=abrupt)


def refused(route: Route, now: float = 0.0) -> bool:
    return route.moves_on(GONE, now, was_up=False, abrupt=True)


def test_one_endpoint_is_dialled_by_who_asks_only() -> None:
    route = Route.single("agent://x", "wss://gw.example.org")
    assert not refused(route)
    up(route)
    assert not lost(route)
    assert route.verdict(GONE) is GONE
    route.again(0.0)
    assert (route.place.url, route.has_others, route.timeout(0.0)) == ("wss://gw.example.org", False, OPEN_TIMEOUT)
    assert not route.is_loopback
    assert Route.single("", "ws://[::1]:1").is_loopback


def test_each_endpoint_once_without_a_pause() -> None:
    route, _ = make(*PLACES)
    tried = [route.place]
    while refused(route, 10.0 * len(tried)):  # by when the one before has rested
        tried.append(route.place)
    assert sorted(place.url for place in tried) == [place.url for place in PLACES]
    route.again(1000.0)
    assert refused(route, 1000.0), "and again, from the beginning"


def test_one_that_was_cut_is_asked_once_more_and_briefly() -> None:
    route, _ = make(*PLACES)
    up(route, seconds=0.5)
    assert lost(route)
    assert route.place == PLACES[0]
    assert route.timeout(0.0) == TIMES * 0.5
    assert refused(route)
    assert route.place != PLACES[0]


def test_a_quick_one_has_a_moment_at_least() -> None:
    route, _ = make(*PLACES)
    up(route, seconds=0.001)
    assert lost(route)
    assert route.timeout(0.0) == QUICK


@pytest.mark.parametrize("why", ["silent", "draining", "hangs up"])
def test_one_that_would_not_be_back_at_once_is_left(why: str) -> None:
    route, balancer = make(*PLACES)
    if why == "hangs up":
        route.up(0.0, 0.01)  # and nothing came
        assert lost(route)
        route.up(0.0, 0.01)
    else:
        up(route)
    if why == "draining":
        route.leaves(0.0, 1.5, "restarting")
        assert route.is_left
    assert lost(route, abrupt=why != "silent")
    assert route.place != PLACES[0]
    assert balancer.rests(PLACES[0], 0.1)


def test_it_has_longer_where_no_other_waits() -> None:
    route, balancer = make(*PLACES[:2])
    assert route.timeout(0.0) == WHERE_OTHERS_ARE
    balancer.failed(PLACES[1], 0.0, "refused")
    assert route.timeout(0.0) == OPEN_TIMEOUT


def test_a_trial_goes_nowhere_else_until_it_was_up() -> None:
    route, balancer = make(*PLACES, trial=True)
    assert not refused(route)
    assert route.place == PLACES[0]
    assert route.verdict(GONE) is GONE
    assert balancer.rests(PLACES[0], 0.1)
    route, _ = make(*PLACES, trial=True)
    up(route)
    assert lost(route)
    assert refused(route)


def test_what_it_comes_to() -> None:
    route, _ = make(*PLACES[:2])
    assert route.moves_on(AuthError("wrong token"), 0.0, was_up=False, abrupt=False)
    assert not refused(route)
    verdict = route.verdict(GONE)
    assert str(verdict) == "none of the 2 endpoints of agent://c is there: connection refused"
    assert isinstance(verdict, ConnectionLost)
    route, _ = make(*PLACES[:2])
    wrong = AuthError("wrong token")
    assert route.moves_on(wrong, 0.0, was_up=False, abrupt=False)
    assert not route.moves_on(wrong, 0.0, was_up=False, abrupt=False)
    assert route.verdict(wrong) is wrong, "none of them lets us in, and none will"


def test_one_that_is_starting_is_waited_for_where_no_other_is() -> None:
    route, _ = make(*PLACES[:2])
    starting = ConnectionLost("it is starting")
    starting.is_starting, starting.retry_after = True, 2.0
    assert route.moves_on(starting, 0.0, was_up=False, abrupt=False)
    assert not refused(route)
    verdict = route.verdict(GONE)
    assert isinstance(verdict, ConnectionLost)
    assert (verdict.is_starting, verdict.retry_after) == (True, 2.0)


def test_links_on_their_way_are_counted_until_they_are_given_up() -> None:
    balancer = Balancer(PLACES, chance=Random(2))
    routes = [Route("agent://c", balancer, lambda _: None, now=0.0) for _ in range(6)]
    at = [route.place.url for route in routes]
    assert sorted(at) == sorted([place.url for place in PLACES] * 2)
    for route in routes[1:]:
        route.end()
        route.end()
    assert balancer.choose(0.0) != routes[0].place
    assert balancer.choose(0.0, [place for place in PLACES if place != routes[0].place]) == routes[0].place


def test_each_endpoint_has_a_proof_of_its_own() -> None:
    made: list[str] = []

    def proof(place: Place) -> Credentials:
        made.append(place.url)
        return Credentials(place.url, f"token for {place.url}")

    route = Route("agent://c", Balancer(PLACES), proof, now=0.0, first=PLACES[0])
    first = route.proof
    assert route.proof is first
    assert refused(route)
    assert route.proof is not first
    assert made == [PLACES[0].url, route.place.url]
