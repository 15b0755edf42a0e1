"""`python -m connectors` is `connectors`."""

from connectors.commands.main import main

if __name__ == "__main__":
    main()
