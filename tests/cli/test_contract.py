"""The cli connector fulfils the contract."""

from connectors.cli.connector import CLIConnector
from connectors.testing import ConnectorContract


class TestCLIConnector(ConnectorContract):
    """Its platform is the terminal; what it reads and prints is tested beside this file."""

    connector = CLIConnector
