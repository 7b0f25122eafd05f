"""`python -m openclaw_nb.cli` is the command `openclaw-nb`."""

import sys

from . import main

if __name__ == "__main__":
    sys.exit(main())
