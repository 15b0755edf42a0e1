"""A connector that imports its SDK where the declaration is read. psutil stands for the SDK."""

import psutil  # type: ignore[import-untyped]

from connectors.testing import FakeConnector


class SdkConnector(FakeConnector):
    """Needs its SDK to say what it is."""

    connector_type = "faulty"
    version = str(psutil.__version__)
