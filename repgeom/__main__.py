import sys

from repgeom.cli import main

sys.exit(main())
