"""``python -m bioimage_assets``: the command, where its script is on no path."""

import sys

from bioimage_assets.cli.main import main

if __name__ == "__main__":
    sys.exit(main(called_as="python -m bioimage_assets"))
