"""Any program that prints JSON lines as a source, any that reads them as a target: connectors in any language."""
