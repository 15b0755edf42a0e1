"""A manager to be killed: `python -m tests.base.run_manager HOME [OPTIONS]` with the options of `start` as JSON."""

import json
import sys
from pathlib import Path

from connectors.base.errors import ConnectorError
from connectors.base.manager import ConnectorManager, Workings


def main() -> int:
    home = Path(sys.argv[1])
    options = json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}
    workings = {"entry": "tests.base.children:serve", **options.pop("workings", {})}
    manager = ConnectorManager.from_config(home / "connectors.yml")
    manager.workings = Workings(**workings)
    try:
        return manager.start(say=lambda line: print(line, file=sys.stderr, flush=True), **options)
    except ConnectorError as error:
        print(f"{error} | {error.hint}", file=sys.stderr, flush=True)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
