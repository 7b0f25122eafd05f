"""Random arithmetic, as people type it."""

from __future__ import annotations

from hypothesis import strategies as st

__all__ = ["expressions"]

_NUMBERS = st.one_of(
    st.integers(0, 30).map(str),
    st.integers(0, 10**9).map(str),
    st.decimals(0, 1000, places=3, allow_nan=False).map(lambda number: f"{number:f}"),
)


def expressions(operators: str = "+-*/%") -> st.SearchStrategy[str]:
    """Sums, products, quotients and small powers of numbers, in brackets."""

    def deeper(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        pairs = st.tuples(inner, st.sampled_from([*operators, "//"] if "%" in operators else [*operators]), inner)
        powers = st.tuples(inner, st.integers(-3, 9))
        return pairs.map(lambda pair: f"({' '.join(pair)})") | powers.map(lambda power: f"({power[0]})^{power[1]}")

    return st.recursive(_NUMBERS, deeper, max_leaves=5).filter(lambda text: not text.replace(".", "").isdigit())
