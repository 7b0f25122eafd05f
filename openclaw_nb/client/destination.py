"""Destination, where a client goes: the endpoints of a cluster and of those it falls back to, and the token of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ..config import AgentURI, Cluster, ClusterConfig, TokenReference, known_token
from ..errors import ConfigError
from .balancer import Balancer, Place
from .credentials import Credentials

__all__ = ["Destination"]


@dataclass(frozen=True, slots=True)
class Destination:
    """``places`` in the order of their ranks, ``tokens`` by place; ``balance`` and ``models`` by rank.

    ``connections`` links are held. At most ``max_runs`` of its runs are at work at once, None without a limit; none
    takes a level above ``max_level``.
    ``is_local``: it is the gateway in this process, which is told no device.
    """

    uri: str
    places: tuple[Place, ...]
    tokens: Mapping[Place, str | None] = field(default_factory=dict, repr=False)
    balance: tuple[str, ...] = ()
    models: tuple[str | None, ...] = ()
    connections: int = 1
    max_runs: int | None = None
    max_level: int = 4
    is_local: bool = False
    references: Mapping[Place, TokenReference] = field(default_factory=dict)
    """Where the tokens are that a cluster refers to: they are read again before each dial."""

    @classmethod
    def find(
        cls, address: AgentURI, token: str | None, local: Callable[[], tuple[str, str]],
        config: Callable[[], ClusterConfig],
    ) -> Destination:  # fmt: skip
        """Where an address leads: the gateway in this process, whose url and token ``local`` gives, one elsewhere, or
        a cluster and its fallback as ``config`` has them; ConfigError where that is not there.

        The token there is the one given, of its cluster, or of the environment.
        """
        if address.cluster:
            return cls.named(address.cluster, config(), token)
        if address.url is not None:
            return cls.single(address.text, address.url, token or known_token(address.url))
        return cls.single(address.text, *local(), is_local=True)

    @classmethod
    def single(cls, uri: str, url: str, token: str | None, *, is_local: bool = False) -> Destination:
        """One gateway."""
        place = Place(url, uri)
        return cls(uri, (place,), {place: token}, is_local=is_local)

    @classmethod
    def of(cls, clusters: Sequence[Cluster], token: str | None = None) -> Destination:
        """The first of these clusters, and behind it the others as its fallback. ConfigError where a token is missing,
        and for what no file could say.

        Each has the token that it refers to, the first one ``token`` where that is given, and otherwise what the
        environment knows for an endpoint. It reads files.
        """
        for cluster in clusters:
            if not isinstance(cluster, Cluster):
                raise ConfigError("a fallback is a Cluster too, or stands in the configuration")
            cluster.check()
        tokens: dict[Place, str | None] = {}
        references: dict[Place, TokenReference] = {}
        for rank, cluster in enumerate(clusters):
            given = token if rank == 0 else None
            referred = cluster.token if given is None else None
            own = given if referred is None else referred.read()
            for endpoint in cluster.endpoints:
                place = Place(endpoint.url, endpoint.url, cluster.name, rank, endpoint.weight)
                tokens.setdefault(place, own or known_token(endpoint.url, cluster.name))
                if referred is not None:
                    references.setdefault(place, referred)
        first = clusters[0]
        return cls(
            f"agent://{first.name}", tuple(tokens), tokens, tuple(cluster.balance for cluster in clusters),
            tuple(cluster.model for cluster in clusters), first.links, first.max_runs,
            first.limits.max_level or 4, references=references,
        )  # fmt: skip

    @classmethod
    def named(cls, name: str, config: ClusterConfig, token: str | None = None) -> Destination:
        """The cluster of this name, with its fallback as ``config`` has it; ConfigError where one is not there."""
        first = config.cluster(name)
        return cls.of([first, *map(config.cluster, first.fallback)], token)

    def __len__(self) -> int:
        return len(self.places)

    def model(self, place: Place) -> str | None:
        """That of the runs there which name none."""
        return self.models[place.rank] if self.models else None

    def proof(self, place: Place) -> Credentials | None:
        """By what one is let in at one of its places."""
        if self.is_local:
            return None
        return Credentials(place.url, self.tokens[place], reference=self.references.get(place))

    def balancer(self) -> Balancer:
        return Balancer(self.places, self.balance)
