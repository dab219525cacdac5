"""`python -m kvmwizard`."""

import sys

from kvmwizard.cli import main

sys.exit(main())
