"""The first delta through our gateway and through two real OpenClaw gateways, from one mock model, in one run.

They are those of `make test-openclaw`; where that has installed nothing, nothing is measured.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from statistics import median

from tests.conformance import install
from tests.conformance.first_delta import INTERVALS, ours, seconds_to_first_delta
from tests.conformance.gateways import side_by_side
from tests.conformance.model import ModelProcess

__all__ = ["main"]

SENDS = 20


def main() -> None:
    print(f"\nfirst delta, ms from the message, P50 of {SENDS}, the same client and model")
    if install.missing():
        print("not measured: the real OpenClaw is not here; make test-openclaw installs it")
        return
    with tempfile.TemporaryDirectory() as folder, ModelProcess() as model:
        (own_folder := Path(folder) / "ours").mkdir()
        with ours(own_folder, model.url) as served, side_by_side(Path(folder), model.url) as gateways:
            token = served.token_file.read_text(encoding="utf-8").split()[-1]
            for interval in INTERVALS:
                own = median(asyncio.run(seconds_to_first_delta(served.url, token, interval, SENDS)))
                print(f"{f'openclaw_nb, a token every {interval} ms':44} {own * 1000:8.2f}")
                for version, real in gateways.items():
                    theirs = median(asyncio.run(seconds_to_first_delta(real.url, real.token, interval, SENDS)))
                    name = f"OpenClaw {version}, a token every {interval} ms"
                    print(f"{name:44} {theirs * 1000:8.2f}   {theirs / own:4.0f} times ours")


if __name__ == "__main__":
    main()
