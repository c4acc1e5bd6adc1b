import sys

from repgeom.cli.main import main

sys.exit(main())
