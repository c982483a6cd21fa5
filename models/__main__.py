"""`python -m models`: the verbs that need no server."""

import sys

from models.cli import main

sys.exit(main())
